"""Serves a page to a person who opens the public listener in a browser: what it is, and where to go next.

A browser asks for `text/html`. Programs do not, and get an error in JSON, as at any unknown address. The page
names the dashboard only to a person on the machine itself, where it listens by default.
"""

from html import escape
from ipaddress import ip_address
from urllib.parse import urlsplit

from licet.protocol.message import Response

_ELSEWHERE = "The dashboard for administrators has an address of its own: ask whoever runs this server."
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Licet</title>
</head>
<body>
<h1>Licet</h1>
<p>This is Licet, an OAuth 2.0 authorization server for software that is licensed by concurrent users.
This address is for programs.</p>
<p>{dashboard}</p>
<p>The documentation is in <code>docs/</code> of the source; it begins with <code>docs/README.md</code>.</p>
</body>
</html>
"""
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def accepts_page(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a browser sent this."""
    return any(name == b"accept" and b"text/html" in value.lower() for name, value in headers)


def welcome(dashboard_url: str, address: str) -> Response:
    """The page for a person at this address; `dashboard_url` is '' where there is no dashboard."""
    dashboard = _ELSEWHERE
    if dashboard_url and _is_loopback(address) and _is_loopback(urlsplit(dashboard_url).hostname or ""):
        url = escape(dashboard_url)
        dashboard = f'The dashboard for administrators is at <a href="{url}/">{url}</a>.'
    return Response(status=200, headers=_HEADERS, body=_PAGE.format(dashboard=dashboard).encode())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
