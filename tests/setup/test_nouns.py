"""Tests that a setting is declared once and known everywhere: one table of cases for all nouns."""

import inspect
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from licet.admin.api import requests
from licet.admin.api.responses import setup as responses
from licet.admin.pages.setup.settings import field_of, text_of
from licet.cli.set_up import pool as pool_verbs
from licet.cli.set_up import tenant as tenant_verbs
from licet.credentials.public_keys import read_jwk
from licet.formats import instant
from licet.model import (
    Client,
    Duplicates,
    GrantType,
    InvalidValue,
    Pool,
    Scope,
    Tenant,
    TokenFormat,
    User,
    Value,
)
from licet.options import Group, Priority, Share
from licet.setup import file
from licet.setup.noun import Noun
from licet.setup.nouns import CLIENT, GROUP, POOL, SCOPE, TENANT, USER, described, differences, facts
from licet.store import schema
from licet.store.setup_rows import columns_of

if TYPE_CHECKING:
    from licet.setup.kinds import Kind

NOUNS = (TENANT, POOL, SCOPE, USER, CLIENT, GROUP)
TABLES = {
    "tenant": schema.tenant,
    "pool": schema.pool,
    "scope": schema.scope,
    "user": schema.user,
    "client": schema.client,
}
USER_TC = User(initials="TC", name="Test Client", password_hash=None)
KEY = read_jwk(
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k"}
)

# A value of each noun, and for each setting something that it is not: a setting without a case fails below.
VALUES: dict[str, Value] = {
    "tenant": Tenant(id=1, name="Jim_Test", version=1),
    "pool": Pool(id=1, name="full", seats=5),
    "scope": Scope(name="orders", licensed=True, read_only=False, pool="full"),
    "user": USER_TC,
    "client": Client(key=1, client_id="TestClientId", user=USER_TC),
    "group": Group(name="sales"),
}
OTHERS: dict[str, dict[str, Any]] = {
    "tenant": {
        "session_ttl_s": 3600,
        "access_ttl_s": 60,
        "scope_default": "view",
        "no_seat_status": 429,
        "token_format": TokenFormat.JWT,
        "strict_assertions": True,
        "time_zone": "Australia/Sydney",
        "licence_required": True,
    },
    "pool": {
        "seats": 7,
        "duplicates": Duplicates.USER,
        "expires_at_ms": 1_798_761_600_000,
        "alerts": ("95", "expires"),
        "hold_s": 60,
        "overdraft": 2,
        "exclude": ("client:TestClientId", "user:TC"),
        "include": ("group:sales",),
        "named": ("AB", "TC"),
        "reserve": (Share(who="group:sales", seats=2), Share(who="user:TC", seats=1)),
        "max": (Share(who="client:TestClientId", seats=1),),
        "max_per_user": 2,
        "max_per_client": 3,
        "priority": (Priority(who="group:sales", level=-9),),
        "queue": 20,
        "queue_hold_s": 60,
    },
    "scope": {"pool": "mobile", "pools": ("mobile", "full"), "read_only": True},
    "user": {"name": "Ada Byron", "enabled": False, "cost_centre": "4711"},
    "client": {
        "user": User(initials="AB", name="Ada Byron", password_hash=None),
        "enabled": False,
        "sessions_max": 3,
        "scopes": frozenset({"view", "orders"}),
        "grant_types": frozenset({GrantType.CLIENT_CREDENTIALS}),
        "introspects": True,
        "password_allowed": False,
        "keys": (KEY,),
    },
    "group": {"users": frozenset({"TC", "AB"}), "clients": frozenset({"TestClientId"})},
}
SETTINGS = [
    pytest.param(noun, setting.field, id=f"{noun.word}-{setting.field}")
    for noun in NOUNS
    for setting in noun.settings
]


def test_every_setting_has_a_case_here() -> None:
    for noun in NOUNS:
        assert set(OTHERS[noun.word]) == {setting.field for setting in noun.settings}


def test_what_an_administrator_sets_of_a_value_is_all_that_its_model_has() -> None:
    """But for names, numbers of the store, what has a life of its own, credentials, and what vendors sign."""
    of_others = {"id", "key", "version", "name", "initials", "client_id", "licensed", "suspended_until_ms"}
    of_others |= {
        "pools",
        "scopes",
        "users",
        "clients",
        "clients_by_key",
        "password_hash",
        "secrets",
        "signed",
        "licences",
        "groups",
        "options",  # which is made of the pools and the groups
        "other_pools",  # of which `pools` has all, as has the next
        "pools_by_name",
    }
    for noun in NOUNS:
        fields = {setting.field for setting in noun.settings}
        assert set(noun.model.__struct_fields__) - fields <= of_others


def changed(value: Value, field: str, other: Any) -> Value:
    """The value with this setting; those of a scope that are not one field."""
    if isinstance(value, Scope) and field in {"pool", "pools"}:
        first, *others = (other,) if isinstance(other, str) else other
        return replace(value, pool=first, other_pools=tuple(others))
    return replace(value, **{field: other})


@pytest.mark.parametrize(("noun", "field"), SETTINGS)
def test_an_event_says_what_changed_by_the_name_of_the_setting(noun: Noun, field: str) -> None:
    before = VALUES[noun.word]
    after = changed(before, field, OTHERS[noun.word][field])
    told = differences(before, after)
    setting = noun.setting(field)
    if field != "pools":  # whose first is `pool`
        assert told.startswith(f"{setting.name} ")
        assert ", " not in told
    assert " -> " in told
    assert setting.name in described(after)


@pytest.mark.parametrize(("noun", "field"), SETTINGS)
def test_what_the_set_up_file_has_is_read_as_the_value_that_was_written(noun: Noun, field: str) -> None:
    tenant = replace(
        Tenant(id=1, name="Jim_Test", version=1, time_zone="Australia/Sydney"),
        pools={1: VALUES["pool"], 2: Pool(id=2, name="mobile", seats=1)},
        scopes={
            "all": Scope(name="all", licensed=True, read_only=False, pool="full"),
            "view": Scope(name="view", licensed=False, read_only=True, pool=None),
            "orders": VALUES["scope"],
        },
        users={"TC": USER_TC, "AB": OTHERS["client"]["user"]},
        clients={"TestClientId": VALUES["client"]},
        groups={"sales": VALUES["group"]},
    )
    other = changed(VALUES[noun.word], field, OTHERS[noun.word][field])
    match other:
        case Tenant():
            tenant = replace(tenant, **{field: OTHERS["tenant"][field]})
        case Pool():
            tenant = replace(tenant, pools={**tenant.pools, 1: other})
        case Scope():
            tenant = replace(tenant, scopes={**tenant.scopes, "orders": other})
        case User():
            tenant = replace(tenant, users={**tenant.users, "TC": other})
        case Client():
            tenant = replace(tenant, clients={"TestClientId": other})
        case Group():
            tenant = replace(tenant, groups={"sales": other})
    (read,) = file.read(file.write([tenant]), "set-up.toml")
    parts = {
        "tenant": read,
        "pool": read.pool_named("full"),
        "scope": read.scopes["orders"],
        "user": read.users["TC"],
        "client": read.clients["TestClientId"],
        "group": read.groups["sales"],
    }
    found = parts[noun.word]
    assert found is not None
    wanted = tenant if noun is TENANT else other
    assert facts(found) == facts(wanted)


@pytest.mark.parametrize(("noun", "field"), SETTINGS)
def test_the_admin_api_takes_and_shows_it(noun: Noun, field: str) -> None:
    """The bodies are written out, as they are a contract: none of the settings may be forgotten there."""
    name = noun.setting(field).wire
    if field == "keys":
        return
    title = noun.word.capitalize()
    assert name in getattr(requests, f"{title}Patch").model_fields
    assert name in getattr(responses, title).__struct_fields__
    if field != "scope_default":  # a new tenant has no scopes to choose from
        assert name in getattr(requests, f"{title}New").model_fields


@pytest.mark.parametrize(("noun", "field"), SETTINGS)
def test_what_the_admin_api_shows_can_be_sent_again(noun: Noun, field: str) -> None:
    setting = noun.setting(field)
    value = changed(VALUES[noun.word], field, OTHERS[noun.word][field])
    taken = noun.taken({setting.wire: noun.shown(value)[setting.wire], "else": 1})
    wanted = getattr(value, field)
    if field == "user":  # whom the set-up knows by initials
        wanted = wanted.initials
    if field == "expires_at_ms":  # which is read by the tenant's clocks, in the transaction
        wanted = instant(wanted)
    assert taken == {field: wanted, "else": 1}


@pytest.mark.parametrize(("noun", "field"), SETTINGS)
def test_a_form_reads_what_it_shows(noun: Noun, field: str) -> None:
    setting = noun.setting(field)
    tenant = Tenant(id=1, name="Jim_Test", version=1, time_zone="Australia/Sydney")
    if field == "keys":  # which have pages of their own
        return
    value = OTHERS[noun.word][field]
    shown = field_of(setting, tenant)
    if field in {"scopes", "users", "clients"}:  # whose choices are the tenant's
        return
    read = shown.value(text_of(setting, value, tenant))
    if field == "grant_types":  # marks are read by the page
        read = frozenset(map(GrantType, read))
    assert setting.kind.fact(read) == setting.kind.fact(value)


@pytest.mark.parametrize(("noun", "verbs"), [(POOL, pool_verbs), (TENANT, tenant_verbs)])
def test_the_command_line_has_an_option_for_each_setting(noun: Noun, verbs: Any) -> None:
    assert {it.field for it in noun.settings} <= inspect.signature(verbs.set_).parameters.keys()


@pytest.mark.parametrize("noun", NOUNS[:-1], ids=lambda noun: noun.word)
def test_a_column_keeps_each_setting(noun: Noun) -> None:
    """Written by the name of the field, or as `store/setup_rows.py` says."""
    otherwise = {"user": "initials", "pool": "pool_id", "keys": None, "pools": None}
    otherwise |= dict.fromkeys(("exclude", "include", "named", "reserve", "max", "priority"))
    kept = columns_of(VALUES[noun.word], TABLES[noun.word])
    for setting in noun.settings:
        column = otherwise.get(setting.field, setting.field)
        assert column is None or column in TABLES[noun.word].c
        assert setting.field in otherwise or setting.field in kept


@pytest.mark.parametrize(
    ("noun", "field", "typed"),
    [
        (POOL, "seats", "1000001"),
        (POOL, "seats", "-1"),
        (POOL, "seats", "many"),
        (POOL, "seats", "٣x"),
        (POOL, "duplicates", "nobody"),
        (POOL, "expires_at_ms", "soon"),
        (POOL, "alerts", "101"),
        (POOL, "hold_s", "2d"),
        (POOL, "hold_s", "20x"),
        (TENANT, "session_ttl_s", "0"),
        (TENANT, "session_ttl_s", "32d"),
        (TENANT, "no_seat_status", "418"),
        (TENANT, "token_format", "saml"),
        (TENANT, "time_zone", "Nowhere"),
        (USER, "name", ""),
        (USER, "name", "a\x00b"),
        (USER, "name", "a" * 101),
        (USER, "cost_centre", "a\x00b"),
        (USER, "cost_centre", "a" * 65),
        (CLIENT, "sessions_max", "0"),
        (POOL, "exclude", "TC"),
        (POOL, "include", "team:TC"),
        (POOL, "include", "user:"),
        (POOL, "reserve", "group:sales"),
        (POOL, "reserve", "0:group:sales"),
        (POOL, "reserve", "1000001:group:sales"),
        (POOL, "reserve", "1.5:group:sales"),
        (POOL, "reserve", "٣:group:sales"),
        (POOL, "max", "-1:user:TC"),
        (POOL, "max", "1:TC"),
        (POOL, "priority", "10:user:TC"),
        (POOL, "priority", "-10:user:TC"),
        (POOL, "priority", "--1:user:TC"),
        (POOL, "max_per_user", "0"),
        (POOL, "queue", "1001"),
        (POOL, "queue_hold_s", "4s"),
        (POOL, "queue_hold_s", "301"),
        (SCOPE, "pools", "a,b,c,d,e"),
        (SCOPE, "pools", "a,a"),
    ],
)
def test_what_may_not_be_is_refused_before_the_model_sees_it(noun: Noun, field: str, typed: str) -> None:
    kind: Kind = noun.setting(field).kind
    with pytest.raises(InvalidValue):
        kind.read(typed, UTC)
