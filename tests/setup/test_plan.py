"""A set-up file made true in a store: the steps, what they end, and what they leave alone."""

import pytest

from licet.credentials.generated import ClientSecrets
from licet.model import Tenant, User
from licet.setup.change import changing
from licet.setup.check import check
from licet.setup.consequences import Consequences
from licet.setup.file import read, write
from licet.setup.plan import ADD, KEEP, REMOVE, SET, Applied, apply
from licet.store import schema
from licet.store.errors import SetupError, StillInUse
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, JIM, RICH, SMALL, START_MS, Site

DEFAULTS = "session_ttl 20m, access_ttl 10m, default_scope all, no_seat_status 400"


def applied(site: Site, text: str, *, prune: bool = False, rehearse: bool = False) -> Applied:
    return apply(site.store, read(text, "f.toml"), ADA, prune=prune, rehearse=rehearse)


def exported(site: Site) -> str:
    site.store.refresh_tenants()
    return write(site.store.tenants().values())


def lines(plan: Applied) -> list[str]:
    return [f"{step.action} {step.tenant} {step.target}: {step.detail}" for step in plan.steps]


def test_a_file_makes_a_store_what_it_says(empty: Site) -> None:
    plan = applied(empty, SMALL)
    assert lines(plan) == [
        f"add Jim_Test tenant Jim_Test: {DEFAULTS}",
        "add Jim_Test pool full: seats 5, duplicates client",
        "add Jim_Test scope all: pool full, read_only no",
        "add Jim_Test user TC: name Test Client",
        "add Jim_Test client TestClientId: user TC",
    ]
    assert (plan.changes, plan.sessions_ended) == (5, 0)
    assert empty.grant("TestClientId").session.holder == "client:TestClientId"


@pytest.mark.parametrize("text", [SMALL, RICH])
def test_a_second_time_there_is_nothing_to_change(empty: Site, text: str) -> None:
    assert applied(empty, text).changes > 0
    version, events = empty.version(), empty.count(schema.event)
    assert applied(empty, text, prune=True) == Applied(steps=(), ending=Consequences())
    assert (empty.version(), empty.count(schema.event)) == (version, events)


def test_what_was_exported_changes_nothing_and_makes_the_same_elsewhere(
    empty: Site, sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory
) -> None:
    applied(empty, RICH)
    text = exported(empty)
    assert applied(empty, text, prune=True).steps == ()
    elsewhere = Site(sqlite_places.make(tmp_path_factory.mktemp("elsewhere"), START_MS))
    applied(elsewhere, text)
    assert exported(elsewhere) == text
    elsewhere.close()


def test_all_of_a_file_is_one_version(site: Site) -> None:
    version = site.version()
    applied(site, RICH)
    assert site.version() > version
    assert {row.version for row in site.rows(schema.tenant)} == {site.version()}


def test_only_what_differs_is_changed(site: Site) -> None:
    text = exported(site).replace("seats = 5", "seats = 7").replace('name = "User 2"', 'name = "Second"')
    assert lines(applied(site, text)) == [
        "set Jim_Test pool full: seats 5 -> 7",
        "set Jim_Test user U2: name User 2 -> Second",
    ]


def test_a_key_that_is_gone_has_its_default_again(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", introspects=True, sessions_max=3, enabled=False)
        change.tenant(JIM).set_pool("full", expires_at_ms=START_MS * 2)
    text = exported(site)
    for line in ("introspects = true\n", "max_sessions = 3\n", "enabled = false\n"):
        text = text.replace(line, "")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("expires"))
    assert lines(applied(site, text)) == [
        "set Jim_Test pool full: expires 2077-09-27T20:28:00Z -> never",
        "set Jim_Test client c1: enabled no -> yes, max_sessions 3 -> 100, introspects yes -> no",
    ]


def test_what_the_file_does_not_name_stays(site: Site) -> None:
    plan = applied(site, SMALL)
    assert [line for line in lines(plan) if line.startswith(KEEP)] == [
        "keep Jim_Test client c1: ",
        "keep Jim_Test client c2: ",
        "keep Jim_Test client c3: ",
        "keep Jim_Test user U1: ",
        "keep Jim_Test user U2: ",
        "keep Jim_Test user U3: ",
    ]
    assert plan.changes == 2
    assert set(site.tenant.clients) == {"TestClientId", "c1", "c2", "c3"}


def test_pruning_removes_it_and_ends_its_sessions(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_pool("mobile", seats=1)
        tenant.add_scope("orders", pool="mobile")
        tenant.set(scope_default="orders")
        tenant.set_client("c1", scopes=frozenset({"orders"}))
        change.add_tenant("Old", seats=1)
    site.grant("c1")
    plan = applied(site, SMALL, prune=True)
    assert plan.sessions_ended == 1
    assert [line for line in lines(plan) if line.startswith(REMOVE)] == [
        "remove Jim_Test client c1: ",
        "remove Jim_Test client c2: ",
        "remove Jim_Test client c3: ",
        "remove Jim_Test user U1: ",
        "remove Jim_Test user U2: ",
        "remove Jim_Test user U3: ",
        "remove Jim_Test scope orders: ",
        "remove Jim_Test pool mobile: ",
        "remove Old tenant Old: ",
    ]
    tenant_now = site.tenant
    assert set(tenant_now.clients) == {"TestClientId"}
    assert set(tenant_now.scopes) == {"view", "all"}
    assert [row.name for row in site.rows(schema.tenant) if row.removed_at_ms is None] == [JIM]


def test_a_pool_moves_under_its_scopes(site: Site) -> None:
    site.grant("c1")
    text = (
        exported(site)
        .replace("[tenant.Jim_Test.pool.full]", "[tenant.Jim_Test.pool.gold]")
        .replace('pool = "full"', 'pool = "gold"')
    )
    plan = applied(site, text, prune=True)
    assert lines(plan) == [
        "add Jim_Test pool gold: seats 5, duplicates client",
        "set Jim_Test scope all: pool full -> gold",
        "remove Jim_Test pool full: ",
    ]
    assert plan.sessions_ended == 1


def test_a_rehearsal_tells_all_and_changes_nothing(site: Site) -> None:
    granted = site.grant("c1")
    version, text = site.version(), exported(site)
    plan = applied(site, SMALL, prune=True, rehearse=True)
    assert (plan.changes, plan.sessions_ended) == (8, 1)
    assert site.lives(granted)
    assert (site.version(), exported(site)) == (version, text)


def test_a_plan_that_is_no_longer_true_is_not_carried_out(site: Site) -> None:
    wanted = read(SMALL, "f.toml")
    plan = apply(site.store, wanted, ADA, rehearse=True)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=9)
    with pytest.raises(SetupError, match="changed while the plan was looked at; run it again"):
        apply(site.store, wanted, ADA, expected=plan)
    assert site.pool().seats == 9


def test_one_step_that_is_refused_undoes_all(site: Site) -> None:
    """A built-in scope stays and draws on a pool that these tenants, which no file could make, lack."""
    user = User(initials="U1", name="After", password_hash=None)
    with pytest.raises(StillInUse, match="pool full is drawn on by scope all"):
        apply(site.store, [Tenant(id=0, name=JIM, version=0, users={"U1": user})], ADA, prune=True)
    assert site.tenant.users["U1"].name == "User 1"
    assert set(site.tenant.clients) == {"c1", "c2", "c3"}


def test_passwords_and_secrets_stay_as_they_are(site: Site) -> None:
    made = ClientSecrets(b"p" * 32).generate()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_secret("c1", made)
    text = exported(site).replace('name = "User 1"', 'name = "First"')
    assert applied(site, text).changes == 1
    client = site.client("c1")
    assert client.user == User(initials="U1", name="First", password_hash="hash")
    assert [kept.secret_id for kept in client.secrets] == [made.secret_id]


def test_who_has_no_password_yet_is_found_by_check(empty: Site) -> None:
    applied(empty, SMALL)
    empty.store.refresh_tenants()
    with empty.store.reading() as connection:
        found = check(connection, empty.store.tenants(), START_MS)
    assert [(finding.target, finding.problem) for finding in found if finding.is_wrong] == [
        ("client TestClientId", "it cannot authenticate: no password works for it, no secret and no key")
    ]


def test_a_plan_names_its_actions() -> None:
    assert (ADD, SET, REMOVE, KEEP) == ("add", "set", "remove", "keep")
