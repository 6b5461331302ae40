"""What the admin API answers to names that nothing has: it says which one was probably meant."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from support.admin.admin_site import API, AdminSite, mistakes, problem
from support.store.kinds import SqlitePlaces
from support.store.setup_site import JIM, START_MS

IN_JIM = f"/tenants/{JIM}"


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener, which no test changes."""
    directory = tmp_path_factory.mktemp("names")
    site = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield site
    site.close()


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("GET", "/tenants/jim_tst", "There is no tenant jim_tst; did you mean Jim_Test?"),
        ("GET", "/tenants/jim_tst/pools", "There is no tenant jim_tst; did you mean Jim_Test?"),
        ("PATCH", "/tenants/jim_tst/pools/full", "There is no tenant jim_tst; did you mean Jim_Test?"),
        ("GET", f"{IN_JIM}/pools/ful", "There is no pool ful; did you mean full?"),
        ("PATCH", f"{IN_JIM}/pools/ful", "There is no pool ful; did you mean full?"),
        ("GET", f"{IN_JIM}/scopes/alll", "There is no scope alll; did you mean all?"),
        ("PATCH", f"{IN_JIM}/users/u1", "There is no user u1; did you mean U1?"),
        ("GET", f"{IN_JIM}/clients/C1", "There is no client C1; did you mean c1?"),
        ("GET", f"{IN_JIM}/clients/C1/secrets", "There is no client C1; did you mean c1?"),
        ("GET", f"{IN_JIM}/clients/zzzzzz", "There is no client zzzzzz."),
        ("GET", "/api-keys/vewer", "There is no API key vewer; did you mean viewer?"),
    ],
)
def test_a_name_that_is_nearly_one_is_answered_with_that(
    site: AdminSite, method: str, path: str, meant: str
) -> None:
    """In an address, for what is read and what is changed."""
    options: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    assert problem(site.call(method, path, if_match="*", **options), 404, "not-found")["detail"] == meant


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_nobody_is_told_the_names_of_others(site: AdminSite, method: str) -> None:
    """Who is of one tenant meets that one; another is as one that does not exist."""
    options: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    for name in (JIM, "jim_tst"):
        answer = site.call(method, f"/tenants/{name}/pools/full", "owner of Other", if_match="*", **options)
        assert problem(answer, 404, "not-found")["detail"] == f"There is no tenant {name}."
    answer = site.call(method, "/tenants/Othr/pools/full", "owner of Other", if_match="*", **options)
    assert problem(answer, 404, "not-found")["detail"] == "There is no tenant Othr; did you mean Other?"


@pytest.mark.parametrize(
    ("path", "pointer", "message"),
    [
        (f"{IN_JIM}/denials?form=2027-01-31", "query:form", "There is no such parameter; did you mean from?"),
        (f"{IN_JIM}/denials?Client=c1", "query:Client", "There is no such parameter; did you mean client?"),
        ("/tenants?after=x", "query:after", "There is no such parameter."),
        (f"{IN_JIM}/usage?from_ms=5", "query:from_ms", "There is no such parameter; did you mean from?"),
    ],
)
def test_a_parameter_that_is_not_read_is_refused(
    site: AdminSite, path: str, pointer: str, message: str
) -> None:
    """Else a filter that is mistyped would show all, as if it were what was asked for."""
    assert mistakes(site.call("GET", path)) == {pointer: message}


NO_BODY = "This operation takes no body."


def test_a_body_that_is_not_read_is_refused(site: AdminSite) -> None:
    """By every operation without one: else a parameter that is sent in it would do nothing, unseen."""
    document = site.node.send("GET", f"{API}/openapi.json").json()
    refusing = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "get" or "requestBody" in operation:
                continue
            named = defaultdict(lambda: "1", tenant=JIM, sid="0" * 40)
            at = path.removeprefix(API).format_map(named)
            answer = site.call(method.upper(), at, if_match="*", json={"force": True})
            assert mistakes(answer) == {"#/force": NO_BODY}, operation["operationId"]
            refusing.add(operation["operationId"])
    assert {"makeStatement", "pruneKeys", "testWebhook", "unsignPool", "removePool"} <= refusing


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        (b'{"until": "2026-07-01", "force": 1}', {"#/until": "until", "#/force": ""}),
        (b"until=2026-07-01", {"": ""}),
        (b"[]", {"": ""}),
        (b'{"until": ', {"": ""}),
        (b"\xff\x00", {"": ""}),
        (b"[" * 100_000, {"": ""}),
        (b'{"a": ' + b"[" * 100_000, {"": ""}),
    ],
)
def test_a_body_is_answered_with_the_parameter_that_it_should_be(
    site: AdminSite, content: bytes, pointers: dict[str, str]
) -> None:
    """Whatever is sent, of whatever type, and however deep."""
    path = f"{IN_JIM}/usage/statements"
    text = {"": NO_BODY, "until": f"{NO_BODY[:-1]}: until is a parameter of its address."}
    for headers in ({}, {"content-type": "application/json"}):
        answer = site.call("POST", path, content=content, headers=headers)
        assert mistakes(answer) == {place: text[named] for place, named in pointers.items()}
    assert site.get(path)["items"] == []
    problem(site.call("POST", path, "viewer", content=content), 403, "not-allowed")


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b"null"])
def test_a_body_that_says_nothing_is_none(site: AdminSite, content: bytes) -> None:
    """As some clients send with every POST."""
    problem(site.call("POST", "/webhooks/wh_000000000000/test", content=content), 404, "not-found")


def test_a_condition_is_asked_for_before_the_body_is_looked_at(site: AdminSite) -> None:
    """428, then 422: who sent no condition is told that first, whatever else is wrong."""
    path, wrong = f"{IN_JIM}/pools/full", {"seats": -1}
    problem(site.call("PATCH", path, json=wrong), 428, "condition-needed")
    problem(site.call("PATCH", path, if_match="*", json=wrong), 422, "invalid-value")
    problem(site.call("PATCH", path, "viewer", json=wrong), 403, "not-allowed")


def test_a_moment_that_is_none_is_answered_with_what_is_right(site: AdminSite) -> None:
    """In an address too; a date in the tenant's zone, which is UTC here."""
    told = mistakes(site.call("GET", f"{IN_JIM}/denials?from=yesterday&until=2027-02-30"))
    assert told["query:from"].startswith("A date or an instant is written 2027-01-31")
    assert told["query:until"] == "There is no day 2027-02-30."
