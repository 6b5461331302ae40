"""The set-up as a TOML file: written, read with all its mistakes, and made true in a store."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.clock import ManualClock
from licet.credentials import ClientSecrets
from licet.model import Client, Duplicates, GrantType, InvalidValue, Pool, Scope, Tenant, User
from licet.store import schema
from licet.store.changes import SetupError, StillInUse
from licet.store.check import check
from licet.store.declaration import DeclarationInvalid, read, write
from licet.store.plan import ADD, KEEP, REMOVE, SET, Applied, apply
from licet.store.setup import changing
from licet.store.spelling import duration, facts, instant, nearness, read_duration_s, read_instant_ms
from setup_site import ADA, JIM, START_MS, Site, new_store, secret

SMALL = """
[tenant.Jim_Test.pool.full]
seats = 5

[tenant.Jim_Test.user.TC]
name = "Test Client"

[tenant.Jim_Test.client.TestClientId]
user = "TC"
"""

RICH = """
[tenant.Jim_Test]
session_ttl = "30m"
access_ttl = 300
default_scope = "orders"
no_seat_status = 429

[tenant.Jim_Test.pool.full]
seats = 5
expires = 2027-01-31

[tenant.Jim_Test.pool."mobile.1"]
seats = 0
duplicates = "user"
expires = 2027-01-31T18:00:00.250+01:00

[tenant.Jim_Test.scope.orders]
pool = "mobile.1"

[tenant.Jim_Test.scope."a:b/c"]
read_only = true

[tenant.Jim_Test.user."T.C"]
name = 'Ada "the first" \\ Lovelace'

[tenant.Jim_Test.user.AP]
enabled = false

[tenant.Jim_Test.client."a b.c"]
user = "T.C"
scopes = ["view", "orders"]
grant_types = ["client_credentials"]
max_sessions = 7
introspects = true
password_allowed = false

[tenant.Jim_Test.client.Gone]
user = "AP"
enabled = false
scopes = []

[tenant.Other.pool.full]
seats = 1
expires = "never"
"""


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without tenants, made once."""
    return new_store(tmp_path_factory.mktemp("empty") / "licet.db")


@pytest.fixture
def empty(empty_file: Path, tmp_path: Path) -> Iterator[Site]:
    """A store without tenants."""
    site = Site(Path(shutil.copy(empty_file, tmp_path)), ManualClock(START_MS))
    yield site
    site.check()
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    """A store with the tenant `Jim_Test`."""
    empty.begin()
    return empty


def applied(site: Site, text: str, *, prune: bool = False, rehearse: bool = False) -> Applied:
    return apply(site.store, read(text, "f.toml"), ADA, prune=prune, rehearse=rehearse)


def exported(site: Site) -> str:
    site.store.refresh_tenants()
    return write(site.store.tenants().values())


def lines(plan: Applied) -> list[str]:
    return [f"{step.action} {step.tenant} {step.target}: {step.detail}" for step in plan.steps]


def mistakes(text: str) -> list[str]:
    with pytest.raises(DeclarationInvalid) as caught:
        read(text, "f.toml")
    return caught.value.mistakes


# Writing and reading


def test_a_file_is_written_without_what_is_as_always(site: Site) -> None:
    """What is not there has its default, and a reader is not told it."""
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.remove_client("c3")
        tenant.remove_client("c2")
        tenant.remove_user("U3")
        tenant.set_user("U2", enabled=False)
        tenant.set_client("c1", introspects=True, scopes=frozenset({"view", "all"}))
        tenant.set_pool("full", expires_at_ms=read_instant_ms("2027-01-31"))
    assert exported(site).splitlines()[3:] == [
        "[tenant.Jim_Test]",
        'session_ttl = "20m"',
        'access_ttl = "10m"',
        'default_scope = "all"',
        "no_seat_status = 400",
        "",
        "[tenant.Jim_Test.pool.full]",
        "seats = 5",
        'duplicates = "client"',
        "expires = 2027-01-31T00:00:00Z",
        "",
        "[tenant.Jim_Test.scope.all]",
        'pool = "full"',
        "read_only = false",
        "",
        "[tenant.Jim_Test.scope.view]",
        "read_only = true",
        "",
        "[tenant.Jim_Test.user.U1]",
        'name = "User 1"',
        "",
        "[tenant.Jim_Test.user.U2]",
        'name = "User 2"',
        "enabled = false",
        "",
        "[tenant.Jim_Test.client.c1]",
        'user = "U1"',
        'scopes = ["all", "view"]',
        "introspects = true",
    ]


def test_a_file_has_no_secret_in_it(site: Site) -> None:
    made = secret()
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", password_hash="$argon2id$hash")
        change.tenant(JIM).add_client("api", made, user="U1")
    text = exported(site)
    assert "argon2id" not in text
    assert made.secret not in text
    assert made.secret_id not in text
    assert made.hash.hex() not in text


def test_what_is_read_is_what_the_file_says() -> None:
    jim, other = read(RICH, "f.toml")
    assert facts(jim) == {
        "session_ttl": "30m",
        "access_ttl": "5m",
        "default_scope": "orders",
        "no_seat_status": 429,
    }
    mobile = jim.pool_named("mobile.1")
    assert mobile is not None
    assert (mobile.seats, mobile.duplicates) == (0, Duplicates.USER)
    assert mobile.expires_at_ms == read_instant_ms("2027-01-31T17:00:00.250")
    assert set(jim.scopes) == {"view", "all", "orders", "a:b/c"}
    assert jim.users["T.C"].name == 'Ada "the first" \\ Lovelace'
    client = jim.clients["a b.c"]
    assert (client.sessions_max, client.introspects, client.password_allowed) == (7, True, False)
    assert client.scopes == frozenset({"view", "orders"})
    assert client.grant_types == {GrantType.CLIENT_CREDENTIALS}
    assert (jim.clients["Gone"].enabled, jim.clients["Gone"].scopes) == (False, frozenset())
    assert other.pool_named("full") == Pool(id=0, name="full", seats=1)


def test_the_built_in_scopes_need_no_table() -> None:
    """Product, section 1: `view` is read only and unlicensed; `all` is licensed."""
    (tenant,) = read(SMALL, "f.toml")
    assert dict(tenant.scopes) == {
        "view": Scope(name="view", licensed=False, read_only=True, pool=None),
        "all": Scope(name="all", licensed=True, read_only=False, pool="full"),
    }


_NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
_INITIALS = st.text("AZaz09.", min_size=2, max_size=3)


@settings(max_examples=60, deadline=None, database=None)
@given(
    client_ids=st.sets(_NAMES, max_size=3),
    initials=st.sets(_INITIALS, min_size=1, max_size=3),
    scope=st.text("!#$%&'()*+,-./:;<=>?@[]^_`{|}~azAZ09", min_size=1, max_size=10),
    pool=st.text("azAZ09_.-", max_size=5).map("p".__add__),
    expires_at_ms=st.none() | st.integers(0, 4_000_000_000_000),
    ttl_s=st.integers(1, 31 * 86_400),
)
def test_whatever_is_written_is_read_as_it_was(
    client_ids: set[str], initials: set[str], scope: str, pool: str, expires_at_ms: int | None, ttl_s: int
) -> None:
    users = {it: User(initials=it, name=f"{it} \t".strip(), password_hash=None) for it in initials}
    clients = {
        it: Client(key=0, client_id=it, user=next(iter(users.values())), scopes=frozenset({scope}))
        for it in client_ids
    }
    scopes = {
        "view": Scope(name="view", licensed=False, read_only=True, pool=None),
        "all": Scope(name="all", licensed=True, read_only=False, pool=pool),
    }
    tenant = Tenant(
        id=0, name="a.b", version=0, session_ttl_s=ttl_s, access_ttl_s=ttl_s, users=users, clients=clients,
        pools={0: Pool(id=0, name=pool, seats=3, expires_at_ms=expires_at_ms)},
        scopes={scope: Scope(name=scope, licensed=False, read_only=False, pool=None)} | scopes,
    )  # fmt: skip
    (found,) = read(write([tenant]), "f.toml")
    assert found == tenant


# Mistakes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty; a tenant begins with [tenant.NAME]"),
        ("tenants = 3", "tenants: there is no such key; did you mean tenant?"),
        ("zzz = 3", "zzz: there is no such key; allowed: tenant"),
        ("tenant = 3", "tenant: tables like [tenant.NAME] is allowed, not 3"),
        ("tenant.X = 3", "tenant.X: a table is allowed, not 3"),
        ('[tenant."a b"]\npool.full.seats = 1', 'tenant."a b": a tenant\'s name is 1 to 64 letters'),
        ("[tenant.X]", "tenant.X.scope.all: it has no pool full, so that the scope all needs a table"),
        ("session_ttl = '20 minutes'", "X.session_ttl: a duration is written 1200, 1200s, 20m"),
        ("session_ttl = true", 'X.session_ttl: a duration like "20m" is allowed, not True'),
        ("session_ttl = '9m'", "X: tenant X: access_ttl is 1 s to session_ttl"),
        ("no_seat_status = 401", "X: tenant X: no_seat_status is 400, 429 or 503, not 401"),
        ("default_scope = 'orders'", "X.default_scope: there is no scope orders in this tenant"),
        ("default_scope = 3", "X.default_scope: a text is allowed, not 3"),
        ("pool.p.duplicates = 'client'", "X.pool.p.seats: it is missing: how many seats the pool has"),
        ("pool.p.seats = -1", "X.pool.p: pool p: seats is 0 to 1000000, not -1"),
        ("pool.p.seats = '5'", "X.pool.p.seats: a whole number is allowed, not '5'"),
        ("pool.p.seats = true", "X.pool.p.seats: a whole number is allowed, not True"),
        ("pool.p = { seats = 1, seat = 1 }", "X.pool.p.seat: there is no such key; did you mean seats?"),
        (
            "pool.p = { seats = 1, duplicates = 'each' }",
            "X.pool.p.duplicates: allowed: client, user, none; not 'each'",
        ),
        ("pool.p = { seats = 1, expires = 2027 }", "X.pool.p.expires: a date, a datetime or 'never'"),
        ("pool.p = { seats = 1, expires = 'soon' }", "X.pool.p.expires: a moment is written 2027-01-31"),
        (
            "scope.orders.pool = 'p'",
            "X.scope.orders.pool: there is no pool p in this tenant; the file has: full",
        ),
        ("scope.'a b' = {}", 'X.scope."a b": a scope is 1 to 64 printable ASCII'),
        ("scope.view.pool = 'full'", "X.scope.view: view is built in"),
        ("scope.view.read_only = false", "X.scope.view: view is built in"),
        ("user.LONG.name = 'x'", "X.user.LONG: initials are 2 or 3 letters"),
        ("user.TC.password = 'x'", "X.user.TC.password: there is no such key; allowed: name, enabled"),
        ("user.TC.enabled = 1", "X.user.TC.enabled: true or false is allowed, not 1"),
        ("client.c.user = 'XX'", "X.client.c.user: there is no user XX in this tenant; the file has none"),
        ("client.c.enabled = true", "X.client.c.user: it is missing: the initials of the client's user"),
        ("client.c.scopes = 'view'", "X.client.c.scopes: a list of texts is allowed, not 'view'"),
        ("client.c.scopes = [1]", "X.client.c.scopes: a list of texts is allowed, not [1]"),
        ("client.c.scopes = ['x']", "X.client.c.scopes: there is no scope x in this tenant"),
        (
            "client.c.grant_types = ['password']",
            "X.client.c.grant_types: allowed: one or more of client_credentials, refresh_token",
        ),
        ("client.c.grant_types = []", "X.client.c.grant_types: allowed: one or more of"),
        (
            "user.TC.name = 'x'\nclient.c = { user = 'TC', max_sessions = 0 }",
            "X.client.c: client c: max_sessions is 1 to 100000, not 0",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_is_allowed(text: str, told: str) -> None:
    if not text.startswith(("[", "tenant", "zzz")) and text:
        text, told = f"[tenant.X]\n{text}\npool.full.seats = 1", f"tenant.{told}"
    assert [found for found in mistakes(text) if told in found]


def test_what_is_not_toml_is_told_with_its_line() -> None:
    assert mistakes("[tenant.X\n") == [
        "it is not TOML: Expected ']' at the end of a table declaration (at line 1, column 10)"
    ]


def test_all_mistakes_are_told_together_and_once() -> None:
    text = """
        [tenant.X]
        session_ttl = "1m"
        no_seat_status = 1
        [tenant.X.pool.full]
        seats = -1
        [tenant.X.user.TOOLONG]
        [tenant.X.client.c]
        user = "TOOLONG"
        [tenant.Y]
    """
    with pytest.raises(DeclarationInvalid) as caught:
        read(text, "set-up.toml")
    found = str(caught.value).splitlines()
    assert found[0] == "set-up.toml has 5 mistakes:"
    assert [line.split(":")[0].strip() for line in found[1:]] == [
        "tenant.X.pool.full",
        "tenant.X.user.TOOLONG",
        "tenant.X",
        "tenant.X",
        "tenant.Y.scope.all",
    ]


def test_no_file_is_told_without_end() -> None:
    text = "[tenant.X.pool.full]\nseats = 1\n" + "".join(f"k{number} = 1\n" for number in range(100))
    with pytest.raises(DeclarationInvalid) as caught:
        read(text, "f.toml")
    assert str(caught.value).splitlines()[0] == "f.toml has 100 mistakes:"
    assert str(caught.value).splitlines()[-1] == "  and 50 more"


# Applying


def test_a_file_makes_a_store_what_it_says(empty: Site) -> None:
    plan = applied(empty, SMALL)
    assert lines(plan) == [
        "add Jim_Test tenant Jim_Test: session_ttl 20m, access_ttl 10m, default_scope all, no_seat_status 400",
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
    assert applied(empty, text, prune=True) == Applied(steps=(), sessions_ended=0)
    assert (empty.version(), empty.count(schema.event)) == (version, events)


def test_what_was_exported_changes_nothing_and_makes_the_same_elsewhere(
    empty: Site, empty_file: Path, tmp_path: Path
) -> None:
    applied(empty, RICH)
    text = exported(empty)
    assert applied(empty, text, prune=True).steps == ()
    elsewhere = Site(Path(shutil.copy(empty_file, tmp_path / "elsewhere.db")), ManualClock(START_MS))
    applied(elsewhere, text)
    assert exported(elsewhere) == text
    elsewhere.close()


def test_all_of_a_file_is_one_version(site: Site) -> None:
    version = site.version()
    applied(site, RICH)
    assert site.version() == version + 1
    assert {row.version for row in site.rows(schema.tenant)} == {version + 1}


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
    assert [row.name for row in site.rows(schema.tenant)] == [JIM]


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
    """A kept client still has the scope that the file does not want any more."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).add_scope("orders")
    text = exported(site)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_user("U1", name="Before")
        change.tenant(JIM).add_client("late", user="U1")
    wanted = read(text, "f.toml")
    assert [step.action for step in apply(site.store, wanted, ADA, rehearse=True).steps] == [SET, KEEP]
    broken = wanted[0]
    with pytest.raises((InvalidValue, StillInUse)):
        apply(
            site.store,
            [Tenant(id=0, name=JIM, version=0, users=broken.users, scopes={}, pools={})],
            ADA,
            prune=True,
        )
    assert site.tenant.users["U1"].name == "Before"


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
        ("client TestClientId", "it cannot prove itself: no password works for it, and no secret")
    ]


def test_a_plan_names_its_actions() -> None:
    assert (ADD, SET, REMOVE, KEEP) == ("add", "set", "remove", "keep")


# Spelling


@pytest.mark.parametrize(
    ("text", "seconds", "spelled"),
    [
        ("1200", 1200, "20m"),
        ("1200s", 1200, "20m"),
        ("20m", 1200, "20m"),
        (" 90s ", 90, "90s"),
        ("1h", 3600, "1h"),
        ("31d", 2_678_400, "31d"),
        ("0", 0, "0s"),
    ],
)
def test_a_duration_is_read_and_written(text: str, seconds: int, spelled: str) -> None:
    assert read_duration_s(text) == seconds
    assert duration(seconds) == spelled


@pytest.mark.parametrize("text", ["", "m", "-1", "1.5m", "20 m", "1w", "9" * 30, "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="a duration is written"):
        read_duration_s(text)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T18:00", "2027-01-31T18:00:00Z"),
        ("2027-01-31 18:00:30.5", "2027-01-31T18:00:30.500Z"),
        ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00Z"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
        ("never", "never"),
    ],
)
def test_an_instant_is_read_and_written(text: str, spelled: str) -> None:
    """A date is its first moment; what names no zone is UTC."""
    assert instant(read_instant_ms(text)) == spelled


@pytest.mark.parametrize(
    "text", ["", "soon", "2027-13-01", "31.01.2027", "9999999", "0001-01-01T00:00+23:00"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="a moment is written 2027-01-31"):
        read_instant_ms(text)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "in 0 s"),
        (89, "in 89 s"),
        (-12, "12 s ago"),
        (1199, "in 19 min"),
        (-7200, "2 h ago"),
        (200_000, "2023-11-17"),
        (-200_000, "2023-11-12"),
    ],
)
def test_an_instant_near_by_is_told_in_words(seconds: int, told: str) -> None:
    assert nearness(START_MS + seconds * 1000, START_MS) == told
