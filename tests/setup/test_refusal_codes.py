"""What the set-up refuses is data: a code, the field, what it is about, the limit, what stands in the way."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from licet.accounts.account import NotYours
from licet.accounts.administrators import AccountsChange, LastOwner
from licet.accounts.administrators import changing as changing_accounts
from licet.alerts.destinations import check_url
from licet.alerts.webhooks import changing as changing_webhooks
from licet.credentials.generated import ApiKeys
from licet.credentials.passwords import check_new_password
from licet.credentials.public_keys import read_jwk, read_keys
from licet.formats import read_duration_s, read_end_ms
from licet.model import (
    Client,
    InvalidValue,
    Pool,
    PublicKey,
    Role,
    Scope,
    Tenant,
    TokenFormat,
    User,
    read_alerts,
)
from licet.refusal import MEANING, OTHERS_MAX, Code, Refusal, Subject, of_field
from licet.setup.change import SetupChange, changing
from licet.setup.end_sessions import check_ending
from licet.setup.licence_terms import LicenceKept
from licet.setup.plan import apply
from licet.setup.tenant import TenantSetup
from licet.setup.validation import KEYS_MAX
from licet.store.errors import AlreadyThere, NotFound, SetupError, StillInUse
from support.paths import ROOT
from support.store.setup_site import ADA, JIM, START_MS, Site, secret

KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
U1 = User(initials="U1", name="U", password_hash=None)
ZONE = Tenant(id=0, name="t", version=0).zone


def a_tenant(**settings: Any) -> Tenant:
    return Tenant(id=0, name="t", version=0, **settings)


def a_client(**settings: Any) -> Client:
    return Client(key=0, client_id="c", user=U1, **settings)


VALUES: list[tuple[Callable[[], object], Code, str, str | None, int | None]] = [
    (
        lambda: Scope(name="a b", licensed=False, read_only=False, pool=None),
        Code.MALFORMED,
        "name",
        None,
        None,
    ),
    (
        lambda: Scope(name="a", licensed=True, read_only=False, pool=None),
        Code.NOT_TOGETHER,
        "pool",
        "scope a",
        None,
    ),
    (lambda: Pool(id=0, name=".p", seats=1), Code.MALFORMED, "name", None, None),
    (lambda: Pool(id=0, name="p", seats=-1), Code.OUT_OF_RANGE, "seats", "pool p", 0),
    (lambda: Pool(id=0, name="p", seats=1_000_001), Code.OUT_OF_RANGE, "seats", "pool p", 1_000_000),
    (lambda: Pool(id=0, name="p", seats=1, hold_s=86_401), Code.OUT_OF_RANGE, "hold", "pool p", 86_400),
    (lambda: Pool(id=0, name="p", seats=1, alerts=("90", "80")), Code.MALFORMED, "alerts", "pool p", None),
    (lambda: read_alerts("101"), Code.MALFORMED, "alerts", None, None),
    (lambda: User(initials="U", name="U", password_hash=None), Code.MALFORMED, "initials", None, None),
    (lambda: Client(key=0, client_id="\n", user=U1), Code.MALFORMED, "client_id", None, None),
    (lambda: a_client(sessions_max=0), Code.OUT_OF_RANGE, "max_sessions", "client c", 1),
    (lambda: a_client(sessions_max=100_001), Code.OUT_OF_RANGE, "max_sessions", "client c", 100_000),
    (lambda: PublicKey(thumbprint="t", jwk="{}", kid=""), Code.MALFORMED, "kid", None, None),
    (lambda: a_tenant(no_seat_status=418), Code.UNKNOWN_CHOICE, "no_seat_status", "tenant t", None),
    (lambda: a_tenant(session_ttl_s=0), Code.OUT_OF_RANGE, "session_ttl", "tenant t", 1),
    (
        lambda: a_tenant(session_ttl_s=31 * 86_400 + 1),
        Code.OUT_OF_RANGE,
        "session_ttl",
        "tenant t",
        31 * 86_400,
    ),
    (lambda: a_tenant(access_ttl_s=1201), Code.OUT_OF_RANGE, "access_ttl", "tenant t", 1200),
    (lambda: a_tenant(access_ttl_s=0), Code.OUT_OF_RANGE, "access_ttl", "tenant t", 1),
    (
        lambda: a_tenant(session_ttl_s=100_000, access_ttl_s=86_401, token_format=TokenFormat.JWT),
        Code.OUT_OF_RANGE,
        "access_ttl",
        "tenant t",
        86_400,
    ),
    (lambda: a_tenant(time_zone="Mars/Base"), Code.UNKNOWN_CHOICE, "time_zone", None, None),
    (lambda: read_duration_s("soon"), Code.MALFORMED, "", None, None),
    (lambda: read_end_ms("soon", ZONE), Code.MALFORMED, "", None, None),
    (lambda: read_end_ms("2027-02-30", ZONE), Code.NO_SUCH_TIME, "", None, None),
    (
        lambda: read_end_ms("2027-03-28T02:30", a_tenant(time_zone="Europe/Berlin").zone),
        Code.NO_SUCH_TIME,
        "",
        None,
        None,
    ),
    (lambda: read_end_ms("9999-12-31", ZONE), Code.OUT_OF_RANGE, "", None, None),
    (lambda: check_new_password("short"), Code.OUT_OF_RANGE, "password", None, 8),
    (lambda: check_new_password("x" * 257), Code.OUT_OF_RANGE, "password", None, 256),
    (lambda: check_new_password("lcs_correct horse"), Code.MALFORMED, "password", None, None),
    (lambda: check_new_password("a\tb correct horse"), Code.MALFORMED, "password", None, None),
    (lambda: check_new_password("qwertyuiop"), Code.WEAK_PASSWORD, "password", None, None),
    (lambda: check_new_password("byron+ada", "Ada Byron"), Code.WEAK_PASSWORD, "password", None, None),
    (lambda: read_keys("no key"), Code.MALFORMED, "key", None, None),
    (lambda: read_keys("x" * 65_537), Code.TOO_LONG, "key", None, 65_536),
    (lambda: read_jwk({"kty": "oct", "k": "c2VjcmV0"}), Code.SHARED_KEY, "key", None, None),
    (lambda: read_jwk({**KEY, "d": "c2VjcmV0"}), Code.PRIVATE_KEY, "key", None, None),
    (
        lambda: read_jwk({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        Code.UNSUPPORTED_KEY,
        "key",
        None,
        None,
    ),
    (lambda: check_url("ftp://a.example", http_allowed=False), Code.MALFORMED, "url", None, None),
    (lambda: check_url("https://[", http_allowed=False), Code.MALFORMED, "url", None, None),
    (lambda: check_url("http://a.example/", http_allowed=False), Code.HTTP_NOT_ALLOWED, "url", None, None),
    (
        lambda: check_url("https://10.0.0.1/", http_allowed=False, private_allowed=False),
        Code.ADDRESS_NOT_PUBLIC,
        "url",
        None,
        None,
    ),
    (lambda: check_ending("a\nb", 0), Code.MALFORMED, "reason", None, 200),
    (lambda: check_ending("a" * 201, 0), Code.TOO_LONG, "reason", None, 200),
    (lambda: check_ending("", 86_401), Code.OUT_OF_RANGE, "cool_down", None, 86_400),
]


def refusal(do: Callable[[], object], kind: type[Refusal] = Refusal) -> Refusal:
    with pytest.raises(kind) as caught:
        do()
    assert type(caught.value) is kind or kind is Refusal
    return caught.value


def told(found: Refusal) -> tuple[Code, str, str | None, int | None]:
    return (found.code, found.field, None if found.subject is None else str(found.subject), found.limit)


@pytest.mark.parametrize(("do", "code", "field", "subject", "limit"), VALUES)
def test_a_wrong_value_says_which_it_is_and_why(
    do: Callable[[], object], code: Code, field: str, subject: str | None, limit: int | None
) -> None:
    """A code, a field by the name that all faces share, and the bound that it passes."""
    assert told(refusal(do, InvalidValue)) == (code, field, subject, limit)


def test_a_life_of_tokens_names_what_it_does_not_go_with() -> None:
    """Whichever of the two was changed can be pointed at."""
    assert refusal(lambda: a_tenant(access_ttl_s=1201)).beside == "session_ttl"
    long = {"session_ttl_s": 100_000, "access_ttl_s": 86_401, "token_format": TokenFormat.JWT}
    assert refusal(lambda: a_tenant(**long)).beside == "token_format"


def test_who_reads_a_value_for_a_field_gives_it_that_name() -> None:
    """What knows its field already keeps it."""

    def read(text: str) -> None:
        with of_field("hold"):
            read_duration_s(text)
            check_new_password("short")

    assert refusal(lambda: read("soon")).field == "hold"
    assert refusal(lambda: read("1s")).field == "password"


# The set-up as it is


@pytest.fixture(scope="module")
def site(sqlite_places: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A tenant of which nothing is changed, as all is refused."""
    site = Site(sqlite_places.make(tmp_path_factory.mktemp("refusals"), START_MS))
    site.begin(clients=12)
    with changing(site.store, ADA) as change:
        setup = change.tenant(JIM)
        setup.add_scope("orders")
        setup.set_client("c1", scopes=frozenset({"orders", "view"}))
        setup.set_client("c2", user="U1")
        setup.add_key("c1", read_jwk({**KEY, "kid": "one"}))
        for _ in range(16):
            setup.add_secret("c3", secret())
    with changing_accounts(site.store, ADA) as accounts:
        accounts.add_admin("ada", password_hash="hash", role=Role.OWNER)
        accounts.add_api_key("deploy", ApiKeys(bytes(32)).generate(), role=Role.VIEWER)
    yield site
    site.close()


OTHER_KEY = {"kty": "EC", "crv": "P-256"} | {
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
PART: list[tuple[Callable[[TenantSetup], object], type[Refusal], Code, str, str | None, int | None]] = [
    (lambda to: to.set(scope_default="x"), NotFound, Code.NOT_FOUND, "default_scope", "scope x", None),
    (lambda to: to.add_pool("full", seats=1), AlreadyThere, Code.ALREADY_THERE, "name", "pool full", None),
    (lambda to: to.set_pool("x", seats=1), NotFound, Code.NOT_FOUND, "", "pool x", None),
    (lambda to: to.remove_pool("full"), StillInUse, Code.IN_USE, "", "pool full", None),
    (lambda to: to.add_scope("all"), AlreadyThere, Code.ALREADY_THERE, "name", "scope all", None),
    (lambda to: to.add_scope("a", pool="x"), NotFound, Code.NOT_FOUND, "pool", "pool x", None),
    (lambda to: to.set_scope("view", pool="full"), InvalidValue, Code.BUILT_IN, "pool", "scope view", None),
    (
        lambda to: to.set_scope("view", read_only=False),
        InvalidValue,
        Code.BUILT_IN,
        "read_only",
        "scope view",
        None,
    ),
    (lambda to: to.remove_scope("view"), StillInUse, Code.BUILT_IN, "", "scope view", None),
    (lambda to: to.remove_scope("orders"), StillInUse, Code.IN_USE, "", "scope orders", None),
    (lambda to: to.add_user("U1"), AlreadyThere, Code.ALREADY_THERE, "initials", "user U1", None),
    (lambda to: to.add_user("u1"), AlreadyThere, Code.DIFFERS_BY_CASE, "initials", "user U1", None),
    (lambda to: to.add_user("XX", name=""), InvalidValue, Code.MALFORMED, "name", "user XX", 100),
    (lambda to: to.set_user("XX", name="x"), NotFound, Code.NOT_FOUND, "", "user XX", None),
    (lambda to: to.remove_user("U1"), StillInUse, Code.IN_USE, "", "user U1", None),
    (
        lambda to: to.add_client("c1", user="U1"),
        AlreadyThere,
        Code.ALREADY_THERE,
        "client_id",
        "client c1",
        None,
    ),
    (lambda to: to.add_client("n", user="XX"), NotFound, Code.NOT_FOUND, "user", "user XX", None),
    (
        lambda to: to.set_client("c1", scopes=frozenset({"x"})),
        NotFound,
        Code.NOT_FOUND,
        "scopes",
        "scope x",
        None,
    ),
    (
        lambda to: to.set_client("c1", grant_types=frozenset()),
        InvalidValue,
        Code.MISSING,
        "grant_types",
        "client c1",
        None,
    ),
    (
        lambda to: to.add_client("n", secret(), 5, user="U1"),
        InvalidValue,
        Code.IN_THE_PAST,
        "secret_expires",
        "secret",
        None,
    ),
    (
        lambda to: to.add_secret("c1", secret(), 5),
        InvalidValue,
        Code.IN_THE_PAST,
        "expires",
        "secret",
        None,
    ),
    (lambda to: to.add_secret("c3", secret()), StillInUse, Code.TOO_MANY, "", "secret", 16),
    (lambda to: to.remove_secret("c1", "no"), NotFound, Code.NOT_FOUND, "", "secret no", None),
    (
        lambda to: to.rotate_secret("c1", secret(), -1),
        InvalidValue,
        Code.OUT_OF_RANGE,
        "overlap",
        "client c1",
        0,
    ),
    (lambda to: to.remove_key("c1", "no"), NotFound, Code.NOT_FOUND, "", "key no", None),
    (
        lambda to: to.add_key("c1", read_jwk(OTHER_KEY), 5),
        InvalidValue,
        Code.IN_THE_PAST,
        "expires",
        "key",
        None,
    ),
    (
        lambda to: to.add_key("c1", read_jwk({**OTHER_KEY, "kid": "one"})),
        AlreadyThere,
        Code.SAME_KID,
        "kid",
        "key",
        None,
    ),
    (
        lambda to: to.set_client("c1", keys=(read_jwk(OTHER_KEY),) * (KEYS_MAX + 1)),
        StillInUse,
        Code.TOO_MANY,
        "",
        "key",
        KEYS_MAX,
    ),
    (lambda to: to.suspend("c1", 5), InvalidValue, Code.OUT_OF_RANGE, "cool_down", "client c1", None),
]


def of_tenant(site: Site, do: Callable[[TenantSetup], object]) -> Refusal:
    def change_it() -> None:
        with changing(site.store, ADA) as change:
            do(change.tenant(JIM))

    return refusal(change_it)


@pytest.mark.parametrize(("do", "kind", "code", "field", "subject", "limit"), PART)
def test_what_a_tenant_refuses_says_what_it_is_about(  # noqa: PLR0917 - a table
    site: Site,
    do: Callable[[TenantSetup], object],
    kind: type[Refusal],
    code: Code,
    field: str,
    subject: str | None,
    limit: int | None,
) -> None:
    """Nothing is changed, and the subject is named with its tenant."""
    version = site.tenant.version
    found = of_tenant(site, do)
    assert (type(found), *told(found)) == (kind, code, field, subject, limit)
    assert found.subject is None or found.subject.tenant in {JIM, ""}
    assert site.tenant.version == version


def test_what_stands_in_the_way_is_named(site: Site) -> None:
    """As far as anybody reads: 10 of them."""
    assert of_tenant(site, lambda to: to.remove_pool("full")).others == (Subject("scope", "all", JIM),)
    assert of_tenant(site, lambda to: to.remove_scope("orders")).others == (Subject("client", "c1", JIM),)
    clients = of_tenant(site, lambda to: to.remove_user("U1")).others
    assert clients == (Subject("client", "c1", JIM), Subject("client", "c2", JIM))


def test_the_default_scope_leads_to_its_tenant(site: Site) -> None:
    def do(setup: TenantSetup) -> None:
        setup.set(scope_default="orders")
        setup.remove_scope("orders")

    found = of_tenant(site, do)
    assert told(found) == (Code.IS_DEFAULT, "", "scope orders", None)
    assert found.others == (Subject("tenant", JIM, JIM),)


def test_where_a_name_is_not_known_those_that_there_are_are_named(site: Site) -> None:
    """10 at most, and none where there is none."""
    found = of_tenant(site, lambda to: to.set_client("x", enabled=False))
    assert len(found.others) == OTHERS_MAX
    assert str(found).endswith("and 2 more")
    none = of_tenant(site, lambda to: to.remove_key("c2", "x"))
    assert (none.others, str(none)) == (
        (),
        "there is no key of client c2 x in tenant Jim_Test; there is none yet",
    )


def test_a_tenant_that_is_there_or_not_is_named_as_its_own(site: Site) -> None:
    def of_all(do: Callable[[SetupChange], object]) -> Refusal:
        def change_it() -> None:
            with changing(site.store, ADA) as change:
                do(change)

        return refusal(change_it)

    there = of_all(lambda to: to.add_tenant(JIM, seats=1))
    assert told(there) == (Code.ALREADY_THERE, "name", f"tenant {JIM}", None)
    gone = of_all(lambda to: to.tenant("Nowhere"))
    assert told(gone) == (Code.NOT_FOUND, "", "tenant Nowhere", None)
    assert gone.others == (Subject("tenant", JIM, JIM),)
    bare = of_all(lambda to: to.add_tenant("Bare"))
    assert told(bare) == (Code.MISSING, "scope", "tenant Bare", None)


def of_accounts(site: Site, do: Callable[[AccountsChange], object], within: int | None = None) -> Refusal:
    def change_it() -> None:
        with changing_accounts(site.store, ADA, within=within) as change:
            do(change)

    return refusal(change_it)


def test_accounts_refuse_by_code(site: Site) -> None:
    made = ApiKeys(bytes(32)).generate()
    viewer = {"password_hash": "hash", "role": Role.VIEWER}

    def add(name: str, tenant_id: int | None = None) -> Callable[[AccountsChange], object]:
        return lambda to: to.add_admin(name, tenant_id=tenant_id, **viewer)  # type: ignore[arg-type]

    last = of_accounts(site, lambda to: to.remove_admin("ada"))
    assert (type(last), *told(last)) == (LastOwner, Code.LAST_OWNER, "", "administrator ada", None)
    there = of_accounts(site, add("ada"))
    assert told(there) == (Code.ALREADY_THERE, "name", "administrator ada", None)
    key = of_accounts(site, lambda to: to.add_api_key("deploy", made, role=Role.VIEWER))
    assert told(key) == (Code.ALREADY_THERE, "name", "API key deploy", None)
    late = of_accounts(site, lambda to: to.add_api_key("late", made, role=Role.VIEWER, expires_at_ms=5))
    assert told(late) == (Code.IN_THE_PAST, "expires", "API key late", None)
    assert told(of_accounts(site, add("A B"))) == (Code.MALFORMED, "name", None, None)
    assert told(of_accounts(site, add("bob", 99))) == (Code.NOT_FOUND, "tenant", "tenant", None)
    wide = of_accounts(site, add("bob"), within=site.tenant.id)
    assert (type(wide), *told(wide)) == (NotYours, Code.NOT_YOURS, "tenant", None, None)
    gone = of_accounts(site, lambda to: to.remove_api_key("nobody"))
    assert told(gone) == (Code.NOT_FOUND, "", "API key nobody", None)


def test_webhooks_refuse_by_code(site: Site) -> None:
    def test_disabled() -> None:
        with changing_webhooks(site.store, ADA) as change:
            added = change.add("https://example.com/alerts", tenant_id=None)
            change.set(added.id, enabled=False)
            change.test(added.id)

    def find() -> None:
        with changing_webhooks(site.store, ADA) as change:
            change.webhook("wh_0")

    disabled = refusal(test_disabled)
    assert disabled.code is Code.DISABLED
    assert disabled.subject is not None
    assert disabled.subject.kind == "webhook"
    assert told(refusal(find)) == (Code.NOT_FOUND, "", "webhook wh_0", None)


def test_a_licence_names_each_term_by_the_shared_name(site: Site) -> None:
    def change_it() -> None:
        with changing(site.store, ADA, keeps_licence=True) as change:
            change.tenant(JIM).set(session_ttl_s=3000)
            change.tenant(JIM).set_pool("full", expires_at_ms=START_MS + 99_000_000)

    found = refusal(change_it)
    assert isinstance(found, LicenceKept)
    assert found.code is Code.PART_OF_LICENCE
    assert [term.field for term in found.terms] == ["session_ttl", "expires"]


def test_a_plan_that_is_another_by_now_is_refused_by_code(site: Site) -> None:
    nothing = apply(site.store, [], ADA, rehearse=True)
    other = nothing.__class__(steps=(), ending=nothing.ending)
    found = refusal(lambda: apply(site.store, [], ADA, prune=True, expected=other))
    assert (type(found), found.code) == (SetupError, Code.CHANGED_MEANWHILE)


def test_every_code_has_a_meaning_and_is_a_word_of_its_own() -> None:
    """Programs depend on them."""
    assert set(MEANING) == set(Code)
    assert all(code.value == code.name.lower() and code.value.isascii() for code in Code)


def test_every_code_is_named_by_a_test() -> None:
    """As a value, or as the word that a program gets: nobody else would notice that it is another."""
    names, words = set[str](), set[str]()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        names.update(re.findall(r"\bCode\.(\w+)", text))
        if "problem(" in text:
            words.update(re.findall(r'(?<=["\s])\w+(?=["\s])', text))
    assert [code for code in Code if code.name not in names and code.value not in words] == []


def test_no_refusal_repeats_a_secret() -> None:
    """S: what somebody took for a public key, or chose as a password, is in no text."""
    for do in (
        lambda: read_jwk({**KEY, "d": "c2VjcmV0LXNlY3JldA"}),
        lambda: read_jwk({"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"}),
        lambda: check_new_password("lcs_c2VjcmV0LXNlY3JldA"),
    ):
        assert "c2VjcmV0" not in str(vars(refusal(do))) + str(refusal(do))
