"""Plans and takes the steps from the current set-up to the one that a file declares.

The steps are in an order in which each finds what it refers to, and parts are removed after what refers to
them. A part that a tenant of the file does not name is removed only on demand; passwords and secrets stay as
they are. A second run of the same file finds nothing to do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from licet.model import Client, Pool, Scope, Tenant, User, Value
from licet.options import Group
from licet.refusal import Code
from licet.setup.change import SetupChange
from licet.setup.consequences import Consequences
from licet.setup.noun import Settings
from licet.setup.nouns import described, differences, noun_of
from licet.setup.parts.pools import BUILT_IN
from licet.setup.signed_limits import beyond_signed, why_no_seats
from licet.setup.tenant import TenantSetup
from licet.store.contract import Store
from licet.store.errors import SetupError

ADD, SET, REMOVE, KEEP = "add", "set", "remove", "keep"

_Part = Pool | Scope | User | Client | Group


class Step(Value, frozen=True, kw_only=True):
    """One thing to do, or with `keep` one to leave alone because the file does not name it."""

    action: str
    tenant: str
    target: str  # "pool full"
    details: tuple[str, ...]  # a line of all that has one value, and one for each rule

    @property
    def detail(self) -> str:
        """All of it in one line."""
        return ", ".join(self.details)


class Applied(Value, frozen=True, kw_only=True):
    """The steps, what they do to sessions, and what is to be known of pools then: each a line."""

    steps: tuple[Step, ...]
    ending: Consequences
    notes: tuple[str, ...] = ()

    @property
    def sessions_ended(self) -> int:
        """How many sessions end with them at once."""
        return self.ending.sessions_ended

    @property
    def changes(self) -> int:
        """How many steps change something."""
        return sum(step.action != KEEP for step in self.steps)


_Deed = tuple[Step, Callable[[SetupChange], object]]


class _NotInEarnest(Exception):
    """Rolls a rehearsal back."""


def apply(
    store: Store,
    wanted: Sequence[Tenant],
    actor: str,
    *,
    prune: bool = False,
    rehearse: bool = False,
    expected: Applied | None = None,
    must_be_meant: Callable[[Mapping[str, Tenant]], None] = lambda _: None,
    on_step: Callable[[int, int], None] = lambda *_: None,
) -> Applied:
    """Make the store match these tenants, in one transaction and one version.

    A rehearsal does all of it and rolls it back, so that it shows what would be refused and which sessions
    would end. `expected` is the result of a rehearsal: when it is different by now, nothing is done.
    `must_be_meant` gets the tenants that they are compared with, and may raise. `on_step` is called with how
    many steps are done, and of how many. Raises SetupError, InvalidValue, StoreUnavailable.
    """
    with suppress(_NotInEarnest), store.transaction() as transaction:
        change = SetupChange(transaction, actor)
        must_be_meant(change.tenants())
        deeds = list(_deeds(change.tenants(), wanted, prune=prune))
        steps = tuple(step for step, _ in deeds)
        if expected is not None and steps != expected.steps:
            text = "the set-up was changed while the plan was looked at; run it again"
            raise SetupError(text, code=Code.CHANGED_MEANWHILE)
        for done, (_, do) in enumerate(deeds, start=1):
            do(change)
            on_step(done, len(deeds))
        notes = tuple(_notes(change, wanted))
        change.finish()
        if rehearse:
            raise _NotInEarnest
    return Applied(steps=steps, ending=change.tally.total(), notes=notes)


def _notes(change: SetupChange, wanted: Sequence[Tenant]) -> Iterator[str]:
    """Pools of the file whose seats are not those that it says, for want of a licence (L13)."""
    for tenant in sorted(wanted, key=lambda tenant: tenant.name):
        setup = change.tenant(tenant.name)
        for name in sorted(pool.name for pool in tenant.pools.values()):
            pool = setup.pools[name]
            text = why_no_seats(setup.tenant, pool) or beyond_signed(pool, change.transaction.now_ms)
            if text:
                yield f"pool {name} of {tenant.name}: {text}"


def _deeds(there: Mapping[str, Tenant], wanted: Sequence[Tenant], *, prune: bool) -> Iterator[_Deed]:
    for tenant in sorted(wanted, key=lambda tenant: tenant.name):
        yield from _tenant_deeds(there.get(tenant.name), tenant, prune=prune)
    for name in sorted(there.keys() - {tenant.name for tenant in wanted}):
        step = Step(action=_gone(prune=prune), tenant=name, target=f"tenant {name}", details=())
        yield step, partial(_remove_tenant, name) if prune else _nothing


def _tenant_deeds(before: Tenant | None, after: Tenant, *, prune: bool) -> Iterator[_Deed]:
    name, settings = after.name, _settings(after)
    if before is None:
        step = Step(action=ADD, tenant=name, target=f"tenant {name}", details=(described(after),))
        yield step, lambda change: change.add_tenant(name, **settings)
        before = Tenant(id=0, name=name, version=0, scopes={Scope.VIEW: after.scopes[Scope.VIEW]}, **settings)
    for what, was, to_be in _parts(before, after):
        yield from _part_deeds(name, what, was, to_be)
    if changed := differences(before, after):
        step = Step(action=SET, tenant=name, target=f"tenant {name}", details=(changed,))
        yield step, lambda change: change.tenant(name).set(**settings)
    for what, was, to_be in reversed(_parts(before, after)):
        yield from _gone_deeds(name, what, sorted(was.keys() - to_be.keys()), prune=prune)


def _parts(before: Tenant, after: Tenant) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """The parts in an order in which each refers only to those before it."""
    return [
        ("pool", _by_name(before.pools.values()), _by_name(after.pools.values())),
        ("scope", before.scopes, after.scopes),
        ("user", before.users, after.users),
        ("client", before.clients, after.clients),
        ("group", before.groups, after.groups),
    ]


def _by_name(pools: Iterable[Pool]) -> dict[str, Pool]:
    return {pool.name: pool for pool in pools}


def _part_deeds(
    tenant: str, what: str, was: Mapping[str, _Part], to_be: Mapping[str, _Part]
) -> Iterator[_Deed]:
    for name in sorted(to_be):
        action: str = ADD
        details: tuple[str, ...] = (described(to_be[name]),)
        if name in was:
            action, details = SET, noun_of(was[name]).changes(was[name], to_be[name])
        if action == ADD or details:
            step = Step(action=action, tenant=tenant, target=f"{what} {name}", details=details)
            verb = (_SET if name in was else _ADD)[what]
            yield step, partial(_do, verb, tenant, name, _settings(to_be[name]))


def _gone_deeds(tenant: str, what: str, names: Iterable[str], *, prune: bool) -> Iterator[_Deed]:
    for name in names:
        if what == "scope" and name in BUILT_IN:
            continue
        step = Step(action=_gone(prune=prune), tenant=tenant, target=f"{what} {name}", details=())
        yield step, partial(_do, _REMOVE[what], tenant, name, {}) if prune else _nothing


def _gone(*, prune: bool) -> str:
    return REMOVE if prune else KEEP


_Verbs = Mapping[str, Callable[..., bool]]
_ADD: _Verbs = {
    "pool": TenantSetup.add_pool,
    "scope": TenantSetup.add_scope,
    "user": TenantSetup.add_user,
    "client": TenantSetup.add_client,
    "group": TenantSetup.add_group,
}
_SET: _Verbs = {
    "pool": TenantSetup.set_pool,
    "scope": TenantSetup.set_scope,
    "user": TenantSetup.set_user,
    "client": TenantSetup.set_client,
    "group": TenantSetup.set_group,
}
_REMOVE: _Verbs = {
    "pool": TenantSetup.remove_pool,
    "scope": TenantSetup.remove_scope,
    "user": TenantSetup.remove_user,
    "client": TenantSetup.remove_client,
    "group": TenantSetup.remove_group,
}


def _do(
    verb: Callable[..., bool], tenant: str, name: str, settings: Mapping[str, Any], change: SetupChange
) -> None:
    verb(change.tenant(tenant), name, **settings)


def _remove_tenant(name: str, change: SetupChange) -> None:
    change.remove_tenant(name)


def _nothing(_: SetupChange) -> None:
    pass


def _settings(value: Tenant | _Part) -> Settings:
    """Its settings, as a change takes them: a client's user by initials."""
    settings = noun_of(value).settings_of(value)
    return {**settings, "user": value.user.initials} if isinstance(value, Client) else settings
