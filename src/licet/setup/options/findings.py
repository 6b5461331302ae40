"""Finds what is wrong with the options of pools as they are now, though each change of them was in order.

Seats become fewer by a licence, groups become empty, and what depends on another option has no effect without
it. Counts that differ from a count of seats, and places of nobody, only a bug or a manual change can cause.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from licet.ledger.signed_pools import seats_of
from licet.model import Duplicates, Pool, Tenant
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
    for counted, seats in connection.execute(query.group_by(seat.counted)):
        there.update(dict.fromkeys(names_counted(counted), seats))
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
