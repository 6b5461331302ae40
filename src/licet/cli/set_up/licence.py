"""Runs `licet trust` and `licet licence`: which vendors count, and which of their licences are installed."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.change import and_ended, endings, make
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, TenantName, Yes, actor
from licet.cli.output import Absent, Instant, Record, say, show_json, show_list, show_one
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_tenant
from licet.cli.vendor.formatting import STANDING, end_of, record, until, what_is_given
from licet.cli.vendor.formatting import as_json as plain_of
from licet.formats import counted, instant
from licet.ledger.signed_pools import seats_of
from licet.licences.armour import FILE_BYTES_MAX
from licet.licences.licence import SignedLicence, Standing
from licet.licences.vendor_file import VENDOR_BYTES_MAX, read_vendor
from licet.platforms.shells import quoted
from licet.refusal import Code
from licet.setup import licences as setup
from licet.store.contract import Store
from licet.store.errors import NotFound
from licet.vendor.files import read_bounded

if TYPE_CHECKING:
    from licet.setup.change import SetupChange
    from licet.setup.licence_states import LicenceNow

trust_app = Noun("Vendors whose licences count here. Trust only a file that the vendor itself gave you.")
app = Noun("Licences that vendors have signed: how many seats pools have, and until when.")

VendorFile = Annotated[
    str, typer.Argument(metavar="FILE", help="The vendor's vendor.json; - is standard input.")
]
LicenceFile = Annotated[
    str, typer.Argument(metavar="FILE", help="The file as the vendor sent it; - is standard input.")
]
Name = Annotated[str, typer.Argument(metavar="LICENCE", help="Its id, as the list shows it.")]


@trust_app.verb("add")
def add(file: VendorFile, *, yes: Yes = False, data: Data = None) -> None:
    """Trust a vendor, or accept its new keys. Licences signed with a removed key no longer count.

    Example: [bold]licet trust add vendor.json[/]
    """
    content = _content(file, VENDOR_BYTES_MAX)
    vendor = read_vendor(content)
    with opened(data) as store:
        ending = make(store, lambda change: setup.trust(change, content), yes=yes)
    say(f"Vendor {vendor.name} is trusted for {vendor.product}{and_ended(ending)}.")


@trust_app.verb("list")
def list_vendors(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the trusted vendors.

    Example: [bold]licet trust list[/]
    """
    with opened(data) as store, store.reading() as connection:
        found = setup.trusted(connection)
    records: Iterator[Record] = (
        {"vendor": it.name, "product": it.product, "keys": tuple(it.keys)} for it in found
    )
    headings = {"vendor": "vendor", "product": "product", "keys": "keys"}
    show_list(records, headings, as_json=as_json, empty="No vendor is trusted.")


@trust_app.verb("remove")
def distrust(
    vendor: Annotated[str, typer.Argument(metavar="VENDOR", help="As the list shows it.")],
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="As the list shows it.")],
    *,
    yes: Yes = False,
    data: Data = None,
) -> None:
    """Stop trusting a vendor. Its licences stay installed, but give no seats.

    Example: [bold]licet trust remove acme jim2-api[/]
    """
    with opened(data) as store:
        ask = f"Trust {vendor} no more?"
        ending = make(store, lambda change: setup.distrust(change, vendor, product), ask=ask, yes=yes)
    say(f"Vendor {vendor} is trusted no more{and_ended(ending)}.")


@app.verb("check")
def check(file: LicenceFile, *, tenant: TenantName = None, data: Data = None) -> None:
    """Show what installing a file would do, and change nothing.

    Example: [bold]licet licence check c1.licence[/]
    """
    from licet.setup.change import changing
    from licet.setup.consequences import attempt

    content, new = _content(file, FILE_BYTES_MAX), list[SignedLicence]()
    with opened(data) as store:
        name = chosen_tenant(store, tenant).name

        def change_it(work: "Callable[[SetupChange], None]") -> None:
            with changing(store, actor()) as change:
                work(change)

        def do(change: "SetupChange") -> None:
            new.extend(setup.install(change, name, content))

        tried = attempt(change_it, do, agrees=lambda _: False)
        limits = tuple(_limits(store, name, new))
    for it in new:
        say(f"Licence {it.licence}, serial {it.serial}, can be installed: {what_is_given(it)}, {until(it)}.")
    if not new:
        say("All of it is installed already.")
    for pool, seats in limits:
        say(_LIMITED.format(pool=pool, seats=seats, name=quoted(pool), at=of_tenant(tenant, data)))
    if sentence := endings(tried.ending):
        say(sentence)


@app.verb("install")
def install(file: LicenceFile, *, tenant: TenantName = None, yes: Yes = False, data: Data = None) -> None:
    """Install the licences of a file. If sessions would end, it asks first.

    Example: [bold]licet licence install c1.licence[/]
    """
    content, new = _content(file, FILE_BYTES_MAX), list[SignedLicence]()
    with opened(data) as store:
        name = chosen_tenant(store, tenant).name

        def do(change: "SetupChange") -> None:
            new[:] = setup.install(change, name, content)

        ending = make(store, do, yes=yes)
        limits, counts = tuple(_limits(store, name, new)), tuple(_counts(store, name, new))
    for it in new:
        say(f"Licence {it.licence}, serial {it.serial}, installed: {what_is_given(it)}, {until(it)}.")
    for sentence in counts if new else ("All of it was installed already.",):
        say(sentence)
    for pool, seats in limits:
        say(_LIMITED.format(pool=pool, seats=seats, name=quoted(pool), at=of_tenant(tenant, data)))
    if ended := and_ended(ending):
        say(f"{ended.removeprefix('; ')}.")


def _counts(store: Store, tenant: str, new: Iterable[SignedLicence]) -> Iterator[str]:
    """What counts now of the pools of these licences, and until when; as sentences."""
    store.refresh_tenants()
    found, now_ms = store.tenant(tenant), store.clock.now_ms()
    assert found is not None
    for name in dict.fromkeys(name for it in new for name in it.pools):
        pool = found.pool_named(name)
        if pool is None or pool.signed is None:  # no scope of the tenant draws on such a pool
            continue
        step, later = pool.signed.at(now_ms), pool.signed.after(now_ms)
        text = f"Pool {name} counts {counted(seats_of(pool, now_ms), 'seat')} now"
        if step.expires_at_ms is not None:
            text += f", until {end_of(step.expires_at_ms)}"
        elif step.seats:
            text += ", without end"
        elif later:
            at_ms = later[0].from_ms
            text += f", and {seats_of(pool, at_ms):,} from {instant(at_ms)} on"
        yield f"{text}."


_LIMITED = (
    "Pool {pool} is limited to {seats} by its set-up; to use all: licet pool set {name} --seats all{at}"
)


def _limits(store: Store, tenant: str, new: Iterable[SignedLicence]) -> Iterator[tuple[str, str]]:
    """Pools whose set-up has fewer seats than one of these licences gives, and how many it has."""
    found = store.tenant(tenant)
    signed: dict[str, int] = {}
    for it in new:
        for name, given in it.pools.items():
            signed[name] = max(given.seats, signed.get(name, 0))
    for name, seats in signed.items():
        pool = None if found is None else found.pool_named(name)
        if pool is not None and pool.seats is not None and pool.seats < seats:
            yield name, counted(pool.seats, "seat")


@app.verb("list")
def list_licences(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the installed licences, including those that no longer count.

    Example: [bold]licet licence list[/]
    """
    headings = {key: key for key in ("licence", "serial", "vendor", "state", "gives", "expires_at")}
    headings["expires_at"] = "until"
    records = map(_record, _now(data, tenant))
    show_list(records, headings, as_json=as_json, empty="No licence is installed.")


@app.verb("show")
def show(name: Name, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show the content of a licence, serial by serial.

    Example: [bold]licet licence show C-1[/]
    """
    found = [it for it in _now(data, tenant) if it.row.name == name]
    if not found:
        raise NotFound(f"there is no licence {name}", code=Code.NOT_FOUND, field="licence")
    if as_json:
        show_json([_plain(it) for it in found])
        return
    for it in found:
        show_one(_shown(it), as_json=False)


@app.verb("remove")
def remove(
    name: Name,
    serial: Annotated[int, typer.Argument(metavar="SERIAL", min=1, help="This serial, and all lower ones.")],
    *,
    vendor: Annotated[
        str,
        typer.Option("--vendor", metavar="NAME", help="The vendor, if several have a licence with this id."),
    ] = "",
    product: Annotated[
        str,
        typer.Option("--product", metavar="NAME", help="The product, if there are several."),
    ] = "",
    tenant: TenantName = None,
    yes: Yes = False,
    data: Data = None,
) -> None:
    """Remove a licence. It cannot be installed again: the vendor has to sign a new serial.

    Example: [bold]licet licence remove C-1 2[/]
    """
    with opened(data) as store:
        where = chosen_tenant(store, tenant).name
        ask = f"Remove licence {name}, serial {serial}?"

        def do(change: "SetupChange") -> None:
            setup.remove(change, where, name, serial, vendor=vendor, product=product)

        ending = make(store, do, ask=ask, yes=yes)
    say(f"Licence {name}, serial {serial}, removed{and_ended(ending)}.")


def _now(data: Path | None, tenant: str | None) -> "list[LicenceNow]":
    from licet.setup.licence_states import states

    with opened(data) as store:
        of = chosen_tenant(store, tenant)
        with store.reading() as connection:
            return states(setup.installed(connection, of.id, of.name), store.clock.now_ms())


def _state(it: "LicenceNow") -> str:
    """Why it does not count, or that it does."""
    from licet.setup.licence_states import LicenceState

    says: Mapping[LicenceState, str] = {
        LicenceState.VALID: STANDING[Standing.VALID],
        LicenceState.GRACE: STANDING[Standing.GRACE],
        LicenceState.NOT_YET: STANDING[Standing.NOT_YET],
        LicenceState.OVER: STANDING[Standing.OVER],
        LicenceState.SUPERSEDED: "superseded by serial {by}",
        LicenceState.CONTRADICTED: "not counted: contradicts another licence of the same pool",
        LicenceState.REMOVED: "removed",
        LicenceState.UNTRUSTED: "not counted: of no vendor or key that is trusted",
        LicenceState.DAMAGED: "not counted: changed after it was installed",
    }
    return says[it.state].format(by=it.superseded_by)


def _shown(it: "LicenceNow") -> Record:
    if it.licence is None:
        return _record(it)
    return dict(record(it.licence, f"of {it.row.vendor}")) | {"state": _state(it)}


def _plain(it: "LicenceNow") -> Record:
    if it.licence is None:
        return _record(it)
    plain = plain_of(it.licence, f"of {it.row.vendor}", is_verified=True)
    return plain | {"state": it.state.value, "superseded_by": it.superseded_by}


def _record(it: "LicenceNow") -> Record:
    licence, row = it.licence, it.row
    ends_ms = None if licence is None else licence.expires_at_ms
    return {
        "licence": row.name,
        "serial": row.serial,
        "vendor": row.vendor,
        "product": row.product,
        "state": _state(it),
        "gives": None if licence is None else what_is_given(licence),
        "installed_at": Instant(row.installed_at_ms),
        "expires_at": Absent("never" if licence else "-") if ends_ms is None else Instant(ends_ms),
    }


def _content(file: str, bytes_max: int) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(bytes_max + 1)
    return read_bounded(Path(file), bytes_max)
