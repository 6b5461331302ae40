"""Defines the response bodies about vendors and their licences."""

from typing import Annotated, Any, Final

from licet.admin.api.wire import Instant, Shape, about, at, example
from licet.formats import instant
from licet.licences.licence import SignedLicence, SignedPool
from licet.setup.consequences import Consequences
from licet.setup.licence_states import LicenceNow, LicenceState
from licet.setup.licences import TrustedVendor

_ACME, _API, _KID = "acme", "jim2-api", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
_BEGINS, _ENDS = "2026-11-28T00:00:00Z", "2028-01-01T00:00:00Z"


class Vendor(Shape, frozen=True, kw_only=True):
    """A vendor whose licences count here."""

    vendor: Annotated[str, example(_ACME)]
    product: Annotated[str, example(_API)]
    keys: Annotated[
        tuple[str, ...],
        about("The thumbprints (RFC 7638) of its keys; empty if its row was changed by hand.", [_KID]),
    ]
    added_at: Annotated[Instant, example(_BEGINS)]


class LicencePool(Shape, frozen=True, kw_only=True):
    """What a licence gives a pool, and on which terms."""

    pool: Annotated[str, example("full")]
    seats: Annotated[int, example(25)]
    overdraft: Annotated[int, about("Seats in addition to these, whose use is reported.", 3)]
    scopes: Annotated[tuple[str, ...], about("The scopes that may take its seats.", ["all"])]
    hold_s: Annotated[int, about("How long a seat is on hold for its holder after the last token.", 60)]
    access_ttl_max_s: Annotated[int, about("No access token lives longer.", 600)]
    duplicates: Annotated[tuple[str, ...], about("How its seats may be counted.", ["client", "user"])]


class Licence(Shape, frozen=True, kw_only=True):
    """One serial of a licence, and whether it counts now.

    What is signed is null, and `pools` and `features` are empty, where it is `damaged` or `untrusted`.
    """

    licence: Annotated[str, about("Its id.", "C-1")]
    serial: Annotated[int, about("A higher serial replaces a lower one.", 1)]
    vendor: Annotated[str, example(_ACME)]
    product: Annotated[str, example(_API)]
    state: Annotated[
        LicenceState,
        about(
            "`valid` and `grace` count, the latter after its end. Others do not: `not_yet` begins later,"
            " `over` has ended, `superseded` has a later serial, `contradicted` disagrees with another one of"
            " the same pool, `removed` was removed, `untrusted` is of no vendor that is trusted, and the"
            " text of `damaged` was changed.",
            "valid",
        ),
    ]
    counts: Annotated[bool, about("Whether it gives seats now.", True)]
    superseded_by: Annotated[int | None, about("The serial that replaced it.", None)] = None
    customer: Annotated[str | None, about("The vendor's reference.", "Smith & Sons")] = None
    installation: Annotated[
        str | None, about("The hash of the only installation it is for; null is any.", None)
    ] = None
    issued_at: Annotated[Instant | None, example(_BEGINS)] = None
    begins_at: Annotated[Instant | None, example(_BEGINS)] = None
    expires_at: Annotated[Instant | None, about("null is never.", _ENDS)] = None
    over_at: Annotated[Instant | None, about("The end of its grace; null is never.", _ENDS)] = None
    updates_until: Annotated[
        str | None, about("The newest build of the API that it covers.", "2028-01-01")
    ] = None
    features: Annotated[tuple[str, ...], example([])] = ()
    pools: tuple[LicencePool, ...] = ()
    installed_at: Annotated[Instant, example(_BEGINS)]
    removed_at: Annotated[Instant | None, example(None)]


class LicencesInstalled(Shape, frozen=True, kw_only=True):
    """What was installed from a file, or would be, and what that does to sessions.

    `licences` has those that were not installed already.
    """

    is_done: Annotated[bool, about("False for a check.", True)]
    licences: tuple[Licence, ...]
    ending: Consequences


SHOWN: Final = (Vendor, Licence, LicencesInstalled)  # for the document; what they are made of comes with them


def vendor(value: TrustedVendor) -> Vendor:
    """A vendor, shown."""
    keys = () if value.vendor is None else tuple(value.vendor.keys)
    return Vendor(vendor=value.name, product=value.product, keys=keys, added_at=instant(value.added_at_ms))


def licence(value: LicenceNow) -> Licence:
    """A licence, shown."""
    row = value.row
    return Licence(
        licence=row.name,
        serial=row.serial,
        vendor=row.vendor,
        product=row.product,
        state=value.state,
        counts=value.state.counts,
        superseded_by=value.superseded_by,
        installed_at=instant(row.installed_at_ms),
        removed_at=at(row.removed_at_ms),
        **_said(value.licence),
    )


def _said(signed: SignedLicence | None) -> dict[str, Any]:
    """What a licence says of itself; nothing where that is not verified."""
    if signed is None:
        return {}
    return {
        "customer": signed.customer,
        "installation": signed.installation,
        "issued_at": at(signed.issued_at_ms),
        "begins_at": at(signed.begins_at_ms),
        "expires_at": at(signed.expires_at_ms),
        "over_at": at(signed.over_at_ms),
        "updates_until": None if signed.updates_until is None else str(signed.updates_until),
        "features": signed.features,
        "pools": tuple(_pool(name, given) for name, given in sorted(signed.pools.items())),
    }


def _pool(name: str, given: SignedPool) -> LicencePool:
    return LicencePool(
        pool=name,
        seats=given.seats,
        overdraft=given.overdraft,
        scopes=tuple(sorted(given.scopes)),
        hold_s=given.hold_s,
        access_ttl_max_s=given.access_ttl_max_s,
        duplicates=tuple(sorted(given.duplicates)),
    )
