"""Reads the head of a request: refuses some that the parser accepts, and finds the path.

The rules:

- A request is refused if a proxy and Licet could disagree about its end (RFC 9112 section 11.2).
- An escaped separator is not a separator: `/health%2Flive` is one segment, and not the path `/health/live`. A
  proxy that filters unescaped paths can rely on that.
- A request target has no fragment (RFC 9112 section 3.2): `/health/ready#/logo.png` is refused, as a proxy
  could take what is behind the `#` for a part of the path.
"""

import re
from typing import Any, Final, Literal
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGIVersions, HTTPScope

_ASGI: Final[ASGIVersions] = {"version": "3.0", "spec_version": "2.3"}
_VERSIONS: Final = ("1.1", "1.0")
_ONLY_ONCE: Final = (b"host", b"transfer-encoding")

# uri-host [ ":" port ] with an IP-literal in brackets (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-fv:.]+\]|[-\w.~%!$&'()*+,;=]*)(?::[0-9]*)?")

_SEPARATOR: Final = re.compile(r"%(?=2[fF]|5[cC])")


def objection_to(version: str, headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> str | None:
    """Why a head that the parser accepts is a bad request; None when it is not."""
    if version not in _VERSIONS:
        return "The version of HTTP is neither 1.1 nor 1.0."
    host = fields.get(b"host")
    if version == "1.1" if host is None else not _HOST.fullmatch(host.strip()):
        return "The Host header is missing or malformed."
    coding = fields.get(b"transfer-encoding")
    # Version 1.0 had no transfer codings, and an unknown one hides where the body ends (RFC 9112 section
    # 6.1).
    if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
        return "The transfer coding is not chunked."
    if len(fields) < len(headers) and _repeats(headers):
        return "A header that frames the request is repeated."
    return None


def _repeats(headers: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in headers]
    return any(names.count(name) > 1 for name in _ONLY_ONCE)


def scope_of(
    target: bytes,
    *,
    method: bytes,
    version: str,
    headers: list[tuple[bytes, bytes]],
    ends: tuple[Any, Any],
    scheme: Literal["http", "https"],
) -> HTTPScope:
    """The ASGI scope of a head; `ends` are the server's and the client's address."""
    raw_path, query = target_of(target)
    server, client = ends
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "server": server,
        "client": client,
        "scheme": scheme,
        "root_path": "",
        "method": method.decode("ascii"),
        "path": path_of(raw_path),
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
        "state": {},
        "extensions": {},
    }


def target_of(target: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request target, as they were sent.

    Raises ValueError where there is a fragment.
    """
    if b"#" in target:
        raise ValueError("a request target has a fragment")
    if target.startswith(b"/"):
        raw_path, _, query = target.partition(b"?")
        return raw_path, query
    parsed = httptools.parse_url(target)  # with scheme and host, as for a proxy (RFC 9112 section 3.2.2)
    return parsed.path, parsed.query or b""


def path_of(raw_path: bytes) -> str:
    """The unescaped path; escapes of a slash or backslash stay as they are."""
    path = raw_path.decode("ascii")
    return unquote(_SEPARATOR.sub("%25", path)) if "%" in path else path


def without_upgrade(method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The same head without its Upgrade field."""
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    lines += [b"%s: %s" % field for field in headers if field[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
