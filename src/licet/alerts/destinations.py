"""Checks where alerts are sent: the URL of a webhook before it is resolved, and the mail server.

The addresses of a name are known only when a message is sent: `licet.alerts.webhook_sender` checks them.
"""

import ipaddress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from licet.model import InvalidValue, Value
from licet.networks import is_public
from licet.refusal import Code

URL_CHARS_MAX = 2000
_HTTPS, _HTTP = "https", "http"


class MailServer(Value, frozen=True, kw_only=True):
    """The mail server to send by, and the recipients. `security` is `starttls`, `tls` or `none`."""

    host: str
    port: int
    security: str
    user: str | None
    password_file: Path | None
    sender: str
    receivers: tuple[str, ...]


def check_url(url: str, *, http_allowed: bool, private_allowed: bool = True) -> None:
    """Return if alerts may be sent there; `private_allowed`: also to this machine and private networks.

    Raises InvalidValue.
    """
    try:
        parts = urlsplit(url)
        fault = _form_fault(url, parts)
        code, fault = (
            (Code.MALFORMED, fault)
            if fault
            else _place_fault(parts, http_allowed=http_allowed, private_allowed=private_allowed)
        )
    except ValueError:  # a port that is not a number, or an unclosed bracket
        code, fault = Code.MALFORMED, "it is not a URL"
    if fault:
        text = f"a webhook is a URL like https://example.com/alerts; {fault}"
        raise InvalidValue(text, code=code, field="url")


def place_of(url: str) -> str:
    """The part of a URL that everybody may see: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _form_fault(url: str, parts: SplitResult) -> str:
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return f"it has at most {URL_CHARS_MAX} characters, all of them ASCII and none a space"
    if parts.scheme not in {_HTTPS, _HTTP}:
        return f"{parts.scheme} is not https" if parts.scheme else "it does not begin with https://"
    if not parts.hostname or parts.port == 0:
        return "it names no host" if not parts.hostname else "it has no port 0"
    if parts.username is not None:
        return "it has a user name or password in it"
    if "#" in url:
        return "it has a fragment, which is never sent"
    return ""


def _place_fault(parts: SplitResult, *, http_allowed: bool, private_allowed: bool) -> tuple[Code, str]:
    host = parts.hostname or ""
    is_local = private_allowed and _is_this_machine(host)
    if parts.scheme == _HTTP and not (http_allowed or is_local):
        where = "to this machine only" if private_allowed else "nowhere for who looks after one tenant"
        why = f"http goes {where}, as long as the setting webhook_http is not true"
        return Code.HTTP_NOT_ALLOWED, why
    if not private_allowed and _is_private(host):
        why = (
            "for who looks after one tenant it goes to public addresses only, as long as the setting"
            " webhook_private is not true"
        )
        return Code.ADDRESS_NOT_PUBLIC, why
    return Code.MALFORMED, ""


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_private(host: str) -> bool:
    """Whether the text shows that; other spellings are detected when a message is sent."""
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
