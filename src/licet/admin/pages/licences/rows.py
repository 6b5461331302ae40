"""Orders the licences of a tenant for the page: those that count first, those that never will again last."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from licet.setup.licence_states import LicenceNow, LicenceState, states
from licet.setup.licences import InstalledLicence

# In words, in the order of the list.
WORDS: Mapping[LicenceState, str] = MappingProxyType(
    {
        LicenceState.VALID: "counts",
        LicenceState.GRACE: "in grace",
        LicenceState.CONTRADICTED: "contradicts another",
        LicenceState.NOT_YET: "not begun",
        LicenceState.OVER: "expired",
        LicenceState.UNTRUSTED: "not trusted",
        LicenceState.DAMAGED: "damaged",
        LicenceState.SUPERSEDED: "replaced",
        LicenceState.REMOVED: "removed",
    }
)
_TAGS = {LicenceState.VALID: "on", LicenceState.GRACE: "warn-tag"}
_QUIET = frozenset({LicenceState.NOT_YET, LicenceState.SUPERSEDED, LicenceState.REMOVED})
_PAST = frozenset({LicenceState.SUPERSEDED, LicenceState.REMOVED})


class LicenceRow(NamedTuple):
    """A row of the list: a licence as of now, its state in words, and the class of its tag."""

    now: LicenceNow
    word: str
    tag: str

    @property
    def is_past(self) -> bool:
        """Whether nothing will make it count again."""
        return self.now.state in _PAST


def rows(installed: Iterable[InstalledLicence], now_ms: int) -> list[LicenceRow]:
    """The licences of a tenant."""
    order = list(WORDS)
    found = sorted(
        states(installed, now_ms), key=lambda it: (order.index(it.state), it.row.name, -it.row.serial)
    )
    return [LicenceRow(it, WORDS[it.state], _tag(it.state)) for it in found]


def _tag(state: LicenceState) -> str:
    return _TAGS.get(state, "" if state in _QUIET else "bad")
