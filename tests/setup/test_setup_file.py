"""The set-up as a TOML file: written, and read with all its mistakes."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.formats import duration, instant, nearness, read_duration_s, read_end_ms
from licet.model import (
    HOLD_S_MAX,
    Client,
    Duplicates,
    GrantType,
    InvalidValue,
    Pool,
    Scope,
    Tenant,
    TokenFormat,
    User,
)
from licet.setup.change import changing
from licet.setup.file import DeclarationInvalid, read, write
from licet.setup.nouns import facts
from support.many import examples
from support.store.setup_site import ADA, JIM, RICH, SMALL, START_MS, Site, secret


def exported(site: Site) -> str:
    site.store.refresh_tenants()
    return write(site.store.tenants().values())


def mistakes(text: str) -> list[str]:
    with pytest.raises(DeclarationInvalid) as caught:
        read(text, "f.toml")
    return list(map(str, caught.value.mistakes))


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
        tenant.set_pool("full", expires_at_ms=read_end_ms("2027-01-30", UTC))
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
        "token_format": "reference",
        "strict_assertions": False,
        "time_zone": "UTC",
        "licence_required": False,
    }
    mobile = jim.pool_named("mobile.1")
    assert mobile is not None
    assert (mobile.seats, mobile.duplicates) == (0, Duplicates.USER)
    assert mobile.expires_at_ms == read_end_ms("2027-01-31T17:00:00.250", UTC)
    assert set(jim.scopes) == {"view", "all", "orders", "a:b/c"}
    assert jim.users["T.C"].name == 'Ada "the first" \\ Lovelace'
    client = jim.clients["a b.c"]
    assert (client.sessions_max, client.introspects, client.password_allowed) == (7, True, False)
    assert client.scopes == frozenset({"view", "orders"})
    assert client.grant_types == {GrantType.CLIENT_CREDENTIALS}
    assert (jim.clients["Gone"].enabled, jim.clients["Gone"].scopes) == (False, frozenset())
    assert other.pool_named("full") == Pool(id=0, name="full", seats=1)


def test_the_life_of_an_access_token_goes_with_its_format() -> None:
    """A JWT lives 60 s where the file does not say otherwise; what is as always is not written."""
    text = "[tenant.{0}]\n{1}\npool.full.seats = 1\n"
    short, named = read(
        text.format("A", "token_format = 'jwt'")
        + text.format("B", "token_format = 'jwt'\naccess_ttl = '2m'"),
        "f.toml",
    )
    assert (short.token_format, short.access_ttl_s) == (TokenFormat.JWT, 60)
    assert (named.token_format, named.access_ttl_s) == (TokenFormat.JWT, 120)
    written = write([short])
    assert 'token_format = "jwt"' in written
    assert read(written, "f.toml") == [short]
    (reference,) = read(text.format("A", "token_format = 'reference'"), "f.toml")
    assert reference.access_ttl_s == 600
    assert "token_format" not in write([reference])


def test_the_built_in_scopes_need_no_table() -> None:
    """Product, section 1: `view` is read only and unlicensed; `all` is licensed."""
    (tenant,) = read(SMALL, "f.toml")
    assert dict(tenant.scopes) == {
        "view": Scope(name="view", licensed=False, read_only=True, pool=None),
        "all": Scope(name="all", licensed=True, read_only=False, pool="full"),
    }


_NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
_INITIALS = st.text("AZaz09.", min_size=2, max_size=3)


_POOL = st.builds(
    Pool,
    id=st.just(0),
    name=st.text("azAZ09_.-", max_size=5).map("p".__add__),
    seats=st.integers(0, 1000),
    duplicates=st.sampled_from(Duplicates),
    expires_at_ms=st.none() | st.integers(0, 4_000_000_000_000),
    hold_s=st.integers(0, HOLD_S_MAX),
)


@settings(max_examples=examples(60), deadline=None, database=None)
@given(
    client_ids=st.sets(_NAMES, max_size=3),
    initials=st.sets(_INITIALS, min_size=1, max_size=3),
    scope=st.text("!#$%&'()*+,-./:;<=>?@[]^_`{|}~azAZ09", min_size=1, max_size=10),
    pool=_POOL,
    ttl_s=st.integers(1, 31 * 86_400),
)
def test_whatever_is_written_is_read_as_it_was(
    *, client_ids: set[str], initials: set[str], scope: str, pool: Pool, ttl_s: int
) -> None:
    users = {
        initial: User(initials=initial, name=f"{initial} of ours", password_hash=None) for initial in initials
    }
    user = next(iter(users.values()))
    scopes = (
        Scope(name=scope, licensed=False, read_only=False, pool=None),
        Scope(name="view", licensed=False, read_only=True, pool=None),
        Scope(name="all", licensed=True, read_only=False, pool=pool.name),
    )
    tenant = Tenant(
        id=0,
        name="a.b",
        version=0,
        session_ttl_s=ttl_s,
        access_ttl_s=ttl_s,
        pools={0: pool},
        scopes={it.name: it for it in scopes},
        users=users,
        clients={
            id_: Client(key=0, client_id=id_, user=user, scopes=frozenset({scope})) for id_ in client_ids
        },
    )
    assert read(write([tenant]), "f.toml") == [tenant]


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
        ("session_ttl = '9m'", "X.session_ttl: tenant X: access_ttl is 1 s to session_ttl"),
        ("no_seat_status = 401", "X.no_seat_status: tenant X: no_seat_status is 400, 429 or 503, not 401"),
        ("token_format = 'saml'", "X.token_format: allowed: reference, jwt; not 'saml'"),
        ("strict_assertions = 'yes'", "X.strict_assertions: true or false is allowed, not 'yes'"),
        ("token_format = true", "X.token_format: reference, jwt is allowed, not True"),
        (
            "token_format = 'jwt'\nsession_ttl = '8d'\naccess_ttl = '2d'",
            "X.access_ttl: tenant X: access_ttl is at most 1 day where token_format is jwt, not 172800 s",
        ),
        ("default_scope = 'orders'", "X.default_scope: there is no scope orders in this tenant"),
        ("default_scope = 3", "X.default_scope: a text is allowed, not 3"),
        ("pool.p.seats = -1", "X.pool.p.seats: pool p: seats is 0 to 1000000, not -1"),
        ("pool.p.seats = '5'", "X.pool.p.seats: a whole number or \"all\" is allowed, not '5'"),
        ("pool.p.seats = true", 'X.pool.p.seats: a whole number or "all" is allowed, not True'),
        ("pool.p.overdraft = -1", "X.pool.p.overdraft: pool p: overdraft is 0 to 1000000, not -1"),
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
        ("client.c.enabled = true", "X.client.c.user: it is missing: the user for whom it acts, by initials"),
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
            "X.client.c.max_sessions: client c: max_sessions is 1 to 100000, not 0",
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
        "tenant.X.pool.full.seats",
        "tenant.X.user.TOOLONG",
        "tenant.X.session_ttl",
        "tenant.X.no_seat_status",
        "tenant.Y.scope.all",
    ]


def test_no_file_is_told_without_end() -> None:
    text = "[tenant.X.pool.full]\nseats = 1\n" + "".join(f"k{number} = 1\n" for number in range(100))
    with pytest.raises(DeclarationInvalid) as caught:
        read(text, "f.toml")
    assert str(caught.value).splitlines()[0] == "f.toml has 100 mistakes:"
    assert str(caught.value).splitlines()[-1] == "  and 50 more"


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
        ("2027-01-31", "2027-02-01T00:00:00Z"),
        ("2027-01-31T18:00", "2027-01-31T18:00:00Z"),
        ("2027-01-31 18:00:30.5", "2027-01-31T18:00:30.500Z"),
        ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00Z"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
        ("never", "never"),
    ],
)
def test_an_instant_is_read_and_written(text: str, spelled: str) -> None:
    """A date is the end of that day; what names no zone is the tenant's, which is UTC by default."""
    assert instant(read_end_ms(text, UTC)) == spelled


@pytest.mark.parametrize("text", ["", "soon", "31.01.2027", "9999999", "2027-01-31T25:00", "T18:00"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="a moment is written 2027-01-31"):
        read_end_ms(text, UTC)


@pytest.mark.parametrize(
    "text",
    ["1969-12-31T23:59:59", "0001-01-01T00:00+23:00", "9998-12-31", "9999-12-31", "9999-12-31T23:59-12:00"],
)
def test_an_instant_that_cannot_be_shown_in_every_zone_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="in the years 1970 to 9998"):
        read_end_ms(text, UTC)
    assert "in the years 1970 to 9998" in mistakes(f"[tenant.X.pool.full]\nseats = 1\nexpires = '{text}'")[0]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "now"),
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


def test_a_hold_is_written_where_there_is_one() -> None:
    """L18: a duration like those of tenants; without the key there is none."""
    (tenant,) = read(f"{SMALL}\n[tenant.Jim_Test.pool.extra]\nseats = 1\nhold = '20m'\n", "f.toml")
    extra, full = tenant.pool_named("extra"), tenant.pool_named("full")
    assert extra is not None
    assert full is not None
    assert (extra.hold_s, full.hold_s) == (1200, 0)
    assert write([tenant]).count("hold =") == 1


@pytest.mark.parametrize("written", ["'2d'", "86401", "-1"])
def test_a_hold_beyond_a_day_is_told(written: str) -> None:
    """With the bound."""
    text = f"{SMALL}\n[tenant.Jim_Test.pool.extra]\nseats = 1\nhold = {written}\n"
    with pytest.raises(DeclarationInvalid, match=r"hold is 0 to 1 day, not|whole number"):
        read(text, "f.toml")


@pytest.mark.parametrize(
    ("told", "alerts"),
    [
        ("80 90 100 denied", ("80", "90", "100", "denied")),
        ("denied, 90%,90,5", ("5", "90", "denied")),
        ("none", ()),
        ("", ()),
    ],
)
def test_alerts_are_read_in_any_order(told: str, alerts: tuple[str, ...]) -> None:
    (tenant,) = read(f'{SMALL}\n[tenant.Jim_Test.pool.extra]\nseats = 1\nalerts = "{told}"\n', "f.toml")
    extra = tenant.pool_named("extra")
    assert extra is not None
    assert extra.alerts == alerts
    assert read(write([tenant]), "f.toml")[0].pool_named("extra") == extra


@pytest.mark.parametrize("told", ["0", "101", "-1", "8.5", "all", "1 2 3 4 5 6 7 8 9 10 11", "\u0664"])
def test_alerts_that_cannot_be_are_told(told: str) -> None:
    text = f'{SMALL}\n[tenant.Jim_Test.pool.extra]\nseats = 1\nalerts = "{told}"\n'
    with pytest.raises(DeclarationInvalid, match=r"pool\.extra\.alerts: alerts are up to 10 percentages"):
        read(text, "f.toml")


def test_what_is_nested_too_deeply_is_a_mistake_and_no_fault() -> None:
    """It may come over a network."""
    with pytest.raises(DeclarationInvalid, match="it is nested too deeply"):
        read("a = " + "[" * 100_000, "the declaration")
