"""Trusts vendors, and installs and removes their licences, within a change of the set-up (L13).

    with changing(store, actor="ada") as change:
        trust(change, Path("vendor.json").read_bytes())
        install(change, "Jim_Test", Path("c1.licence").read_bytes())

The rules:

- A licence is verified before a row is written, and decided beside those that are there
  (`licences/installing.py`). What is refused changes nothing but is recorded, also where it is only looked at
  what it would do.
- When a pool becomes signed, the seats in use get numbers, the oldest seat the lowest.
- What lives longer than its number is signed for ends now or is cut short, and is counted, so that a person
  can agree first (`consequences.py`).
- A pool is not signed while it is counted in a way that the licence does not allow, nor while a server of a
  version that knows no numbers works on the store, or could start: `licet migrate --finish` keeps it out.
- The row of a licence that was removed stays, so that its serial is not installed again. Its pools stay
  signed until somebody makes them unsigned.
- Trust, removal, and making a pool unsigned are for owners of all tenants.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from licet.formats import counted, instant
from licet.licences.armour import split
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.installing import Installed, is_new
from licet.licences.licence import SignedLicence
from licet.licences.reading import must_be_for_tenant, read_file, read_unverified
from licet.licences.steps import SignedSeats
from licet.licences.vendor_file import Vendor, read_vendor
from licet.model import Duplicates, EndReason, Pool
from licet.refusal import Code, Subject
from licet.setup.consequences import client_names
from licet.setup.end_sessions import sweep_all
from licet.store import schema
from licet.store.errors import NotFound, SetupError, StillInUse
from licet.store.licences_read import (
    Fault,
    counting_licences,
    fault_of,
    signed_pools,
    vendor_of,
    verified,
)
from licet.store.migrate import may_have_older_code
from licet.store.nodes import is_silent, read_nodes
from licet.store.seats_now import raise_rows

if TYPE_CHECKING:
    from licet.setup.change import SetupChange
    from licet.setup.tenant import TenantSetup

NUMBERS_FROM = "0005"  # the first schema whose code knows numbers


class InstalledLicence(NamedTuple):
    """A row of a licence; where `licence` is None it contributes nothing, and `fault` says why."""

    vendor: str
    product: str
    name: str
    serial: int
    licence: SignedLicence | None
    installed_at_ms: int
    removed_at_ms: int | None
    fault: Fault | None = None


class TrustedVendor(NamedTuple):
    """A row of a vendor; `vendor` is None where its text was changed, so that nothing of it counts."""

    name: str
    product: str
    vendor: Vendor | None
    added_at_ms: int


def trusted(connection: Connection) -> list[Vendor]:
    """The vendors whose licences count."""
    return [it.vendor for it in vendors(connection) if it.vendor is not None]


def vendors(connection: Connection) -> list[TrustedVendor]:
    """The vendors that were trusted, also those that count for nothing as their row was changed."""
    rows = connection.execute(select(schema.vendor).order_by(*schema.vendor.primary_key))
    return [TrustedVendor(row.name, row.product, vendor_of(row.text), row.added_at_ms) for row in rows]


def installed(connection: Connection, tenant_id: int, tenant: str) -> list[InstalledLicence]:
    """The licences of a tenant, those that were removed too, in the order of their ids and serials."""
    texts = _vendor_texts(connection)
    return [_installed(row, texts, tenant) for row in _rows(connection, tenant_id)]


def not_counted(
    connection: Connection, tenants: Mapping[int, str], now_ms: int
) -> dict[int, list[InstalledLicence]]:
    """The licences that count for nothing, though nobody removed them, of these tenants by id and name.

    Not those whose place a later serial has taken.
    """
    texts, licence = _vendor_texts(connection), schema.licence.c
    query = select(schema.licence).where(licence.removed_at_ms.is_(None))
    if len(tenants) == 1:
        query = query.where(licence.tenant_id == next(iter(tenants)))
    found: defaultdict[int, list[InstalledLicence]] = defaultdict(list)
    for row in connection.execute(query.order_by(*schema.licence.primary_key)):
        if row.tenant_id in tenants:
            found[row.tenant_id].append(_installed(row, texts, tenants[row.tenant_id]))
    return {key: bad for key, rows in found.items() if (bad := _not_counted(rows, now_ms))}


def _not_counted(rows: Sequence[InstalledLicence], now_ms: int) -> list[InstalledLicence]:
    newest: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if row.licence is not None and row.licence.begins_at_ms <= now_ms:
            newest[row.licence.key] = max(row.serial, newest.get(row.licence.key, 0))
    return [
        row
        for row in rows
        if row.licence is None and row.serial > newest.get((row.vendor, row.product, row.name), 0)
    ]


def _installed(row: Row[Any], vendors: Sequence[str], tenant: str) -> InstalledLicence:
    licence = verified(row, vendors, tenant)
    return InstalledLicence(
        vendor=row.vendor,
        product=row.product,
        name=row.licence,
        serial=row.serial,
        licence=licence,
        installed_at_ms=row.installed_at_ms,
        removed_at_ms=row.removed_at_ms,
        fault=fault_of(row, vendors, tenant) if licence is None else None,
    )


def trust(change: "SetupChange", content: bytes) -> bool:
    """Trust the vendor of a `vendor.json`, or take its new keys; whether anything changed.

    What counts by keys that are not among them any more counts no longer. Raises LicenceRefused, LicenceKept.
    """
    vendor, connection = read_vendor(content), change.transaction.connection
    change.must_be_operator(f"vendor {vendor.name} is trusted")
    key = {"name": vendor.name, "product": vendor.product}
    text = content.decode().removeprefix("\ufeff")
    before = connection.execute(select(schema.vendor.c.text).filter_by(**key)).scalar_one_or_none()
    if before == text:
        return False
    if before is None:
        row = {"text": text, "added_at_ms": change.transaction.now_ms}
        connection.execute(insert(schema.vendor).values(key | row))
    else:
        connection.execute(update(schema.vendor).filter_by(**key).values(text=text))
    keys = ", ".join(vendor.keys)
    change.record("", "trust", f"vendor {vendor.name}", f"product {vendor.product}, keys {keys}")
    _count_all_anew(change)
    return True


def distrust(change: "SetupChange", name: str, product: str) -> None:
    """Trust a vendor no more. Its licences give no seat from now on, and stay installed.

    Raises NotFound, LicenceKept.
    """
    change.must_be_operator(f"vendor {name} is trusted no more")
    key = {"name": name, "product": product}
    if not change.transaction.connection.execute(delete(schema.vendor).filter_by(**key)).rowcount:
        raise NotFound(f"there is no vendor {name} of product {product}", code=Code.NOT_FOUND, field="vendor")
    change.record("", "distrust", f"vendor {name}", f"product {product}")
    _count_all_anew(change)


def install(change: "SetupChange", tenant: str, content: bytes) -> list[SignedLicence]:
    """Install the licences of a file; those that were not installed already.

    Raises LicenceRefused, SetupError.
    """
    setup = change.tenant(tenant)
    try:
        return _install(change, setup, content)
    except (LicenceRefused, SetupError) as refused:
        why = refused.text if isinstance(refused, LicenceRefused) else str(refused)
        change.refuse(tenant, f"licence {_name_in(content)}".rstrip(), f"{refused.code}: {why}")
        raise


def _install(change: "SetupChange", setup: "TenantSetup", content: bytes) -> list[SignedLicence]:
    tenant, transaction = setup.tenant.name, change.transaction
    connection, now_ms = transaction.connection, transaction.now_ms
    rows = installed(connection, setup.tenant.id, tenant)
    known = [Installed(it.licence) for it in rows if it.licence is not None and it.removed_at_ms is None]
    new: list[SignedLicence] = []
    for licence in read_file(content, trusted(connection)):
        must_be_for_tenant(licence, tenant)
        _must_not_be_removed(licence, rows)
        if is_new(licence, known, now_ms):
            known.append(Installed(licence))
            new.append(licence)
    if not new:
        return []
    _must_have_pools(setup, new)
    _must_know_numbers(connection, now_ms, tenant)
    for it in new:
        key = {"vendor": it.vendor, "product": it.product, "licence": it.licence, "serial": it.serial}
        row = {"tenant_id": setup.tenant.id, "text": it.text, "installed_at_ms": now_ms}
        # The row of this serial, if there is one, was damaged: it contributed nothing.
        connection.execute(delete(schema.licence).filter_by(tenant_id=setup.tenant.id, **key))
        connection.execute(insert(schema.licence).values(key | row))
        change.record(tenant, "install", f"licence {it.licence}", _described(it))
    setup.is_changed = True
    _count_anew(change, setup)
    return new


def remove(
    change: "SetupChange", tenant: str, licence: str, serial: int, *, vendor: str = "", product: str = ""
) -> None:
    """Remove a serial of a licence and those below it, which would count again.

    `vendor` and `product` are needed where another licence has the same id; '' is any.
    Raises NotFound, SetupError, LicenceKept.
    """
    change.must_be_operator(f"licence {licence} is removed")
    setup, transaction = change.tenant(tenant), change.transaction
    row = schema.licence.c
    of_this = (row.tenant_id == setup.tenant.id) & (row.licence == licence) & row.removed_at_ms.is_(None)
    for column, name in ((row.vendor, vendor), (row.product, product)):
        if name:
            of_this &= column == name
    there = select(row.vendor, row.product).where(of_this, row.serial == serial)
    found = transaction.connection.execute(there).all()
    if not found:
        text = f"there is no serial {serial} of a licence {licence} in tenant {tenant}"
        raise NotFound(text, code=Code.NOT_FOUND, field="licence")
    if len(found) > 1:
        several = ", ".join(sorted(f"{it.vendor} for {it.product}" for it in found))
        text = f"licence {licence} is of more than one vendor or product: {several}"
        text += "; say which vendor and product"
        raise SetupError(text, code=Code.MISSING, field="vendor")
    [(vendor, product)] = found
    transaction.connection.execute(
        update(schema.licence)
        .where(of_this, row.vendor == vendor, row.product == product, row.serial <= serial)
        .values(removed_at_ms=transaction.now_ms)
    )
    change.record(tenant, "remove", f"licence {licence}", f"serial {serial} of {vendor}")
    setup.is_changed = True
    _count_anew(change, setup)


def unsign(change: "SetupChange", tenant: str, pool: str) -> bool:
    """Let a pool that is in no licence any more have the seats that its administrator set.

    Raises NotFound, StillInUse, LicenceKept.
    """
    change.must_be_operator(f"pool {pool} is made unsigned")
    setup, connection = change.tenant(tenant), change.transaction.connection
    found = setup.pool(pool)
    if found.signed is None:
        return False
    kept = [it for it in installed(connection, setup.tenant.id, tenant) if it.removed_at_ms is None]
    names = sorted(it.name for it in kept if it.licence is None or pool in it.licence.pools)
    if names:
        text = f"pool {pool} is in licence {', '.join(names)}; remove it first"
        raise StillInUse(text, code=Code.IN_USE, field="licence")
    change.sweep()
    of_pool = schema.seat.c.pool_id == found.id
    connection.execute(update(schema.seat).where(of_pool).values(number=0))
    connection.execute(delete(schema.seat_free).where(schema.seat_free.c.pool_id == found.id))
    unsigned = replace(found, signed=None)
    none: dict[str, int | bool] = dict.fromkeys(("numbers_used", "numbers_free", "numbers_from_ms"), 0)
    row = none | {"is_signed": False} | setup.room(unsigned)
    connection.execute(update(schema.pool).filter_by(id=found.id).values(row))
    setup.pools[pool] = unsigned
    setup.pools_resized.add(pool)
    setup.is_changed = True
    change.record(tenant, "unsign", f"pool {pool}", f"it has {counted(found.seats or 0, 'seat')} now")
    return True


def _must_not_be_removed(licence: SignedLicence, rows: Iterable[InstalledLicence]) -> None:
    """Return if neither this serial nor a higher one was removed here, whatever became of its text.

    Raises LicenceRefused.
    """
    for row in rows:
        is_removed = row.removed_at_ms is not None and (row.vendor, row.product, row.name) == licence.key
        if is_removed and row.serial >= licence.serial:
            problem = f"serial {row.serial} of {row.name} was removed here"
            raise LicenceRefused(LicenceCode.REMOVED_SERIAL, problem, field="serial")


def _must_have_pools(setup: "TenantSetup", licences: Iterable[SignedLicence]) -> None:
    """Return if the pools of these licences are there, and counted in a way that they allow."""
    for licence in licences:
        for name, given in licence.pools.items():
            about = Subject("pool", name, setup.tenant.name)
            pool = setup.pools.get(name)
            if pool is None:
                text = (
                    f"licence {licence.licence} is for pool {name}, and tenant {setup.tenant.name} has none"
                )
                raise SetupError(text, code=Code.NOT_FOUND, field="pools", subject=about)
            if pool.duplicates.value in given.duplicates:
                continue
            allowed = " or ".join(sorted(given.duplicates))
            counts = "each session" if pool.duplicates is Duplicates.NONE else pool.duplicates.value
            text = f"pool {name} counts its seats by {counts}, and licence {licence.licence} by {allowed}"
            raise SetupError(
                f"{text}; change how the pool counts first",
                code=Code.NOT_TOGETHER,
                field="duplicates",
                subject=about,
            )


def _must_know_numbers(connection: Connection, now_ms: int, tenant: str) -> None:
    """Return if every server that works on the store, or may begin to, knows numbers."""
    older = [
        f"{node.name} ({node.version})"
        for node in read_nodes(connection)
        if node.schema < NUMBERS_FROM and not is_silent(node, now_ms)
    ]
    text = ""
    if older:
        text = f"servers of a version that knows no signed pools still run: {', '.join(older)}; stop them"
    elif may_have_older_code(connection, NUMBERS_FROM):
        text = "a server of a version that knows no signed pools could still start on this store"
    if text:
        text = f"{text}, and finish the upgrade first"
        raise StillInUse(text, code=Code.OLDER_NODES, subject=Subject("tenant", tenant, tenant))


def _count_all_anew(change: "SetupChange") -> None:
    """Count the signed pools of all tenants that have a licence."""
    connection = change.transaction.connection
    with_licences = set(connection.execute(select(schema.licence.c.tenant_id).distinct()).scalars())
    for tenant in change.tenants().values():
        if tenant.id in with_licences:
            setup = change.tenant(tenant.name)
            setup.is_changed = True
            _count_anew(change, setup)


def _count_anew(change: "SetupChange", setup: "TenantSetup") -> None:
    """Give the pools of a tenant what their licences add up to now, and cut what lives beyond it."""
    connection, tenant = change.transaction.connection, setup.tenant
    marked = select(schema.pool.c.name).filter_by(tenant_id=tenant.id, is_signed=True)
    licences = counting_licences(_rows(connection, tenant.id), _vendor_texts(connection), tenant.name)
    found = signed_pools(licences, connection.execute(marked).scalars())
    for name in sorted(found.keys() & setup.pools.keys()):
        pool, signed = setup.pools[name], found[name]
        if signed == pool.signed:
            continue
        change.sweep()
        if pool.signed is None:
            _number_seats(connection, pool)
        _end_beyond(change, setup, pool, signed)
        _cut_short(change, setup, pool, signed)
        setup.pools[name] = replace(pool, signed=signed)
        setup.pools_resized.add(name)
        row = setup.room(setup.pools[name]) | {"is_signed": True}
        connection.execute(update(schema.pool).filter_by(id=pool.id).values(row))


def _number_seats(connection: Connection, pool: Pool) -> None:
    """Give the seats in use of a pool that becomes signed numbers, the oldest first."""
    raise_rows(connection, pool.id)
    seat = schema.seat.c
    query = select(seat.holder).where(seat.pool_id == pool.id).order_by(seat.taken_at_ms, seat.holder)
    holders = [*connection.execute(query).scalars()]
    for number, holder in enumerate(holders, start=1):
        this = (seat.pool_id == pool.id) & (seat.holder == holder)
        connection.execute(update(schema.seat).where(this).values(number=number))
    row = {"is_signed": True, "numbers_used": len(holders)}
    connection.execute(update(schema.pool).filter_by(id=pool.id).values(row))


def _end_beyond(change: "SetupChange", setup: "TenantSetup", pool: Pool, signed: SignedSeats) -> None:
    """End the sessions, and the holds, of seats above what is signed now."""
    transaction, now_ms = change.transaction, change.transaction.now_ms
    highest, session = signed.at(now_ms).signed, schema.session.c
    these = (session.expires_at_ms > now_ms) & _has_seat_above(pool, highest)
    sids = list(transaction.connection.execute(select(session.sid).where(these)).scalars())
    setup.end(sids, EndReason.EXPIRED)
    seat = schema.seat.c
    above = (seat.pool_id == pool.id) & (seat.number > highest) & (seat.expires_at_ms > now_ms)
    transaction.connection.execute(update(schema.seat).where(above).values(expires_at_ms=now_ms))
    sweep_all(transaction)


def _cut_short(change: "SetupChange", setup: "TenantSetup", pool: Pool, signed: SignedSeats) -> None:
    """Let no session or seat live past the first step below its number."""
    connection, now_ms = change.transaction.connection, change.transaction.now_ms
    session, seat = schema.session.c, schema.seat.c
    names = client_names(setup.clients.values())
    for step in signed.falls(now_ms):
        these = (session.expires_at_ms > step.from_ms) & _has_seat_above(pool, step.signed)
        of_clients = select(session.client_key, func.count()).where(these).group_by(session.client_key)
        cut = {names[key]: count for key, count in connection.execute(of_clients)}
        change.tally.cut_short(setup.tenant.name, cut)
        connection.execute(update(schema.session).where(these).values(expires_at_ms=step.from_ms))
        above = (seat.pool_id == pool.id) & (seat.number > step.signed) & (seat.expires_at_ms > step.from_ms)
        connection.execute(update(schema.seat).where(above).values(expires_at_ms=step.from_ms))


def _has_seat_above(pool: Pool, number: int) -> ColumnElement[bool]:
    """Of a session: whether its seat has a higher number."""
    session, seat = schema.session.c, schema.seat.c
    holders = select(seat.holder).where(seat.pool_id == pool.id, seat.number > number)
    return (session.pool_id == pool.id) & session.holder.in_(holders)


def _rows(connection: Connection, tenant_id: int) -> Sequence[Row[Any]]:
    query = select(schema.licence).filter_by(tenant_id=tenant_id)
    return connection.execute(query.order_by(*schema.licence.primary_key)).all()


def _vendor_texts(connection: Connection) -> list[str]:
    return [*connection.execute(select(schema.vendor.c.text).order_by(*schema.vendor.primary_key)).scalars()]


def _name_in(content: bytes) -> str:
    """The id of the one licence of a file, which is not verified; '' where there is none, or several."""
    try:
        [text] = split(content)
        return read_unverified(text).licence
    except (LicenceRefused, ValueError):
        return ""


def _described(licence: SignedLicence) -> str:
    """For the event."""
    pools = ", ".join(
        f"{name} {counted(given.seats, 'seat')}"
        + (f" and {given.overdraft} above" if given.overdraft else "")
        for name, given in sorted(licence.pools.items())
    )
    return f"serial {licence.serial} of {licence.vendor}: {pools}, expires {instant(licence.expires_at_ms)}"
