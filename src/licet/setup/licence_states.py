"""Says of each licence of a tenant whether it counts now, and if not, why.

    for it in states(licences.installed(connection, tenant.id, tenant.name), now_ms): ...

The rules:

- A licence counts while it is valid or in its grace, unless a later serial of it has begun, it was removed,
  or it contradicts another licence of the same pool.
- What is not verified now is not shown: of a licence whose text was changed, or whose vendor is not trusted,
  only the id and the serial of its row are known.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from licet.licences.licence import SignedLicence, Standing
from licet.licences.steps import counting_of_all, pools_of, signed_seats
from licet.setup.licences import InstalledLicence
from licet.store.licences_read import Fault


class LicenceState(StrEnum):
    """Whether a licence counts now, and why not. Programs depend on these words."""

    VALID = "valid"
    GRACE = "grace"  # it has expired, and still counts
    NOT_YET = "not_yet"
    OVER = "over"
    SUPERSEDED = "superseded"
    CONTRADICTED = "contradicted"
    REMOVED = "removed"
    UNTRUSTED = "untrusted"
    DAMAGED = "damaged"

    @property
    def counts(self) -> bool:
        """Whether it gives seats now."""
        return self in {LicenceState.VALID, LicenceState.GRACE}


class LicenceNow(NamedTuple):
    """A licence that is installed, or was, as of now. `superseded_by` is the serial that took its place."""

    row: InstalledLicence
    state: LicenceState
    superseded_by: int | None = None

    @property
    def licence(self) -> SignedLicence | None:
        """What it says; None where that is not verified."""
        return self.row.licence


_STATES: Mapping[Standing, LicenceState] = {
    Standing.NOT_YET: LicenceState.NOT_YET,
    Standing.VALID: LicenceState.VALID,
    Standing.GRACE: LicenceState.GRACE,
    Standing.OVER: LicenceState.OVER,
}


def states(rows: Iterable[InstalledLicence], now_ms: int) -> list[LicenceNow]:
    """The state of each of these, which are all licences of a tenant."""
    known = tuple(rows)
    kept = [it.licence for it in known if it.licence is not None and it.removed_at_ms is None]
    serials = {it.key: it.serial for it in counting_of_all(kept, now_ms)}
    contradicted = _contradicted(kept, now_ms)
    return [_state(it, serials, contradicted, now_ms) for it in known]


def _state(
    row: InstalledLicence,
    serials: Mapping[tuple[str, str, str], int],
    contradicted: frozenset[str],
    now_ms: int,
) -> LicenceNow:
    licence = row.licence
    if row.removed_at_ms is not None:
        return LicenceNow(row, LicenceState.REMOVED)
    if licence is None:
        is_changed = row.fault is Fault.CHANGED
        return LicenceNow(row, LicenceState.DAMAGED if is_changed else LicenceState.UNTRUSTED)
    counting = serials.get(licence.key, 0)
    if counting > licence.serial:
        return LicenceNow(row, LicenceState.SUPERSEDED, counting)
    state = _STATES[licence.standing(now_ms)]
    if state.counts and licence.licence in contradicted:
        state = LicenceState.CONTRADICTED
    return LicenceNow(row, state)


def _contradicted(licences: Sequence[SignedLicence], now_ms: int) -> frozenset[str]:
    """The ids of licences that give a pool nothing now, as they contradict each other."""
    found = (signed_seats(licences, pool).at(now_ms) for pool in pools_of(licences))
    return frozenset(name for step in found if step.conflict is not None for name in step.licences)
