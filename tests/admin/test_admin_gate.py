"""The admin listener, whatever is behind it: headers of every answer, bounds, faults, a dead store."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from licet.admin.context import THREADS, WAITING_MAX
from licet.admin.gate import BODY_BYTES_MAX, Gate
from licet.admin.problems import Problem
from licet.store.errors import StoreUnavailable
from support.admin.admin_site import API, URL, AdminSite, mistakes, problem
from support.store.kinds import SqlitePlaces
from support.store.setup_site import JIM, START_MS

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener that these tests share, and change nothing of."""
    directory = tmp_path_factory.mktemp("gate")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield found
    found.close()


@pytest.fixture
def broken(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The same, where a test lets something fail."""
    with monkeypatch.context() as patched:
        yield patched
    site.node.log.lines.clear()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/me", 200),
        ("/api/v1/no", 404),
        ("/sign-in", 200),
        ("/no", 404),
        ("/", 303),
        ("/metrics", 404),
    ],
)
def test_every_answer_has_the_security_headers(path: str, status: int, site: AdminSite) -> None:
    """The API's, the pages', and those of errors."""
    headers = site.headers("owner") if path.startswith(API) else {}
    response = site.node.send("GET", path, headers=headers)
    assert response.status_code == status
    policy = dict(
        part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";")
    )
    assert policy.items() >= POLICY.items()
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]
    assert "referrer-policy" in response.headers


def test_each_request_has_an_id_of_its_own(site: AdminSite) -> None:
    """By which the log is searched."""
    ids = {site.call("GET", "/me").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_head_is_a_get_without_content(site: AdminSite) -> None:
    """RFC 9110 9.3.2; the connection leaves the content out."""
    got, headed = (site.call(method, f"/tenants/{JIM}") for method in ("GET", "HEAD"))
    assert headed.status_code == 200
    assert headed.headers["etag"] == got.headers["etag"]


def test_another_method_is_told_which_there_are(site: AdminSite) -> None:
    """RFC 9110 15.5.6."""
    response = site.call("PUT", "/me")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize("says_how_much", [True, False])
def test_a_body_has_a_largest_size(says_how_much: bool, site: AdminSite) -> None:
    """413, by what its head says or by what comes."""
    content: Any = b" " * (BODY_BYTES_MAX + 1)
    if not says_how_much:
        content = _parts(content)
    headers = {"content-type": "application/json"}
    problem(site.call("POST", "/tenants", content=content, headers=headers), 413, "too-large")


async def _parts(content: bytes) -> Any:
    for at in range(0, len(content), 65_536):
        yield content[at : at + 65_536]


def test_a_declaration_may_be_larger(site: AdminSite) -> None:
    """It is of all tenants."""
    content = b"# " + b" " * (2 * BODY_BYTES_MAX)
    headers = {"content-type": "application/toml"}
    response = site.call("PUT", "/declaration", if_match="*", content=content, headers=headers)
    assert problem(response, 422, "invalid-value")["detail"] == "The declaration has a mistake."


def test_a_body_that_is_no_json_is_told_so(site: AdminSite) -> None:
    """Its content type says what it is."""
    response = site.call("POST", "/tenants", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code in {400, 415, 422}
    assert response.headers["content-type"] == "application/problem+json"


class TestFaults:
    """What goes wrong behind it."""

    def test_a_store_that_is_down_is_told_with_the_request_id(
        self, site: AdminSite, broken: pytest.MonkeyPatch
    ) -> None:
        """503 and when to ask again; a plain page for a person. What the driver says is logged."""

        def down(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("disk I/O error\nSELECT secret")

        node = site.another_node(site.store)
        assert node.send("GET", f"{API}/me", headers=site.headers("viewer")).status_code == 200
        broken.setattr(site.store, "reading", down)
        broken.setattr(site.store, "reporting", down)
        broken.setattr(site.store, "transaction", down)
        broken.setattr(site.store, "refresh_tenants", down)
        refused = node.send("GET", f"{API}/tenants", headers=site.headers("viewer"))
        told = problem(refused, 503, "store-unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert "disk" not in told["detail"]
        token = "x" * 43
        page = node.send("GET", "/seats", headers={"cookie": f"licet={token}"})
        assert page.status_code == 503
        assert page.headers["x-request-id"] in page.text
        assert "disk I/O error" in node.log.text()
        assert "SELECT" not in node.log.text()
        assert node.send("GET", f"{API}/openapi.json").status_code == 200

    def test_a_bug_is_told_by_its_request_id_only(self, site: AdminSite, broken: pytest.MonkeyPatch) -> None:
        """And logged once, with where it was."""

        def bug(*_: Any) -> None:
            raise AssertionError("pepper")

        broken.setattr(site.context, "tenants_now", bug)
        refused = site.call("GET", "/tenants")
        assert "pepper" not in problem(refused, 500, "internal-error")["detail"]
        lines = [fields for event, fields in site.node.log.lines if event == "admin_refused"]
        assert [line["request_id"] for line in lines] == [refused.headers["x-request-id"]]
        assert isinstance(lines[0]["exc_info"], AssertionError)

    def test_when_too_much_waits_one_more_is_refused(
        self, site: AdminSite, broken: pytest.MonkeyPatch
    ) -> None:
        """Slow reports do not fill the memory."""
        broken.setattr(site.context, "_waiting", THREADS + WAITING_MAX)
        told = problem(site.call("GET", "/tenants"), 503, "store-unavailable")
        assert told["detail"] == "Too much waits already."


class TestClosing:
    """What is under way when the listener closes."""

    def test_a_stream_that_waits_hears_of_the_end(self) -> None:
        """It learns of it as if the client had gone."""

        async def stream(_: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b""})

        async def run() -> list[Any]:
            closing, sent = asyncio.Event(), list[Any]()
            gate = Gate(stream, urls=(), closing=closing, refuse=_never)
            incoming = asyncio.Queue[Any]()
            incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})

            async def send(message: Any) -> None:
                sent.append(message["type"])

            scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
            task = asyncio.create_task(gate(scope, incoming.get, send))
            closing.set()
            await task
            return sent

        assert asyncio.run(run()) == ["http.response.start", "http.response.body"]


def _never(_: Any, problem_: Problem) -> Any:
    raise AssertionError(problem_)


def test_a_field_is_found_by_what_is_said_of_it(site: AdminSite) -> None:
    """The text of the model beside the field of the form."""
    body = {"session_ttl_s": 100}
    told = mistakes(site.call("PATCH", f"/tenants/{JIM}", if_match="*", json=body))
    assert told.keys() == {"#/session_ttl_s"}


@pytest.mark.parametrize("path", ["//evil.example/sign-in", "/a%2fb", "/nothing?x=1"])
def test_the_page_of_a_mistake_leads_to_no_other_site(site: AdminSite, path: str) -> None:
    """An address like a name of a host would be a link to it."""
    answer = site.node.send("GET", f"{URL}{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert 'class="button first" href="/">Overview' in answer.text
    assert "evil.example" not in answer.text
