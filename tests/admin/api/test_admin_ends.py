"""The admin API for who calls it by hand: ends as dates, where its description is, refusals that help."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from licet.setup.change import changing
from support.admin_site import AdminSite, mistakes, problem
from support.kinds import Place
from support.setup_site import ADA, JIM, START_MS

POOL = f"/tenants/{JIM}/pools/full"


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """A tenant in Sydney."""
    site = AdminSite(make_place(START_MS), tmp_path)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(time_zone="Australia/Sydney")
    yield site
    site.close()


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ("2037-01-31", "2037-01-31T13:00:00Z"),
        ("2037-01-31T18:00", "2037-01-31T07:00:00Z"),
        ("2037-01-31T18:00:00Z", "2037-01-31T18:00:00Z"),
        ("never", None),
        (None, None),
    ],
)
def test_a_pool_takes_its_end_as_a_date(site: AdminSite, given: str | None, ends: str | None) -> None:
    """As on the command line: the end of that day, by the clocks of the tenant. Both forms are answered."""
    etag = site.call("GET", POOL).headers["etag"]
    answer = site.call("PATCH", POOL, if_match=etag, json={"expires_at": given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_at"] == ends
    assert (answer.json()["expires_at_ms"] is None) == (ends is None)
    made = site.call("POST", f"/tenants/{JIM}/pools", json={"name": "p", "seats": 1, "expires_at": given})
    assert made.json()["expires_at"] == ends


@pytest.mark.parametrize("given", ["tomorrow", "2037-02-30", "2037-10-04T02:30", ""])
def test_an_end_that_is_none_is_refused(site: AdminSite, given: str) -> None:
    etag = site.call("GET", POOL).headers["etag"]
    answer = site.call("PATCH", POOL, if_match=etag, json={"expires_at": given})
    if given:
        problem(answer, 422, "invalid-value")
    else:
        assert answer.json()["expires_at"] is None


def test_one_end_is_enough(site: AdminSite) -> None:
    etag = site.call("GET", POOL).headers["etag"]
    both = {"expires_at": "2037-01-31", "expires_at_ms": 1}
    found = problem(site.call("PATCH", POOL, if_match=etag, json=both), 422, "invalid-value")
    assert "expires_at or expires_at_ms" in str(found)


def test_an_instant_of_another_form_is_told_how_it_is_called(site: AdminSite) -> None:
    answer = site.call("POST", "/api-keys", json={"name": "k", "role": "viewer", "expires_at": "2037-01-31"})
    assert "expires_at_ms is an instant in milliseconds" in mistakes(answer)["#/expires_at"]


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_does_not_say_that_it_is_json_is_told_so(site: AdminSite, kind: str | None) -> None:
    """As curl -d sends it, which is a form unless somebody says otherwise."""
    headers = {"content-type": kind} if kind else {}
    answer = site.call("POST", f"/tenants/{JIM}/users", headers=headers, content=b'{"initials": "ZZ"}')
    assert problem(answer, 415, "wrong-media-type")["detail"] == (
        "Send the body with Content-Type: application/json."
    )


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/v1", "/api/v1/"])
def test_where_somebody_looks_for_the_description_leads_to_it(site: AdminSite, path: str) -> None:
    answer = site.node.send("GET", path, headers={})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/v1/openapi.json"


@pytest.mark.parametrize("body", [{"client": "Nope"}, {"user": "QQ"}])
def test_sessions_of_nobody_are_not_ended(site: AdminSite, body: dict[str, str]) -> None:
    """A name that is mistyped is no success with zero sessions."""
    problem(site.call("POST", f"/tenants/{JIM}/sessions/end", json=body), 404, "not-found")


def test_a_client_that_cannot_authenticate_is_made_with_a_warning(site: AdminSite) -> None:
    path = f"/tenants/{JIM}"
    site.call("POST", f"{path}/users", json={"initials": "NP"}).raise_for_status()
    made = site.call("POST", f"{path}/clients", json={"client_id": "Mute", "user": "NP"})
    assert made.status_code == 201
    (warning,) = made.json()["warnings"]
    assert warning.startswith("It has no way to authenticate")
    made = site.call(
        "POST", f"{path}/clients", json={"client_id": "Able", "user": "NP", "generate_secret": True}
    )
    assert made.json()["warnings"] == []
