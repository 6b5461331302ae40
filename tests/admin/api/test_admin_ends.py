"""The admin API for who calls it by hand: ends as dates, where its description is, refusals that help."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from licet.setup.change import changing
from support.admin.admin_site import AdminSite, mistakes, problem
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

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
        (None, None),
    ],
)
def test_a_pool_takes_its_end_as_a_date(site: AdminSite, given: str | None, ends: str | None) -> None:
    """As on the command line: the end of that day, by the clocks of the tenant."""
    etag = site.call("GET", POOL).headers["etag"]
    answer = site.call("PATCH", POOL, if_match=etag, json={"expires_at": given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_at"] == ends
    made = site.call("POST", f"/tenants/{JIM}/pools", json={"name": "p", "seats": 1, "expires_at": given})
    assert made.json()["expires_at"] == ends


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("tomorrow", "A date or an instant is written 2027-01-31, 2027-01-31T18:00"),
        ("never", "A date or an instant is written"),
        ("", "A date or an instant is written"),
        (2_116_000_000_000, "A date or an instant is written"),
        ("2037-02-30", "There is no day 2037-02-30."),
        ("2037-10-04T02:30", "There is no 02:30 on 2037-10-04"),
        ("9999-12-31", "A moment is in the years 1970 to 9998"),
    ],
)
def test_an_end_that_is_none_is_refused(site: AdminSite, given: object, allowed: str) -> None:
    """With what is right."""
    etag = site.call("GET", POOL).headers["etag"]
    answer = site.call("PATCH", POOL, if_match=etag, json={"expires_at": given})
    problem(answer, 422, "invalid-value")
    assert allowed in mistakes(answer)["#/expires_at"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api-keys", {"name": "k", "role": "viewer"}),
        (f"/tenants/{JIM}/pools", {"name": "p", "seats": 1}),
        (f"/tenants/{JIM}/clients/c1/secrets", {}),
    ],
)
def test_milliseconds_are_answered_with_the_name_of_the_field(
    site: AdminSite, path: str, body: dict[str, Any]
) -> None:
    """There is one form of an instant, in every body."""
    answer = site.call("POST", path, json={**body, "expires_at_ms": 2_116_000_000_000})
    assert mistakes(answer) == {"#/expires_at_ms": "There is no such field; did you mean expires_at?"}


def test_every_end_is_a_date_or_an_instant(site: AdminSite) -> None:
    """Of a secret in the tenant's zone, of an API key in UTC."""
    admin = site.admin_client()
    day = date(2037, 1, 31)
    assert admin.add_secret(JIM, "c1", expires_at=day).expires_at == datetime(2037, 1, 31, 13, tzinfo=UTC)
    rotated = admin.rotate_secret(JIM, "c1", expires_at="2037-01-31T18:00")
    assert rotated.expires_at == datetime(2037, 1, 31, 7, tzinfo=UTC)
    made = admin.add_client(JIM, client_id="d", user="U1", generate_secret=True, secret_expires_at=day)
    assert made.secret is not None
    assert made.secret.expires_at == datetime(2037, 1, 31, 13, tzinfo=UTC)
    assert admin.add_api_key(name="k", expires_at=day).expires_at == datetime(2037, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_does_not_say_that_it_is_json_is_told_so(site: AdminSite, kind: str | None) -> None:
    """As curl -d sends it, which is a form unless somebody says otherwise."""
    headers = {"content-type": kind} if kind else {}
    answer = site.call("POST", f"/tenants/{JIM}/users", headers=headers, content=b'{"initials": "ZZ"}')
    assert problem(answer, 415, "wrong-media-type")["detail"] == (
        "Send the body with Content-Type: application/json."
    )


@pytest.mark.parametrize("body", [{"client": "Nope"}, {"user": "QQ"}])
def test_sessions_of_nobody_are_not_ended(site: AdminSite, body: dict[str, str]) -> None:
    """A name that is mistyped is no success with zero sessions."""
    problem(site.call("POST", f"/tenants/{JIM}/sessions/end", json=body), 404, "not-found")


def test_a_user_without_a_password_is_made_with_a_warning(site: AdminSite) -> None:
    """Which says what helps; with a password there is none, and later it is not repeated."""
    path = f"/tenants/{JIM}/users"
    made = site.call("POST", path, json={"initials": "NP"})
    [warning] = made.json()["warnings"]
    assert warning.startswith("It has no password: its clients authenticate by a secret or a key")
    assert made.headers["etag"] == site.call("GET", f"{path}/NP").headers["etag"]
    assert "warnings" not in site.get(f"{path}/NP")
    body = {"initials": "WP", "password": "correct horse battery"}
    assert site.call("POST", path, json=body).json()["warnings"] == []


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
