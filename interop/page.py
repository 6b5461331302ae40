"""The part of docs/reference/interoperability.md that is made of what the suite expects, and so saw.

A page has two lines, `<!-- made by ... -->` and `<!-- end -->`; what stands between them is made, all else is
written by hand.
"""

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap

from interop.installing import HERE
from interop.manifest import Manifest

PAGE = HERE.parent / "docs" / "reference" / "interoperability.md"
_MADE = re.compile(r"(<!-- made by [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 110
_WITHOUT = "not possible"
_ALL = "everything"
_WORDS = {
    "unsupported": _WITHOUT,
    "nothing": "nothing: the API says 401",
    "keeps": "the same token",
    "refreshed": "a refresh",
    "new grant": "a new grant",
    "token": "yes",
    "works": "yes",
    "found": "yes",
    "active": "yes",
    "revoked": "yes",
    "logged off": "yes",
}
_NAMES = {"code": "`error`", "status": "status", "reason": "`reason`", "retry_after": "`retry_after`"}
_RAISED = re.compile(r"(?P<before>\w+, )?raises (?P<what>\w+)")
_REFUSED = re.compile(r"(?P<how>.+): (?P<code>\w+)")

_CREDENTIALS = {
    "default_auth": "by default in",
    "special_basic": "`+ %41&=:` and blanks by Basic",
    "accent_basic": "`é` by Basic",
    "colon_basic": "`:` in the id by Basic",
    "special_body": "all of them in the body",
}
_RENEWING = {
    "refresh": "refresh, on request",
    "early": "at the next call, 30 s before the token expires",
    "expiry": "at the next call, when the token has expired",
    "ended": "at the next call, when the session was ended",
}
_TIMED = {"early", "expiry"}
_REFUSALS = {
    "no_seat_400": "no seat, 400",
    "no_seat_429": "no seat, 429",
    "no_seat_503": "no seat, 503",
    "wrong_secret": "wrong secret, 401",
}
_OTHER = {
    "token": "client credentials",
    "view": "`view`",
    "logoff": "logoff",
    "revoke": "revocation",
    "introspect": "introspection",
    "private_key_jwt": "`private_key_jwt`",
    "discovery": "metadata",
}
_PROTECTED = {
    "live": "`all`",
    "view": "`view`",
    "none": "no token",
    "other_tenant": "other tenant's",
    "ended": "session ended",
    "expired": "expired",
    "special_credentials": "special characters in its credentials",
    "identity": "client `+ %41&=` is reported as",
    "store_down": "Licet's store is down",
}


def put(page: str, clients: list[Manifest], resource_servers: list[Manifest]) -> str:
    """The page with its made part as it should be."""
    assert _MADE.search(page), "the page has no place for what is made"
    made = "\n".join(_made(clients, resource_servers))
    return _MADE.sub(lambda found: f"{found[1]}\n{made}\n{found[2]}", page, count=1)


def _made(clients: list[Manifest], resource_servers: list[Manifest]) -> Iterator[str]:
    yield from _section("Clients", _versions(clients))
    yield from _section("How they send credentials", _table(clients, _CREDENTIALS))
    yield from _section("What they do when a token ends", _table(clients, _RENEWING))
    yield from _section("What the caller gets to see of a refusal", _table(clients, _REFUSALS))
    yield from _section("What else works", _table(clients, _OTHER))
    yield from _section("Pitfalls of clients", _pitfalls(clients))
    yield from _section("Resource servers", _versions(resource_servers))
    yield from _section("What they let through", _table(resource_servers, _PROTECTED))
    yield from _section("Pitfalls of resource servers", _pitfalls(resource_servers))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from lines
    yield ""


def _versions(parts: list[Manifest]) -> Iterator[str]:
    yield from _header(["library", "version", "language"])
    for part in parts:
        yield f"| {part.library} | {part.version} | {part.language} |"


def _table(parts: list[Manifest], columns: dict[str, str]) -> Iterator[str]:
    yield from _header(["", *columns.values()])
    for part in parts:
        cells = [part.library, *(_text(name, part.expect[name]) for name in columns)]
        yield f"| {' | '.join(cells)} |"


def _header(names: list[str]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"


def _pitfalls(parts: list[Manifest]) -> Iterator[str]:
    for part in parts:
        if part.pitfalls:
            yield f"- **{part.library}**"
        for pitfall in part.pitfalls:
            lines = wrap(pitfall, _WIDTH - 4, break_on_hyphens=False)
            yield from (f"{'    ' if at else '  - '}{line}" for at, line in enumerate(lines))


def _text(scenario: str, outcome: str) -> str:
    """An outcome in words."""
    if outcome == "unsupported" and scenario in _TIMED:
        return "keeps no time"
    if outcome in _WORDS:
        return _WORDS[outcome]
    words = outcome.split()
    if set(words) <= {*_NAMES, "by_hand", "text"}:
        return _visible(words)
    if refused := _REFUSED.fullmatch(outcome):
        return f"{refused['how']}: refused, `{refused['code']}`"
    if raised := _RAISED.fullmatch(outcome):
        return f"{'yes, then ' if raised['before'] else ''}raises `{raised['what']}`"
    return f"`{outcome}`" if outcome[0] in "+%" else outcome


def _visible(words: list[str]) -> str:
    named = [_NAMES[word] for word in words if word in _NAMES]
    text = _ALL if len(named) == len(_NAMES) else ", ".join(named)
    if "text" in words:
        text = ", ".join(filter(None, ["`error` in the message only", text]))
    return f"{text}, by parsing the body" if "by_hand" in words else text
