"""The admin API, who is in and what happened: sessions, seats, usage, denials, the journal, upkeep."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from licet.admin_client import ANY
from licet.credentials.keyring import SIGNS_AFTER_MS, fingerprint, read_keyring
from licet.formats import instant
from licet.journal.refusals import Failure, FailureKey, RefusedRequest, write_refusals
from licet.ledger.commands import Denied
from licet.setup.change import changing
from licet.vendor.statements import read_statement, split, troubles
from support.admin.admin_site import API, OTHER, AdminSite, mistakes, problem
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, SESSION_S, START_MS

OF_JIM = f"/tenants/{JIM}"
SESSIONS = f"{OF_JIM}/sessions"


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener on each kind of store."""
    found = AdminSite(make_place(START_MS), tmp_path)
    yield found
    found.close()


def test_sessions_are_listed_oldest_first_in_pages(site: AdminSite) -> None:
    """A page stays right when sessions before it end."""
    granted = [site.grant("c1"), site.grant("c2", "view"), site.grant("c3", "view", "all"), site.grant("c1")]
    sids = [it.session.sid.hex() for it in granted]
    first = site.get(f"{SESSIONS}?limit=2")
    assert [it["sid"] for it in first["items"]] == sids[:2]
    assert first["items"][1] == site.get(f"{SESSIONS}/{sids[1]}")
    assert first["items"][0].items() >= {"client_id": "c1", "user": "U1", "scope": "all"}.items()
    site.call("POST", f"{SESSIONS}/end", json={"sids": sids[:2]})
    rest = site.get(f"{SESSIONS}?limit=2&cursor={first['next']}")
    assert ([it["sid"] for it in rest["items"]], rest["next"]) == (sids[2:], None)
    for query, found in {"client=c1": [3], "user=U3": [2], "scope=view": [2], "client=no": []}.items():
        assert [it["sid"] for it in site.get(f"{SESSIONS}?{query}")["items"]] == [sids[at] for at in found]
    problem(site.call("GET", f"{SESSIONS}/{'0' * 40}"), 404, "not-found")
    assert mistakes(site.call("GET", f"{SESSIONS}/x")).keys() == {"path:sid"}


def test_an_operator_ends_sessions_with_a_reason_and_a_cool_down(site: AdminSite) -> None:
    """Their tokens and seats are gone at once, and their clients get no seat for a while."""
    stuck, other = site.grant("c1"), site.grant("c2")
    operator, sids = site.admin_client("operator"), [stuck.session.sid.hex()] * 2
    ended = operator.end_sessions(JIM, sids=sids, reason="It hangs", cool_down_s=300)
    assert (ended.sessions, ended.seats, ended.clients) == (1, 1, ("c1",))
    assert ended.suspended_until is not None
    assert (site.lives(stuck), site.lives(other)) == (False, True)
    assert isinstance(site.ask("c1"), Denied)
    assert site.event()[0] == "key operator"
    assert "It hangs" in site.event()[4]
    again = operator.end_sessions(JIM, sids=sids, reason="It hangs", cool_down_s=300)
    assert (again.sessions, again.clients) == (0, ())


@pytest.mark.parametrize(
    ("which", "left"),
    [({"client": "c1"}, ["c2", "c3"]), ({"user": "U2"}, ["c1", "c3"]), ({"all": True}, [])],
)
def test_sessions_of_a_client_or_user_or_all_end(
    which: dict[str, object], left: list[str], site: AdminSite
) -> None:
    """Those that live when it is done, and of no other tenant."""
    for client in ("c1", "c2", "c3"):
        site.grant(client)
    assert site.call("POST", f"{SESSIONS}/end", json=which).json()["sessions"] == 3 - len(left)
    assert [it["client_id"] for it in site.get(SESSIONS)["items"]] == left
    site.check()


def test_which_sessions_has_to_be_said_in_one_way(site: AdminSite) -> None:
    """Nobody ends all of them by leaving something out."""
    sid = "0" * 40
    unclear: list[dict[str, object]] = [{}, {"all": False}, {"all": True, "client": "c1"}]
    for body in (*unclear, {"sids": [sid], "user": "U1"}):
        told = mistakes(site.call("POST", f"{SESSIONS}/end", json=body))
        assert told == {"": "Say which sessions: sids, or client and user, or all."}
    for sids in ([], ["x"], [sid] * 1001):
        assert len(mistakes(site.call("POST", f"{SESSIONS}/end", json={"sids": sids}))) == 1
    wrong = {"all": True, "reason": "a\nb", "cool_down_s": 86_401}
    told = mistakes(site.call("POST", f"{SESSIONS}/end", json=wrong))
    assert told.keys() == {"#/reason", "#/cool_down_s"}


def test_seats_and_overview_are_those_of_the_store(site: AdminSite) -> None:
    """What a page and `licet seats` show."""
    site.grant("c1")
    site.grant("c2", "view")
    found = site.get(f"{OF_JIM}/seats", "viewer")
    (pool,) = found["pools"]
    assert (pool["pool"], pool["seats"], pool["in_use"]) == ("full", 5, 1)
    assert [seat["client_id"] for seat in pool["in_use_by"]] == ["c1"]
    assert len(found["unlicensed"]) == 1
    first = site.get("/overview?limit=1", "viewer")
    assert [tenant["tenant"] for tenant in first["items"]] == [JIM]
    rest = site.get(f"/overview?limit=1&cursor={first['next']}", "viewer")
    assert ([tenant["tenant"] for tenant in rest["items"]], rest["next"]) == (["Other"], None)


def test_usage_has_a_span(site: AdminSite) -> None:
    """One that ends now, or any within the journal's life."""
    site.grant("c1")
    now_ms = site.context.clock.now_ms()
    span = f"from={instant(now_ms - 3_600_000)}&until={instant(now_ms + 60_000)}"
    found = site.get(f"{OF_JIM}/usage?{span}&zone=Europe/London")
    assert found["pools"][0]["peak"] == 1
    assert site.get(f"{OF_JIM}/usage?reach=30d")["pools"][0]["pool"] == "full"
    for query, where in {
        "reach=1d": "query:reach",
        "reach=24h&from=2026-01-01": "query:reach",
        "from=2026-01-02T10:00&until=2026-01-02T09:59": "query:until",
        "from=1970-01-01": "query:until",
        "zone=Nowhere": "query:zone",
        "zone=../etc/passwd": "query:zone",
        "from=-1": "query:from",
    }.items():
        assert mistakes(site.call("GET", f"{OF_JIM}/usage?{query}")).keys() == {where}, query


def test_denials_and_who_held_the_seats_then(site: AdminSite) -> None:
    """Why somebody was refused this morning."""
    site.admin_client().change_pool(JIM, "full", if_match=ANY, seats=1)
    site.grant("c1")
    assert isinstance(site.ask("c2"), Denied)
    viewer = site.admin_client("viewer")
    [denied] = viewer.list_denials(JIM)
    assert (denied.client_id, denied.user, denied.reason, denied.times) == ("c2", "U2", "all_in_use", 1)
    [holder] = viewer.list_holders(JIM, pool="full", at=denied.last_at)
    assert (holder.client_id, holder.freed_at) == ("c1", None)
    assert not [*viewer.list_denials(JIM, reason="no_seats")]
    assert not [*viewer.list_denials(JIM, from_=denied.last_at + timedelta(minutes=2))]
    assert mistakes(site.call("GET", f"{OF_JIM}/denials?reason=x")).keys() == {"query:reason"}


def test_the_journal_has_what_happened_and_who_did_what(site: AdminSite) -> None:
    """Newest first, in pages, and each entry says which kind it is."""
    site.grant("c1")
    site.clock.advance(seconds=60)
    site.admin_client().change_pool(JIM, "full", if_match=ANY, seats=4)
    found = site.get(f"{OF_JIM}/journal?kind=granted&kind=event&limit=1", "viewer")
    assert [(it["entry"], it.get("detail")) for it in found["items"]] == [("event", "seats 5 -> 4")]
    rest = site.get(f"{OF_JIM}/journal?kind=granted&limit=1&cursor={found['next']}", "viewer")
    assert [(it["entry"], it["kind"], it["client_id"]) for it in rest["items"]] == [
        ("journal", "granted", "c1")
    ]
    by_key = site.get("/journal?actor=key%20owner", "viewer")["items"]
    assert [it["target"] for it in by_key] == ["pool full"]
    assert mistakes(site.call("GET", "/journal?kind=x")).keys() == {"query:kind/0"}
    assert mistakes(site.call("GET", "/journal?cursor=AAAA")).keys() == {"query:cursor"}


def test_what_expired_is_not_there(site: AdminSite) -> None:
    """L4, swept or not."""
    site.grant("c1")
    site.clock.advance(seconds=SESSION_S)
    site.store.refresh_tenants()
    with site.store.transaction() as transaction:  # A database's clock is heard of by what it answers.
        transaction.load(())
    assert site.get(SESSIONS)["items"] == []
    assert site.get(f"{OF_JIM}/seats")["pools"][0]["in_use"] == 0


class TestKeys:
    """The keys that sign tokens."""

    def test_a_key_is_added_and_the_older_ones_go_when_it_signs(self, site: AdminSite) -> None:
        """What they are is never shown."""
        made = site.call("POST", "/keys", json={"signs_after_s": 60})
        keyring = read_keyring(site.context.keyring_path)
        assert [key.id for key in keyring.token_keys] == [1, 2]
        assert made.json()["fingerprint"] == fingerprint(keyring.newest.key)
        assert made.json()["signs_at"] == instant(keyring.newest.created_at_ms + 60_000)
        assert site.event()[:4] == ("key owner", "", "add", "key 2")
        assert [key["signs"] for key in site.call("POST", "/keys/prune").json()["items"]] == [True, False]
        site.call("POST", "/keys", json={})
        newest = site.get("/keys", "viewer")["items"]
        assert [(key["id"], key["signs"]) for key in newest] == [(1, False), (2, False), (3, True)]
        created_at, signs_at = (newest[-1][name] for name in ("created_at", "signs_at"))
        signs_after = datetime.fromisoformat(signs_at) - datetime.fromisoformat(created_at)
        assert signs_after == timedelta(milliseconds=SIGNS_AFTER_MS)
        assert keyring.newest.key.hex() not in str(newest)

    def test_there_are_not_more_than_there_may_be(self, site: AdminSite) -> None:
        """409 says what to do."""
        for _ in range(15):
            assert site.call("POST", "/keys", json={"signs_after_s": 1000}).status_code == 201
        problem(site.call("POST", "/keys", json={}), 409, "not-possible")

    def test_a_file_that_is_lost_is_told(self, site: AdminSite) -> None:
        """503 says what to do, and no secret is made with another pepper."""
        site.context.keyring_path.unlink()
        told = problem(site.call("GET", "/keys"), 503, "store-unavailable")
        assert "cannot be read" in told["detail"]
        body = {"name": "deploy"}
        problem(site.call("POST", "/api-keys", json=body), 503, "store-unavailable")


def test_the_check_finds_what_is_wrong(site: AdminSite) -> None:
    """As `licet check`."""
    site.call("PATCH", f"{OF_JIM}/pools/full", if_match="*", json={"seats": 0})
    findings = site.get("/check", "viewer")["findings"]
    assert {"is_wrong": True, "tenant": JIM, "target": "pool full"}.items() <= next(
        it for it in findings if it["problem"] == "it has no seats"
    ).items()


def fail(site: AdminSite, request_id: str, **changed: Any) -> None:
    """An authentication failed, as the server writes it."""
    at_ms = site.store.clock.now_ms()
    tenant = site.store.tenant(JIM)
    assert tenant is not None
    key = FailureKey(tenant.id, at_ms // 60_000, "client", "wrong_secret", "c1")._replace(**changed)
    request = RefusedRequest(
        request_id, key.tenant_id, at_ms, "failed", key.cause, "", key.who, key.name, "", "192.0.2.7"
    )
    write_refusals(site.store, {key: Failure("", 2, at_ms, at_ms, "192.0.2.7")}, [request])


def test_failed_authentications_are_seen_by_whom_they_concern(site: AdminSite) -> None:
    """A tenant's by its own; of none by those of all tenants; of administrators by owners of all tenants."""
    other = site.store.tenant(OTHER)
    assert other is not None
    fail(site, "1-1")
    fail(site, "1-2", tenant_id=other.id)
    fail(site, "1-3", tenant_id=0, name="", cause="unknown_tenant")
    fail(site, "1-4", tenant_id=0, name="ada", who="administrator")
    sees = {
        "owner": ["1-1", "1-2", "1-3", "1-4"],
        "operator": ["1-1", "1-2", "1-3"],
        "viewer": ["1-1", "1-2", "1-3"],
        "viewer of Other": ["1-2"],
        "owner of Other": ["1-2"],
    }
    for who, ids in sees.items():
        statuses = {it: site.call("GET", f"/refused-requests/1-{it}", who).status_code for it in range(1, 6)}
        assert [f"1-{it}" for it, status in statuses.items() if status == 200] == ids, who
        assert len(site.get("/failures", who)["items"]) == len(ids), who
        assert len(site.get("/journal?kind=failed", who)["items"]) == len(ids), who
    problem(site.call("GET", f"{OF_JIM}/failures", "viewer of Other"), 404, "not-found")
    of_jim = site.get(f"{OF_JIM}/failures?cause=wrong_secret&client=c1", "viewer")["items"]
    assert [(it["tenant"], it["name"], it["times"]) for it in of_jim] == [(JIM, "c1", 2)]
    assert site.get(f"{OF_JIM}/failures?cause=throttled", "viewer")["items"] == []
    assert mistakes(site.call("GET", "/failures?cause=x")).keys() == {"query:cause"}
    found = site.get("/refused-requests/1-3")
    assert (found["tenant"], found["kind"], found["reason"]) == ("", "failed", "unknown_tenant")
    hidden = site.call("GET", "/refused-requests/1-1", "viewer of Other").json()
    nothing = site.call("GET", "/refused-requests/1-9", "viewer of Other").json()
    assert {**hidden, "request_id": ""} == {**nothing, "request_id": ""}


def test_costs_are_split_by_cost_centre_and_by_group(site: AdminSite) -> None:
    """The parts of a price add up to it; without one there is no cost."""
    for client in ("c1", "c2"):
        site.grant(client)
    changed = site.call("PATCH", f"{OF_JIM}/users/U1", if_match="*", json={"cost_centre": "4711"})
    assert changed.json()["cost_centre"] == "4711"
    site.clock.advance(seconds=600)
    report = site.get(f"{OF_JIM}/usage/costs?by=cost-centre&price=99.99&reach=24h")
    [pool] = report["pools"]
    assert {part["name"] for part in pool["parts"]} == {"4711", None}
    assert round(sum(part["cost"] for part in pool["parts"]), 2) == pool["cost"]
    [pool] = site.get(f"{OF_JIM}/usage/costs?by=group&reach=24h")["pools"]
    assert [(part["name"], part["share"], part["cost"]) for part in pool["parts"]] == [(None, 1.0, None)]
    for wrong in ("", "?by=week", "?by=group&price=-1", "?by=group&price=nan", "?by=group&price=1e300"):
        assert mistakes(site.call("GET", f"{OF_JIM}/usage/costs{wrong}")).keys() <= {
            "query:by",
            "query:price",
        }
        assert site.call("GET", f"{OF_JIM}/usage/costs{wrong}").status_code == 422
    for centre in ("", "x" * 65, "a\nb", 5):
        body = {"cost_centre": centre}
        assert site.call("PATCH", f"{OF_JIM}/users/U1", if_match="*", json=body).status_code == 422


def test_an_export_is_a_report_log_or_csv_or_json(site: AdminSite) -> None:
    """The same lines, each with its type."""
    site.grant("c1")
    site.clock.advance(seconds=60)
    found = {
        form: site.call("GET", f"{OF_JIM}/usage/export?format={form}") for form in ("rlm", "csv", "json")
    }
    types = {form: answer.headers["content-type"].partition(";")[0] for form, answer in found.items()}
    assert types == {"rlm": "text/plain", "csv": "text/csv", "json": "application/json"}
    assert [it["event"] for it in found["json"].json()] == ["OUT", "INUSE"]
    assert len(found["csv"].text.splitlines()) == 3
    assert "\nOUT full 1.0 " in found["rlm"].text
    assert site.call("GET", f"{OF_JIM}/usage/export?format=xml").status_code == 422


def test_a_true_up_and_a_harvest_are_those_of_the_last_month(site: AdminSite) -> None:
    """By days of the tenant's zone; a span may be chosen as for the usage."""
    granted = [site.ask(f"c{number}") for number in (1, 2, 3)]
    assert granted
    report = site.get(f"{OF_JIM}/usage/true-up")
    assert len(report["pools"][0]["days"]) == 30
    assert report["pools"][0].items() >= {"pool": "full", "overdraft_s": 0, "is_signed": False}.items()
    assert len(site.get(f"{OF_JIM}/usage/true-up?reach=7d")["pools"][0]["days"]) == 7
    assert site.get(f"{OF_JIM}/usage/harvest")["pools"][0]["pool"] == "full"
    mistaken = mistakes(site.call("GET", f"{OF_JIM}/usage/harvest?reach=7d&from=2023-01-01"))
    assert mistaken.keys() == {"query:reach"}


@pytest.mark.parametrize(
    ("operation", "path", "days"),
    [
        ("getUsage", "", 7),
        ("getTrueUp", "/true-up", 30),
        ("getHarvest", "/harvest", 30),
        ("getCosts", "/costs?by=group", 30),
        ("getWhatIf", "/what-if?pool=full", 7),
    ],
)
def test_a_report_has_by_default_the_days_that_its_description_says(
    site: AdminSite, operation: str, path: str, days: int
) -> None:
    """The same as on the command line and on the pages."""
    path = f"{OF_JIM}/usage{path}"
    usual, named = site.get(path), site.get(f"{path}{'&' if '?' in path else '?'}reach={days}d")
    assert usual["from"] == named["from"]
    document = site.node.send("GET", f"{API}/openapi.json").json()["paths"].values()
    (text,) = (it["get"]["summary"] for it in document if it.get("get", {}).get("operationId") == operation)
    assert f"of the last {days} days by default" in text
    last = site.get(f"{path}{'&' if '?' in path else '?'}until=2022-12-30")
    begins, ends = (datetime.fromisoformat(last[name]) for name in ("from", "until"))
    assert (begins.date(), ends - begins) == (date(2022, 12, 31) - timedelta(days=days), timedelta(days=days))


def test_what_if_replays_a_pool_of_the_tenant(site: AdminSite) -> None:
    """With today's set-up and another; of a span of 31 days at most, and a pool that is there."""
    site.grant("c1")
    found = site.get(f"{OF_JIM}/usage/what-if?pool=full&seats=0&hold_s=60")
    assert (found["recorded_peak"], found["today"]["peak"], found["other"]["peak"]) == (1, 1, 0)
    assert found["other_setup"].items() >= {"seats": 0, "hold_s": 60}.items()
    assert (found["peak_error"], found["turned_away_error"]) == (0.0, 0.0)
    before = site.get(f"{OF_JIM}/usage/what-if?pool=full&from=2023-01-01&until=2023-01-02")
    assert (before["peak_error"], before["turned_away_error"]) == (None, None)
    problem(site.call("GET", f"{OF_JIM}/usage/what-if?pool=none"), 404, "not-found")
    long = site.call("GET", f"{OF_JIM}/usage/what-if?pool=full&reach=90d")
    assert mistakes(long).keys() == {"query:until"}


def test_what_if_replays_other_options_in_the_words_of_the_command_line(site: AdminSite) -> None:
    """An empty one is nobody, and 0 no limit; what is not asked for is as it is today."""
    site.grant("c1")
    path = f"{OF_JIM}/usage/what-if?pool=full"
    excluded = site.get(f"{path}&exclude=user:U1&max_per_user=3")
    assert (excluded["today"]["peak"], excluded["other"]["peak"]) == (1, 0)
    assert excluded["other_setup"]["rules"].items() >= {"exclude": ["user:U1"], "max_per_user": 3}.items()
    reserved = site.get(f"{path}&reserve=2:client:c2&reserve=1:user:U1&max=1:client:c1&named=")
    assert reserved["other_setup"]["rules"]["reserve"] == ["2:client:c2", "1:user:U1"]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", exclude=("client:c3",), max_per_client=4)
    assert site.get(path)["other_setup"]["rules"]["exclude"] == ["client:c3"]
    none = site.get(f"{path}&exclude=&max_per_client=0")["other_setup"]["rules"]
    assert (none["exclude"], none["max_per_client"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("exclude=TC", {"exclude"}),
        ("exclude=user:U1&reserve=many:user:U1&max=0:user:U1", {"reserve", "max"}),
        ("max_per_user=-1", {"max_per_user"}),
        ("max_per_user=many", {"max_per_user"}),
        ("include=group:nobody", {"include"}),
        ("named=Nobody", {"named"}),
        ("exclude=user:U1&include=user:U1", {"exclude", "include"}),
        ("reserve=2:user:U1&max=1:user:U1", {"reserve", "max"}),
        ("exclude=" + "x" * 141, {"exclude/0"}),
        ("&".join(f"exclude=client:{number}" for number in range(101)), {"exclude"}),
        ("queue=3", {"queue"}),
    ],
)
def test_an_option_that_cannot_be_replayed_is_said_at_its_parameter(
    site: AdminSite, query: str, wrong: set[str]
) -> None:
    """And two that contradict each other at both, as in the pool's form."""
    answer = site.call("GET", f"{OF_JIM}/usage/what-if?pool=full&{query}")
    assert answer.status_code == 422
    assert {it.removeprefix("query:") for it in mistakes(answer)} == wrong


def test_usage_statements_are_made_listed_and_fetched(site: AdminSite) -> None:
    """Each follows the one before; a vendor that has the files finds nothing amiss."""
    path = f"{OF_JIM}/usage/statements"
    day = f"{datetime.fromtimestamp(START_MS / 1000, UTC):%Y-%m-%d}"
    assert site.get(path) == {"items": [], "next": None}
    site.clock.advance(seconds=2 * 86_400)
    first = site.call("POST", f"{path}?from={day}&until={day}")
    assert first.status_code == 201
    begun, ended = (datetime.fromisoformat(first.json()[name]) for name in ("from", "until"))
    assert ended - begun == timedelta(days=1)
    site.clock.advance(seconds=86_400)
    second = site.call("POST", path).json()
    assert (second["seq"], second["from"]) == (2, first.json()["until"])
    assert site.get(f"{path}?limit=1")["items"] == [first.json()]
    rest = site.get(f"{path}?limit=1&cursor={site.get(f'{path}?limit=1')['next']}")
    assert (rest["items"], rest["next"]) == ([second], None)
    files = [site.call("GET", f"{path}/{seq}").text.encode() for seq in (1, 2)]
    read = [read_statement(split(file)[0]) for file in files]
    assert [*troubles(read)] == []
    assert site.event()[:3] == ("key owner", JIM, "add")
    problem(site.call("GET", f"{path}/3"), 404, "not-found")
    problem(site.call("POST", path), 409, "not-possible")
    assert site.call("POST", f"{path}?until=2999-01-01").status_code == 422
    assert mistakes(site.call("POST", f"{path}?until=9999-12-31")).keys() == {"query:until"}
    assert site.call("POST", f"{path}?from=yesterday").status_code == 422
    assert len(site.get(path)["items"]) == 2
