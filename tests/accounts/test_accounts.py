"""Who may work on the admin listener: roles, the last owner, and what ends with an account. On each store."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest

from licet.accounts import administrators, api_keys, sign_ins
from licet.accounts.account import NotYours
from licet.accounts.administrators import LastOwner, changing, read_admins
from licet.accounts.api_keys import read_api_keys
from licet.accounts.sign_ins import Lives
from licet.credentials.generated import ApiKeys
from licet.model import InvalidValue, Role
from licet.setup.change import changing as changing_setup
from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import AlreadyThere, NotFound, StillInUse
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

KEYS = ApiKeys(b"p" * 32)
OTHER = "Other"
LIVES = Lives(idle_s=1800, longest_s=43_200)
TOKEN, ANOTHER = b"t" * 32, b"u" * 32


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Two tenants, and the owner `ada` of both."""
    site = Site(make_place(START_MS))
    site.begin(seats=1, clients=1)
    with changing_setup(site.store, ADA) as change:
        change.add_tenant(OTHER, seats=1)
    add(site, "ada", Role.OWNER)
    yield site
    site.close()


def add(site: Site, name: str, role: Role = Role.VIEWER, tenant_id: int | None = None) -> None:
    with changing(site.store, ADA) as change:
        change.add_admin(name, password_hash=f"hash of {name}", role=role, tenant_id=tenant_id)


def sign_in(site: Site, name: str, token: bytes = TOKEN) -> bool:
    with site.store.reading() as connection:
        admin = administrators.find_admin(connection, name)
    assert admin is not None
    return sign_ins.begin(site.store, admin, token, "192.0.2.1", LIVES)


def is_in(site: Site, token: bytes = TOKEN) -> bool:
    return sign_ins.find(site.store, token, LIVES) is not None


def wait(site: Site, seconds: float) -> None:
    """Let time pass; the store of a database hears of it."""
    site.clock.advance(seconds=seconds)
    site.store.probe()


def admins(site: Site, within: int | None = None) -> dict[str, tuple[Role, int | None, bool]]:
    with site.store.reading() as connection:
        return {
            admin.name: (admin.role, admin.tenant_id, admin.enabled)
            for admin in read_admins(connection, within)
        }


def keys(site: Site, within: int | None = None) -> list[str]:
    with site.store.reading() as connection:
        return [key.name for key in read_api_keys(connection, within)]


# Roles


def test_each_role_may_what_the_one_before_it_may() -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.OWNER]
    assert [[role.includes(other) for other in order] for role in order] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


# Administrators


def test_administrators_are_added_changed_and_removed_and_each_change_is_an_event(site: Site) -> None:
    add(site, "grace", Role.OPERATOR, site.tenant.id)
    assert site.event() == (ADA, JIM, "add", "admin grace", f"operator of tenant {JIM}")
    assert admins(site) == {"ada": (Role.OWNER, None, True), "grace": (Role.OPERATOR, site.tenant.id, True)}
    with changing(site.store, "ada") as change:
        assert change.set_admin("grace", role=Role.OWNER, tenant_id=None)
    told = f"role operator -> owner, tenant {JIM} -> all tenants"
    assert site.event() == ("ada", JIM, "set", "admin grace", told)
    with changing(site.store, "ada") as change:
        assert change.set_admin("grace", password_hash="another", enabled=False)
    assert site.event()[4] == "enabled yes -> no, password changed"
    with changing(site.store, "ada") as change:
        assert change.remove_admin("grace")
    assert site.event() == ("ada", "", "remove", "admin grace", "owner of all tenants")
    assert list(admins(site)) == ["ada"]


def test_nothing_to_change_is_no_event(site: Site) -> None:
    events = site.count(schema.event)
    with changing(site.store, ADA) as change:
        assert not change.set_admin("ada", role=Role.OWNER, enabled=True)
    assert site.count(schema.event) == events


def test_accounts_are_no_change_of_the_set_up_that_servers_remember(site: Site) -> None:
    version = site.version()
    add(site, "grace")
    assert site.version() == version


@pytest.mark.parametrize(
    "name", ["", "Ada", "a b", ".ada", "ada\n", "x" * 65, "key:ada", "\N{LATIN SMALL LETTER E WITH ACUTE}lo"]
)
def test_a_name_is_short_and_plain(site: Site, name: str) -> None:
    """Events and the log call people by it; with a space in it, it could be taken for `key deploy`."""
    with pytest.raises(InvalidValue, match="1 to 64 small letters"):
        add(site, name)
    with pytest.raises(InvalidValue, match="1 to 64 small letters"), changing(site.store, ADA) as change:
        change.add_api_key(name, KEYS.generate(), role=Role.VIEWER)


def test_a_name_is_given_once(site: Site) -> None:
    with pytest.raises(AlreadyThere, match="there is an administrator ada already"):
        add(site, "ada")


def test_what_nobody_is_called_is_not_found(site: Site) -> None:
    with (
        pytest.raises(NotFound, match="there is no administrator nobody"),
        changing(site.store, ADA) as change,
    ):
        change.set_admin("nobody", enabled=False)
    with (
        pytest.raises(NotFound, match="there is no administrator nobody"),
        changing(site.store, ADA) as change,
    ):
        change.remove_admin("nobody")
    with pytest.raises(NotFound, match="there is no API key nobody"), changing(site.store, ADA) as change:
        change.remove_api_key("nobody")
    with pytest.raises(NotFound, match="the tenant is gone"):
        add(site, "grace", Role.OWNER, 99)


def test_there_are_so_many_accounts_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed whole."""
    monkeypatch.setattr(administrators, "ADMINS_MAX", 1)
    monkeypatch.setattr(api_keys, "API_KEYS_MAX", 0)
    with pytest.raises(StillInUse, match="there are 1 administrators already"):
        add(site, "grace")
    with pytest.raises(StillInUse, match="remove one first"), changing(site.store, ADA) as change:
        change.add_api_key("deploy", KEYS.generate(), role=Role.VIEWER)


# The last owner


LESSENED = [
    {"role": Role.OPERATOR},
    {"enabled": False},
    {"tenant_id": 1},
]


@pytest.mark.parametrize("less", LESSENED)
def test_the_last_owner_of_all_tenants_stays_one(site: Site, less: dict[str, object]) -> None:
    """Else nobody could mend it on the dashboard. An owner who is disabled, or of one tenant, is none."""
    add(site, "of-one", Role.OWNER, site.tenant.id)
    add(site, "gone", Role.OWNER)
    with changing(site.store, ADA) as change:
        change.set_admin("gone", enabled=False)
    told = "ada is the last enabled owner of all tenants; make another one first$"
    with pytest.raises(LastOwner, match=told), changing(site.store, ADA) as change:
        change.set_admin("ada", **less)  # type: ignore[arg-type]
    with pytest.raises(LastOwner), changing(site.store, ADA) as change:
        change.remove_admin("ada")
    assert admins(site)["ada"] == (Role.OWNER, None, True)
    add(site, "grace", Role.OWNER)
    with changing(site.store, ADA) as change:
        assert change.set_admin("ada", **less)  # type: ignore[arg-type]


def test_the_last_owner_may_get_another_password(site: Site) -> None:
    with changing(site.store, ADA) as change:
        assert change.set_admin("ada", password_hash="another")


def test_two_owners_who_remove_each_other_at_once_leave_one(site: Site) -> None:
    add(site, "grace", Role.OWNER)
    ready, refused = Barrier(2), list[str]()

    def remove(store: Store, name: str) -> None:
        ready.wait()
        try:
            with changing(store, ADA) as change:
                change.remove_admin(name)
        except LastOwner:
            refused.append(name)

    threads = [Thread(target=remove, args=(site.second(), name)) for name in ("ada", "grace")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(admins(site)) == refused


# Whoever looks after one tenant


def test_who_looks_after_one_tenant_has_the_accounts_of_that_one_only(site: Site) -> None:
    """An owner of one tenant must not make himself one of all, nor lock out who is."""
    jim, other = site.tenant.id, site.store.tenant(OTHER)
    assert other is not None
    add(site, "grace", Role.OWNER, jim)
    add(site, "eve", Role.VIEWER, other.id)
    with changing(site.store, ADA) as change:
        change.add_api_key("deploy", KEYS.generate(), role=Role.OWNER, tenant_id=other.id)
        change.add_api_key("backup", KEYS.generate(), role=Role.OWNER)
    assert (list(admins(site, jim)), keys(site, jim), keys(site, other.id)) == (["grace"], [], ["deploy"])
    for name in ("ada", "eve"):
        with pytest.raises(NotFound), changing(site.store, "grace", within=jim) as change:
            change.set_admin(name, password_hash="mine")
        with pytest.raises(NotFound), changing(site.store, "grace", within=jim) as change:
            change.remove_admin(name)
    for name in ("deploy", "backup"):
        with pytest.raises(NotFound), changing(site.store, "grace", within=jim) as change:
            change.remove_api_key(name)
    for tenant_id in (None, other.id):
        with pytest.raises(NotYours), changing(site.store, "grace", within=jim) as change:
            change.set_admin("grace", tenant_id=tenant_id)
        with pytest.raises(NotYours), changing(site.store, "grace", within=jim) as change:
            change.add_admin("mallory", password_hash="x", role=Role.VIEWER, tenant_id=tenant_id)
        with pytest.raises(NotYours), changing(site.store, "grace", within=jim) as change:
            change.add_api_key("mallory", KEYS.generate(), role=Role.VIEWER, tenant_id=tenant_id)
    with changing(site.store, "grace", within=jim) as change:
        change.add_admin("heidi", password_hash="x", role=Role.OPERATOR, tenant_id=jim)
        change.remove_admin("heidi")


def test_a_tenant_takes_its_administrators_and_keys_with_it(site: Site) -> None:
    """And their sign-ins. Those of other tenants, and of all, stay."""
    jim, other = site.tenant.id, site.store.tenant(OTHER)
    assert other is not None
    add(site, "grace", Role.OWNER, jim)
    add(site, "eve", Role.OWNER, other.id)
    with changing(site.store, ADA) as change:
        for name, tenant_id in (("one", jim), ("two", other.id), ("three", None)):
            change.add_api_key(name, KEYS.generate(), role=Role.OWNER, tenant_id=tenant_id)
    sign_in(site, "grace")
    sign_in(site, "eve", ANOTHER)
    with changing_setup(site.store, ADA) as change_setup:
        change_setup.remove_tenant(JIM)
    assert (list(admins(site)), keys(site)) == (["ada", "eve"], ["three", "two"])
    told = [(row.actor, row.tenant, row.action, row.target) for row in site.rows(schema.event)][-3:]
    targets = ("admin grace", "API key one", f"tenant {JIM}")
    assert told == [(ADA, JIM, "remove", target) for target in targets]
    assert (is_in(site), is_in(site, ANOTHER)) == (False, True)


# API keys


def test_keys_are_kept_as_a_hash_with_what_they_may_do(site: Site) -> None:
    made = KEYS.generate()
    with changing(site.store, "ada") as change:
        key = change.add_api_key("deploy", made, role=Role.OPERATOR, tenant_id=site.tenant.id)
    assert site.event() == (
        "ada", JIM, "add", "API key deploy", f"{made.key_id}, operator of tenant {JIM}, expires never"
    )  # fmt: skip
    with site.store.reading() as connection:
        assert api_keys.find_api_key(connection, made.key_id) == key
        assert api_keys.find_api_key(connection, "0" * 12) is None
    assert (key.created_by, key.created_at_ms, key.last_used_at_ms) == ("ada", START_MS, None)
    assert made.key not in repr(made)
    assert made.key not in str(site.rows(schema.api_key))
    assert made.key not in str(site.rows(schema.event))
    with pytest.raises(AlreadyThere), changing(site.store, ADA) as change:
        change.add_api_key("deploy", KEYS.generate(), role=Role.VIEWER)
    with changing(site.store, "ada") as change:
        change.remove_api_key("deploy")
    assert site.event()[2:] == ("remove", "API key deploy", f"{made.key_id}, operator of tenant {JIM}")
    assert keys(site) == []


def test_a_new_key_has_not_expired_yet(site: Site) -> None:
    with pytest.raises(InvalidValue, match="expires later than now"), changing(site.store, ADA) as change:
        change.add_api_key("deploy", KEYS.generate(), role=Role.VIEWER, expires_at_ms=START_MS)


def test_when_a_key_was_last_used_is_kept(site: Site) -> None:
    made = KEYS.generate()
    with changing(site.store, ADA) as change:
        change.add_api_key("deploy", made, role=Role.VIEWER)
    sign_ins.note_api_keys_used(site.store, {made.key_id: START_MS + 5, "0" * 12: START_MS + 6})
    assert [row.last_used_at_ms for row in site.rows(schema.api_key)] == [START_MS + 5]


# Sign-ins


def test_a_sign_in_says_who_and_until_when_and_is_an_event(site: Site) -> None:
    assert sign_in(site, "ada")
    assert site.event() == ("ada", "", "sign in", "admin ada", "from 192.0.2.1")
    found = sign_ins.find(site.store, TOKEN, LIVES)
    assert found is not None
    assert (found.name, found.role, found.tenant_id) == ("ada", Role.OWNER, None)
    assert (found.since_ms, found.ends_at_ms) == (START_MS, START_MS + 1_800_000)
    assert sign_ins.find(site.store, ANOTHER, LIVES) is None


def test_a_sign_in_ends_when_it_is_not_used(site: Site) -> None:
    """A page that looks by itself is no use."""
    sign_in(site, "ada")
    wait(site, 1000)
    assert is_in(site)
    wait(site, 1000)
    assert sign_ins.find(site.store, TOKEN, LIVES, is_use=False) is not None
    wait(site, 740)
    assert sign_ins.find(site.store, TOKEN, LIVES, is_use=False) is not None
    wait(site, 60)
    assert not is_in(site)


def test_a_sign_in_ends_after_a_day_of_work_however_much_it_is_used(site: Site) -> None:
    sign_in(site, "ada")
    for _ in range(26):
        wait(site, 1600)
        assert is_in(site)
    found = sign_ins.find(site.store, TOKEN, LIVES)
    assert found is not None
    assert found.ends_at_ms == START_MS + 43_200_000
    wait(site, 43_200 - 26 * 1600)
    assert not is_in(site)


def test_a_use_is_written_down_once_a_minute(site: Site) -> None:
    """A page that asks every second must not write every second."""
    sign_in(site, "ada")
    seen = []
    for seconds in (30, 30, 30, 30):
        wait(site, seconds)
        assert is_in(site)
        seen.append((site.rows(schema.admin_session)[0].seen_at_ms - START_MS) // 1000)
    assert seen == [0, 60, 60, 120]


def test_signing_out_ends_one_sign_in(site: Site) -> None:
    sign_in(site, "ada")
    sign_in(site, "ada", ANOTHER)
    assert sign_ins.end(site.store, TOKEN)
    assert site.event() == ("ada", "", "sign out", "admin ada", "")
    assert (is_in(site), is_in(site, ANOTHER)) == (False, True)
    assert not sign_ins.end(site.store, TOKEN)


TAKEN_AWAY = [
    {"enabled": False},
    {"role": Role.VIEWER},
    {"tenant_id": 1},
    {"password_hash": "another"},
    {"role": Role.OWNER, "tenant_id": 1},
]


@pytest.mark.parametrize("change_it", TAKEN_AWAY)
def test_who_may_do_less_or_gets_another_password_is_signed_out(
    site: Site, change_it: dict[str, object]
) -> None:
    add(site, "grace", Role.OPERATOR)
    sign_in(site, "grace")
    sign_in(site, "ada", ANOTHER)
    with changing(site.store, ADA) as change:
        change.set_admin("grace", **change_it)  # type: ignore[arg-type]
    assert (is_in(site), is_in(site, ANOTHER)) == (False, True)
    with changing(site.store, ADA) as change:
        change.remove_admin("grace")
    assert site.count(schema.admin_session) == 1


def test_who_may_do_more_stays_signed_in_and_may_do_it_at_once(site: Site) -> None:
    add(site, "grace", Role.VIEWER, site.tenant.id)
    sign_in(site, "grace")
    with changing(site.store, ADA) as change:
        change.set_admin("grace", role=Role.OWNER, tenant_id=None)
    found = sign_ins.find(site.store, TOKEN, LIVES)
    assert found is not None
    assert (found.role, found.tenant_id) == (Role.OWNER, None)


@pytest.mark.parametrize("change_it", [{"enabled": False}, {"password_hash": "another"}])
def test_whoever_was_changed_while_the_password_was_checked_is_not_signed_in(
    site: Site, change_it: dict[str, object]
) -> None:
    """A check takes a while; what it was made against may be the password that somebody stole."""
    add(site, "grace")
    with site.store.reading() as connection:
        checked = administrators.find_admin(connection, "grace")
    assert checked is not None
    with changing(site.store, ADA) as change:
        change.set_admin("grace", **change_it)  # type: ignore[arg-type]
    assert not sign_ins.begin(site.store, checked, TOKEN, "192.0.2.1", LIVES)
    assert not is_in(site)


def test_a_stronger_hash_takes_the_place_of_the_old_one_and_ends_no_sign_in(site: Site) -> None:
    with site.store.reading() as connection:
        admin = administrators.find_admin(connection, "ada")
    assert admin is not None
    assert sign_ins.begin(site.store, admin, TOKEN, "192.0.2.1", LIVES, stronger_hash="stronger")
    assert site.rows(schema.admin)[0].password_hash == "stronger"
    assert is_in(site)


def test_sign_ins_do_not_pile_up(site: Site) -> None:
    """The oldest of an administrator goes for one more, and what has ended goes with the next sign-in."""
    add(site, "grace")
    sign_in(site, "grace", b"g" * 32)
    for number in range(sign_ins.SIGN_INS_MAX + 2):
        wait(site, 1)
        sign_in(site, "ada", bytes([number]) * 32)
    assert site.count(schema.admin_session) == sign_ins.SIGN_INS_MAX + 1
    assert [is_in(site, bytes([number]) * 32) for number in (0, 1, 2)] == [False, False, True]
    wait(site, 1801)
    sign_in(site, "ada")
    assert site.count(schema.admin_session) == 1
