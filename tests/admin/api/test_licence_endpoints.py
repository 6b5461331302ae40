"""Vendors and licences by the admin API: who may, what counts, what would end, and what is refused."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from licet.formats import instant
from licet.licences.armour import armoured
from licet.store import schema
from support.admin.admin_site import OTHER, AdminSite, problem
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.licences.vendors import TestVendor
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import JIM, START_MS

NOW_S = START_MS // 1000
LICENCES = f"/tenants/{JIM}/licences"
ACME = "/trust/acme/jim2-api"


def begun(place: Place, directory: Path) -> AdminSite:
    """An admin listener whose vendor is trusted; c1 and c2 have a session."""
    found = AdminSite(place, directory)
    for client in ("c1", "c2"):
        found.grant(client)
        found.clock.advance(seconds=1)
    assert trust(found).status_code == 201
    return found


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    """One on SQLite: what becomes of licences in either store, tests/setup/test_licences.py shows."""
    with closing(begun(sqlite_places.make(tmp_path, START_MS), tmp_path)) as found:
        yield found


@pytest.fixture
def on_each(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """One on each kind of store in turn."""
    with closing(begun(make_place(START_MS), tmp_path)) as found:
        yield found


def trust(site: AdminSite, vendor: TestVendor | None = None, who: str = "owner", **options: Any) -> Any:
    """Send the file of a vendor."""
    headers = {"content-type": "application/json"}
    content = vendor_file(vendor or the_vendor())
    path = f"/trust{options.pop('query', '')}"
    return site.call("POST", path, who, content=options.pop("content", content), headers=headers, **options)


def licence(**members: Any) -> str:
    """A licence of the pool, in its armour."""
    return armoured(text_of("full", "all", **({"seats": 2, "hold": 60} | members)))


def send(
    site: AdminSite, *files: str, at: str = LICENCES, who: str = "owner", **options: Any
) -> httpx.Response:
    """Send a file of licences."""
    headers = {"content-type": "text/plain"}
    return site.call("POST", at, who, content="".join(files), headers=headers, **options)


def states(site: AdminSite) -> list[tuple[str, int, str, bool]]:
    """What the list says of each licence."""
    found = site.get(LICENCES)["items"]
    return [(it["licence"], it["serial"], it["state"], it["counts"]) for it in found]


def test_a_licence_is_installed_and_shown_with_all_that_it_says(site: AdminSite) -> None:
    """In the answer, in the list, and by its id; its pool has the steps."""
    ends_s = NOW_S + 86_400
    sent = send(site, licence(exp=ends_s, grace=3600, overdraft=1))
    assert sent.status_code == 200, sent.text
    [made] = sent.json()["licences"]
    assert sent.json()["is_done"] is True
    assert made == {
        "licence": "C-1",
        "serial": 1,
        "vendor": "acme",
        "product": "jim2-api",
        "state": "valid",
        "counts": True,
        "superseded_by": None,
        "customer": None,
        "installation": None,
        "issued_at": instant(1_600_000_000_000),
        "begins_at": instant(1_600_000_000_000),
        "expires_at": made["expires_at"],
        "over_at": instant((ends_s + 3600) * 1000),
        "updates_until": None,
        "features": [],
        "pools": [
            {
                "pool": "full",
                "seats": 2,
                "overdraft": 1,
                "scopes": ["all"],
                "hold_s": 60,
                "access_ttl_max_s": 600,
                "duplicates": ["client", "user"],
            }
        ],
        "installed_at": instant(site.clock.now_ms()),
        "removed_at": None,
    }
    assert site.get(LICENCES)["items"] == site.get(f"{LICENCES}/C-1")["items"] == [made]
    steps = site.get(f"/tenants/{JIM}/pools/full")["steps"]
    assert [(it["from"], it["seats"], it["overdraft"], it["in_grace"]) for it in steps] == [
        (None, 0, 0, 0),
        (instant(1_600_000_000_000), 2, 1, 0),
        (instant(ends_s * 1000), 2, 1, 3),
        (instant((ends_s + 3600) * 1000), 0, 0, 0),
    ]
    assert [it["licences"] for it in steps] == [[], ["C-1"], ["C-1"], []]


def test_what_would_end_is_refused_until_the_caller_agrees(on_each: AdminSite) -> None:
    """To so many sessions; the refusal says whose, and changes nothing."""
    site = on_each
    file = licence(seats=1)
    told = problem(send(site, file), 409, "would-end-sessions")
    assert told["detail"].endswith("Nothing was changed; send may_end=1 to agree.")
    assert told["ending"] == {
        "sessions_ended": 1,
        "sessions_cut_short": 0,
        "clients": [{"tenant": JIM, "client_id": "c2", "user": "U2", "sessions": 1}],
        "clients_more": 0,
    }
    assert (site.count(schema.session), states(site)) == (2, [])
    sent = send(site, file, at=f"{LICENCES}?may_end=1")
    assert sent.json()["ending"]["sessions_ended"] == 1
    assert site.count(schema.session) == 1
    told = problem(site.call("DELETE", f"{LICENCES}/C-1/1"), 409, "would-end-sessions")
    assert told["ending"]["clients"][0]["client_id"] == "c1"
    assert states(site) == [("C-1", 1, "valid", True)]
    assert site.call("DELETE", f"{LICENCES}/C-1/1?may_end=5").status_code == 204
    assert states(site) == [("C-1", 1, "removed", False)]
    assert site.call("DELETE", f"{LICENCES}/C-1/1").status_code == 204


def test_sessions_that_would_be_cut_short_count_too(site: AdminSite) -> None:
    """The licence ends before they would."""
    file = licence(exp=NOW_S + 600)
    told = problem(send(site, file), 409, "would-end-sessions")
    assert (told["ending"]["sessions_ended"], told["ending"]["sessions_cut_short"]) == (0, 2)
    assert send(site, file, at=f"{LICENCES}?may_end=2").status_code == 200


def test_a_check_and_a_dry_run_say_what_would_be_and_change_nothing(site: AdminSite) -> None:
    """The check also says what would be installed; a file that is refused is an event all the same."""
    version, events = site.version(), site.count(schema.event)
    told = send(site, licence(seats=1), at=f"{LICENCES}/check").json()
    assert told["is_done"] is False
    assert [(it["licence"], it["state"]) for it in told["licences"]] == [("C-1", "valid")]
    assert told["ending"]["sessions_ended"] == 1
    rehearsed = send(site, licence(seats=1), at=f"{LICENCES}?dry_run=true").json()
    assert (rehearsed["dry_run"], rehearsed["sessions_ended"]) == (True, 1)
    assert (site.version(), site.count(schema.event), states(site)) == (version, events, [])
    problem(send(site, licence(tenant=OTHER), at=f"{LICENCES}/check"), 422, "licence-refused")
    assert (site.version(), site.count(schema.event), states(site)) == (version, events + 1, [])
    [event] = site.get("/journal?action=refuse&licence=C-1")["items"]
    assert (event["actor"], event["tenant"], event["target"]) == ("key owner", JIM, "licence C-1")
    assert event["detail"].startswith("other_tenant: it is for tenant 'Other'")


def test_what_is_installed_already_is_no_change(site: AdminSite) -> None:
    """Nor is what its vendor trusts already."""
    file = licence()
    assert send(site, file).status_code == 200
    version = site.version()
    again = send(site, file).json()
    assert (again["licences"], again["ending"]["sessions_ended"]) == ([], 0)
    assert trust(site).status_code == 201
    assert site.version() == version


def test_each_licence_says_why_it_does_not_count(site: AdminSite) -> None:
    """Removed, superseded, damaged, over, not begun, untrusted; and which do."""
    stranger = TestVendor("stranger", "its")
    assert trust(site, stranger).status_code == 201
    now = {"iat": 1_600_000_000}
    strange = stranger.sign(
        stranger.claims(**now, licence="S", pools={"other": {"seats": 1, "scopes": ["x"]}})
    )
    site.call("POST", f"/tenants/{JIM}/pools", json={"name": "other", "seats": 1})
    for file in (licence(name="gone"), licence(name="row"), licence(), armoured(strange)):
        assert send(site, file).is_success
    many = [
        licence(serial=2),
        licence(name="late", nbf=NOW_S + 1000),
        licence(name="grace", exp=NOW_S - 10, grace=10_000),
        licence(name="over", exp=NOW_S - 10),
    ]
    assert send(site, *many).is_success
    assert site.call("DELETE", f"{LICENCES}/gone/1").status_code == 204
    with site.store.transaction() as transaction:
        row = schema.licence.c
        transaction.connection.execute(update(schema.licence).where(row.licence == "row").values(text="x"))
    assert site.call("DELETE", "/trust/stranger/its").status_code == 204
    assert states(site) == [
        ("C-1", 1, "superseded", False),
        ("C-1", 2, "valid", True),
        ("S", 1, "untrusted", False),
        ("gone", 1, "removed", False),
        ("grace", 1, "grace", True),
        ("late", 1, "not_yet", False),
        ("over", 1, "over", False),
        ("row", 1, "damaged", False),
    ]
    [first, second] = site.get(f"{LICENCES}/C-1")["items"]
    assert (first["superseded_by"], second["superseded_by"]) == (2, None)
    [damaged] = site.get(f"{LICENCES}/row")["items"]
    assert (damaged["pools"], damaged["customer"], damaged["begins_at"]) == ([], None, None)
    problem(site.call("GET", f"{LICENCES}/nothing"), 404, "not-found")
    page = site.get(f"{LICENCES}/C-1?limit=1")
    assert page["items"] == [first]
    assert site.get(f"{LICENCES}/C-1?limit=1&cursor={page['next']}") == {"items": [second], "next": None}


def test_licences_that_contradict_each_other_since_a_vendor_is_trusted_again_do_not_count(
    site: AdminSite,
) -> None:
    """Two vendors of one pool; the steps say so, too."""
    assert send(site, licence()).is_success
    site.call("DELETE", f"{ACME}?may_end=9")
    other = TestVendor("other", "its")
    assert trust(site, other).is_success
    made = other.sign(other.claims(licence="O", iat=1_600_000_000))
    assert send(site, armoured(made)).is_success
    assert trust(site, query="?may_end=9").is_success
    assert states(site) == [("C-1", 1, "contradicted", False), ("O", 1, "contradicted", False)]
    steps = site.get(f"/tenants/{JIM}/pools/full")["steps"]
    assert (steps[-1]["conflict"], steps[-1]["seats"]) == ("two_vendors", 0)


def test_vendors_are_listed_shown_and_removed(site: AdminSite) -> None:
    """One whose row was changed by hand is there with no key, and can be trusted anew."""
    kid = the_vendor().kid
    shown = {"vendor": "acme", "product": "jim2-api", "keys": [kid], "added_at": instant(site.clock.now_ms())}
    assert site.get("/trust", "viewer") == {"items": [shown], "next": None}
    assert site.get(ACME, "viewer") == shown
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.vendor).values(text="{}"))
    assert site.get(ACME)["keys"] == []
    assert problem(send(site, licence()), 422, "licence-refused")["code"] == "unknown_key"
    assert trust(site).json()["keys"] == [kid]
    assert send(site, licence()).is_success
    told = problem(site.call("DELETE", ACME), 409, "would-end-sessions")
    assert told["ending"]["sessions_ended"] == 2
    assert site.call("DELETE", f"{ACME}?may_end=2").status_code == 204
    assert site.call("DELETE", ACME).status_code == 204
    problem(site.call("GET", ACME), 404, "not-found")


def test_who_owns_one_tenant_installs_there_and_does_nothing_else(site: AdminSite) -> None:
    """Another tenant is not there; trust and removal are for owners of all tenants."""
    who, there = "owner of Other", f"/tenants/{OTHER}/licences"
    problem(send(site, licence(), who=who), 404, "not-found")
    problem(send(site, licence(), at=f"{LICENCES}/check", who=who), 404, "not-found")
    problem(site.call("GET", LICENCES, who), 404, "not-found")
    assert send(site, licence(tenant=OTHER), at=there, who=who).is_success
    assert [it["state"] for it in site.get(there, who)["items"]] == ["valid"]
    assert site.event()[:3] == ("key owner-of-other", OTHER, "install")
    problem(site.call("DELETE", f"{there}/C-1/1", who), 403, "not-allowed")
    problem(site.call("DELETE", ACME, who), 403, "not-allowed")
    problem(site.call("GET", "/trust", who), 403, "not-allowed")
    problem(trust(site, TestVendor("b"), who), 403, "not-allowed")
    problem(send(site, licence(), at=there, who="operator of Other"), 403, "not-allowed")
    assert states(site) == []


def test_a_file_is_sent_as_it_is(site: AdminSite) -> None:
    """Neither as JSON nor as a form, and not larger than a file of licences may be."""
    headers = {"content-type": "application/json"}
    refused = site.call("POST", LICENCES, content=licence(), headers=headers)
    assert problem(refused, 415, "wrong-media-type")["detail"].endswith("Content-Type: text/plain.")
    refused = site.call("POST", "/trust", content="{}", headers={"content-type": "text/plain"})
    problem(refused, 415, "wrong-media-type")
    problem(send(site, "x" * 300_001), 413, "too-large")
    assert problem(send(site, "x" * 300_000), 422, "licence-refused")["code"] == "not_a_licence"


def test_a_pool_that_is_not_there_or_counted_otherwise_is_said_with_what_helps(site: AdminSite) -> None:
    """409: the licence is right, and the set-up is not."""
    missing = armoured(text_of("other", "all", seats=2))
    told = problem(send(site, missing), 409, "not-possible")
    assert told["detail"] == ("Licence C-1 is for pool other, and tenant Jim_Test has none. addPool adds it.")
    assert (told["code"], told["subject"]["name"]) == ("not_found", "other")
    told = problem(send(site, licence(duplicates=["user"])), 409, "not-possible")
    assert told["detail"].endswith("change how the pool counts first. changePool changes it.")


def test_a_licence_whose_id_another_vendor_uses_is_removed_by_its_vendor(site: AdminSite) -> None:
    """Neither of the two by chance."""
    other = TestVendor("b", "its")
    assert trust(site, other).is_success
    site.call("POST", f"/tenants/{JIM}/pools", json={"name": "other", "seats": 1})
    pools = {"other": {"seats": 1, "scopes": ["x"]}}
    beside = other.sign(other.claims(licence="C-1", iat=1_600_000_000, pools=pools))
    assert send(site, licence()).is_success
    assert send(site, armoured(beside)).is_success
    told = problem(site.call("DELETE", f"{LICENCES}/C-1/1"), 409, "not-possible")
    assert told["detail"].endswith("acme for jim2-api, b for its; say which vendor and product.")
    assert site.call("DELETE", f"{LICENCES}/C-1/1?vendor=b&product=its").status_code == 204
    found = {it["vendor"]: it["state"] for it in site.get(f"{LICENCES}/C-1")["items"]}
    assert found == {"acme": "valid", "b": "removed"}


def test_a_pool_is_made_unsigned_when_its_licences_were_removed(site: AdminSite) -> None:
    """Not before; then it has the seats that are set. Only owners of all tenants do that."""
    assert send(site, licence()).is_success
    where = f"/tenants/{JIM}/pools/full"
    problem(site.call("POST", f"/tenants/{OTHER}/pools/full/unsign", "owner of Other"), 403, "not-allowed")
    told = problem(site.call("POST", f"{where}/unsign"), 409, "not-possible")
    assert told["detail"].startswith("Pool full is in licence C-1; remove it first")
    assert site.call("DELETE", f"{LICENCES}/C-1/1?may_end=9").status_code == 204
    assert site.get(where)["signed"] is True
    assert site.call("POST", f"{where}/unsign").status_code == 204
    found = site.get(where)
    assert (found["signed"], found["seats"], found["steps"]) == (False, 5, [])
    assert site.call("POST", f"{where}/unsign").status_code == 204
    problem(site.call("POST", f"/tenants/{JIM}/pools/nothing/unsign"), 404, "not-found")
