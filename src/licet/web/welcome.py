"""Serves pages to a person who opens the public listener in a browser: what it is, and where to go next.

The rules:

- A browser asks for `text/html`. Programs do not, and get an error in JSON, as at any unknown address.
- The dashboard is named only to a person on the machine itself, where it listens by default. No page names a
  version.
- A tenant's page says nothing that its metadata (RFC 8414) does not say to everybody.
- A page runs nothing and fetches nothing: its style is allowed by its hash.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from licet.protocol.message import Response

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1rem}"
    "dt{font-weight:600;margin-top:.75rem}dd{margin:0}code{overflow-wrap:anywhere}"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{content}
</body>
</html>
"""
_ROOT: Final = """<p>This is Licet, an OAuth 2.0 authorization server for software that is licensed by
concurrent users. This address is for programs.</p>
<dl>
<dt>You look after this server</dt>
<dd>{dashboard}</dd>
<dt>You write a program</dt>
<dd>Ask for the name of your tenant, for a client_id and its secret. What the server offers a tenant is at
<code>{url}/.well-known/oauth-authorization-server/TENANT</code> (RFC 8414), and its tokens at
<code>{url}/TENANT/token</code>.</dd>
<dt>You look for the documentation</dt>
<dd>It is the folder <code>docs</code> of the source, and begins with <code>docs/README.md</code>.</dd>
</dl>"""
_TENANT: Final = """<p>This is the address of a tenant of Licet, an OAuth 2.0 authorization server.
It is for programs.</p>
<dl>
<dt>Token endpoint</dt>
<dd><code>{url}/token</code></dd>
<dt>Metadata (RFC 8414)</dt>
<dd><a href="{metadata}">{metadata}</a></dd>
</dl>"""
_ELSEWHERE: Final = (
    "The dashboard for administrators has an address of its own: ask whoever runs this server."
)
_HASH = b64encode(sha256(_STYLE.encode()).digest())
_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"vary", b"accept"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-%s'; frame-ancestors 'none'; base-uri 'none';"
        b" form-action 'none'" % _HASH,
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_KEPT: Final = (b"cache-control", b"public, max-age=3600")
_NOT_KEPT: Final = (b"cache-control", b"no-store")  # it depends on who asks, or on what is set up


def accepts_page(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a browser sent this."""
    return any(name == b"accept" and b"text/html" in value.lower() for name, value in headers)


class WelcomePages:
    """The pages of one server; `dashboard_url` is '' where there is no dashboard."""

    def __init__(self, public_url: str, dashboard_url: str) -> None:
        self._public_url = public_url
        self._tells_dashboard = _is_loopback(urlsplit(dashboard_url).hostname or "")
        url = escape(dashboard_url)
        here = f'The dashboard for administrators is at <a href="{url}/">{url}</a>.'
        self._for_others = self._root(_ELSEWHERE, _KEPT)
        self._for_the_machine = self._root(here, _NOT_KEPT)

    def root(self, address: str) -> Response:
        """The page of the server, for a person at this address."""
        is_told = self._tells_dashboard and _is_loopback(address)
        return self._for_the_machine if is_told else self._for_others

    def of_tenant(self, name: str) -> Response:
        """The page of a tenant that is there."""
        url = escape(f"{self._public_url}/{name}")
        metadata = f"{url}/.well-known/oauth-authorization-server"
        return _page(escape(name), _TENANT.format(url=url, metadata=metadata), _NOT_KEPT)

    def _root(self, dashboard: str, kept: tuple[bytes, bytes]) -> Response:
        return _page("Licet", _ROOT.format(dashboard=dashboard, url=escape(self._public_url)), kept)


def _page(title: str, content: str, kept: tuple[bytes, bytes]) -> Response:
    body = _PAGE.format(title=title, style=_STYLE, content=content)
    return Response(status=200, headers=(*_HEADERS, kept), body=body.encode())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
