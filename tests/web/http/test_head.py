"""The path that a request asks for: an escape of a separator is none."""

from collections.abc import Iterator

import pytest

from licet.web.http.head import path_of
from support.server.connecting import served
from support.server.running import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that these tests share."""
    with RunningServer(tmp_path_factory.mktemp("head")) as found:
        yield found


def status(server: RunningServer, method: str, path: str) -> int:
    """Of the answer to this path as it stands."""
    head = f"{method} {path} HTTP/1.1\r\nhost: licet\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    return int(served(server.url, head.encode()).split(b" ")[1])


@pytest.mark.parametrize("escape", ["%2F", "%2f", "%5C", "%5c", "%252F", "%252f", "%255C", "%25252F"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health{}live"),
        ("GET", "{}health/live"),
        ("POST", "/Jim_Test{}token"),
        ("POST", "/Jim_Test{}introspect"),
        ("GET", "/Jim_Test{}verify"),
        ("GET", "/Jim_Test/verify{}below"),
        ("GET", "/.well-known{}oauth-authorization-server/Jim_Test"),
        ("GET", "/.well-known/oauth-authorization-server{}Jim_Test"),
        ("GET", "/Jim_Test/.well-known{}oauth-authorization-server"),
    ],
)
def test_an_escape_of_a_separator_parts_no_path(
    server: RunningServer, method: str, path: str, escape: str
) -> None:
    """A proxy that filters paths as they are sent can rely on it."""
    assert status(server, method, "/" + path.format(escape).lstrip("/")) == 404


@pytest.mark.parametrize(
    "path",
    [
        "/health/live",
        "/%68ealth/live",
        "/Jim_Test/jwks.json",
        "/%4Aim_Test/jwks.json",
        "/Jim%5FTest/jwks.json",
    ],
)
def test_other_escapes_are_what_they_stand_for(server: RunningServer, path: str) -> None:
    """RFC 3986 2.4 and 6.2.2.2."""
    assert status(server, "GET", path) == 200


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (b"/a/b", "/a/b"),
        (b"/a%2Fb%2fc", "/a%2Fb%2fc"),
        (b"/a%5Cb%5cc", "/a%5Cb%5cc"),
        (b"/a%252Fb", "/a%2Fb"),
        (b"/%C3%A9%", "/é%"),
    ],
)
def test_a_path_has_its_escapes_undone_but_for_separators(sent: bytes, path: str) -> None:
    """Once: what is left is a name of nobody's."""
    assert path_of(sent) == path
