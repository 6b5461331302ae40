"""Keeps the line of those who wait for a seat of a pool (L19).

The rules:

- A place is its holder's: nobody has two, and none can be passed on. Who is served, or could not have a seat
  any more, has none.
- Who does not ask again within the pool's `queue_hold` loses it, swept or not (as L4).
- A place is written again only in the second half of its hold: asking faster costs nothing and gains nothing.
- The order is the priority, then who came first. Who may have what is free is decided in
  `licet.ledger.seat_decision`.

The functions here are pure.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from licet.ledger.book import Book, Change, PlaceKept, PlaceLeft, PlaceTaken
from licet.ledger.commands import Grant
from licet.ledger.holders import place_holder_of
from licet.ledger.seat_decision import ASK_AGAIN_MS, NotGiven
from licet.model import Client, Place, Pool, Tenant

Refusals = Sequence[tuple[Pool, NotGiven]]  # each pool that was asked, and why it gives no seat


def ask_again_ms(tenant: Tenant, pool: Pool) -> int:
    """When who waits should ask again: long before its place lapses."""
    options = tenant.options[pool.id]
    # A place is kept for half a hold at least; a third, rounded up to whole seconds, is less than that.
    return min(ASK_AGAIN_MS, options.queue_hold_ms // 3)


def lapsed(book: Book, now_ms: int) -> list[Change]:
    """Removes the places of those who did not ask again in time."""
    return [
        PlaceLeft(place=place, is_served=False, at_ms=place.until_ms)
        for place in book.places.values()
        if place.until_ms <= now_ms
    ]


def served(book: Book, grant: Grant, client: Client, now_ms: int) -> list[Change]:
    """Removes the places of a client that gets a seat, in all pools that it asks."""
    pools = book.tenants[grant.tenant_id].pools
    keys = ((pool_id, place_holder_of(pools[pool_id], client)) for pool_id in grant.pool_ids)
    return [
        PlaceLeft(place=place, is_served=True, at_ms=now_ms)
        for key in keys
        if (place := book.places.get(key)) is not None
    ]


def given_up(book: Book, client: Client, refusals: Refusals, now_ms: int) -> list[Change]:
    """Removes the places of a client in pools where waiting would not help it."""
    places = [
        book.places.get((pool.id, place_holder_of(pool, client)))
        for pool, refused in refusals
        if not refused.may_wait
    ]
    return [PlaceLeft(place=it, is_served=False, at_ms=now_ms) for it in places if it is not None]


def waited_for(book: Book, client: Client, refusals: Refusals) -> tuple[Pool, NotGiven] | None:
    """The first pool in whose line the client has a place, and may keep it; None if there is none."""
    for pool, refused in refusals:
        if refused.may_wait and (pool.id, place_holder_of(pool, client)) in book.places:
            return pool, refused
    return None


def with_room(book: Book, grant: Grant, refusals: Refusals) -> Refusals:
    """The pools for which the client may wait, and whose line is not full."""
    options = book.tenants[grant.tenant_id].options
    return [
        (pool, refused)
        for pool, refused in refusals
        if refused.may_wait and len(book.queue_of(pool.id)) < options[pool.id].queue
    ]


def wait_in_line(
    book: Book, grant: Grant, client: Client, pool: Pool, now_ms: int
) -> tuple[int, list[Change]]:
    """The position of a client in the line of this pool, from 1 on, and the change of its place.

    The position is 0, and nothing changes, if the line is full.
    """
    tenant = book.tenants[grant.tenant_id]
    options = tenant.options[pool.id]
    place = book.places.get((pool.id, place_holder_of(pool, client)))
    until_ms = now_ms + options.queue_hold_ms
    line = book.queue_of(pool.id)
    if place is not None:
        position = 1 + book.before(place)
        is_due = place.until_ms - now_ms <= options.queue_hold_ms // 2
        return position, [PlaceKept(place=replace(place, until_ms=until_ms))] if is_due else []
    if len(line) >= options.queue:
        return 0, []
    level = options.of(client.user.initials, client.client_id).level
    place = Place(
        pool_id=pool.id,
        holder=place_holder_of(pool, client),
        tenant_id=tenant.id,
        client_key=client.key,
        level=level,
        number=1 + max((it.number for it in line), default=0),
        since_ms=now_ms,
        until_ms=until_ms,
    )
    return 1 + book.before(place), [PlaceTaken(place=place)]
