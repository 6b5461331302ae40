"""Finds what is wrong with the options of pools as they are now, though each change of them was in order.

Seats become fewer by a licence, groups become empty, and what depends on another option has no effect without
it. Counts that differ from a count of seats, and places of nobody, only a bug or a manual change can cause.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from licet.formats import counted
from licet.ledger.signed_pools import seats_of
from licet.model import Client, Duplicates, Pool, Tenant
from licet.options import QUEUE_HOLD_S, Group, all_rules_of, names_counted
from licet.setup.options.contradictions import disagreements
from licet.store import schema


class WithoutEffect(NamedTuple):
    """An option of a pool that changes nothing as things are, and why."""

    option: str
    why: str


def contradicting(pool: Pool, now_ms: int) -> list[str]:
    """What of the options of a pool contradicts each other with the seats that it has now."""
    seats = pool.seats if pool.signed is None else seats_of(pool, now_ms)
    return [found.said() for found in disagreements(pool, seats)]


def contradicting_by_groups(tenant: Tenant, pool: Pool) -> Iterator[str]:
    """The reserves of which seats stay idle, as everybody whom they are for is in a group that may not."""
    excluded = set(pool.exclude)
    names = _Names(tenant)
    for share in pool.reserve:
        ways = names.all_of(share.who)
        if not ways or share.who in excluded:  # which is a contradiction by itself
            continue
        seats = counted(share.seats, "seat")
        if all(excluded & way for way in ways):
            whom = "all of whom" if share.who.startswith("group:") else "whom"
            yield f"reserve keeps {seats} for {share.who}, {whom} exclude keeps out"
        for limit in pool.max:
            if limit.who != share.who and limit.seats < share.seats and all(limit.who in way for way in ways):
                most = f"max lets {limit.who}, which includes them, have {limit.seats:,} at most"
                yield f"reserve has {seats} for {share.who}, and {most}"


class _Names:
    """By what rules can name the clients and users of a tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._groups_of: defaultdict[str, set[str]] = defaultdict(set)
        for name, group in tenant.groups.items():
            for member in _members(group):
                self._groups_of[member].add(f"group:{name}")

    def all_of(self, who: str) -> list[set[str]]:
        """The names of each user and client whom a rule is for, of a group of each in it."""
        kind, _, name = who.partition(":")
        if kind == "group":
            group = self._tenant.groups.get(name)
            return [way for member in _members(group) for way in self.all_of(member)] if group else []
        if kind == "user":
            return [self._of(who)]
        client: Client | None = self._tenant.clients.get(name)
        return [] if client is None else [self._of(who) | self._of(f"user:{client.user.initials}")]

    def _of(self, who: str) -> set[str]:
        return {who, *self._groups_of.get(who, ())}


def _members(group: Group) -> list[str]:
    return [f"user:{it}" for it in group.users] + [f"client:{it}" for it in group.clients]


def for_nobody(tenant: Tenant, pool: Pool) -> Iterator[str]:
    """The rules that are for somebody who is not there."""
    known = {"user": tenant.users, "client": tenant.clients, "group": tenant.groups}
    for field, who in all_rules_of(pool):
        kind, _, name = who.partition(":")
        if name not in known[kind]:
            yield f"{field} has a rule for {who}, who is not there"


def empty_groups(tenant: Tenant) -> Iterator[tuple[Group, list[str]]]:
    """The groups that nobody is in, each with the rules that name it."""
    for name, group in sorted(tenant.groups.items()):
        if not group.users and not group.clients:
            yield (
                group,
                [
                    f"{field} of pool {pool.name}"
                    for pool in tenant.pools.values()
                    for field, who in all_rules_of(pool)
                    if who == f"group:{name}"
                ],
            )


def without_effect(pool: Pool) -> Iterator[WithoutEffect]:
    """The options of a pool that change nothing."""
    if not pool.queue:
        if pool.priority:
            yield WithoutEffect("priority", "the pool has no queue")
        if pool.queue_hold_s != QUEUE_HOLD_S:
            yield WithoutEffect("queue_hold", "the pool has no queue")
    if pool.duplicates is Duplicates.NONE:
        return
    kind = pool.duplicates.value
    why = f"each {kind} has one seat for all of its sessions"
    if getattr(pool, f"max_per_{kind}") is not None:
        yield WithoutEffect(f"max_per_{kind}", why)
    for share in pool.max:
        if share.who.startswith(f"{kind}:"):
            yield WithoutEffect(f"max for {share.who}", why)
    for share in pool.reserve:
        if share.who.startswith(f"{kind}:") and share.seats > 1:
            yield WithoutEffect(f"reserve of more than 1 seat for {share.who}", why)


def miscounted(connection: Connection, pool: Pool) -> Iterator[str]:
    """The counts of a pool that are not those of its seats."""
    seat, count = schema.seat.c, schema.seat_count.c
    query = select(seat.counted, func.count()).where(seat.pool_id == pool.id, seat.counted != "")
    there = Counter[str]()
    for text, seats in connection.execute(query.group_by(seat.counted)):
        there.update(dict.fromkeys(names_counted(text), seats))
    rows = connection.execute(select(count.what, count.in_use).where(count.pool_id == pool.id))
    kept = {what: in_use for what, in_use in rows if in_use}
    for what in sorted(kept.keys() | there.keys()):
        if kept.get(what, 0) != there[what]:
            yield f"its count of seats for {what} is {kept.get(what, 0)}, and there are {there[what]}"


def places_of_nobody(connection: Connection, tenant: Tenant, pool: Pool, now_ms: int) -> int:
    """How many places in the queue of a pool are of a client that is no more; lapsed ones do not count."""
    place = schema.queue_place.c
    query = select(place.client_key).where(place.pool_id == pool.id, place.until_ms > now_ms)
    return sum(key not in tenant.clients_by_key for key in connection.execute(query).scalars())
