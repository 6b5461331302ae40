"""Reads the filters of a list from the query of its address, and makes the chips that show them.

The rules:

- A filter is in the address, so that a list can be sent to somebody, and a chip is a link that removes it.
- An invalid filter is ignored: a list is shown rather than an error.
- Control characters never reach a store.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from licet.admin.pages.frame import Visit, link
from licet.admin.problems import not_found
from licet.formats import without_controls
from licet.model import FailureCause, NoSeatReason, Tenant
from licet.reasons import WHY_DENIED
from licet.reports.usage_queries import day_of
from licet.units import DAY_MS, HOUR_MS

TEXT_CHARS_MAX = 128  # as long as a client_id may be
INSTANT_MS_MAX = 253_370_764_800_000  # the year 9999

TODAY = "today"  # since the reader's midnight
WITHIN: Mapping[str, tuple[str, int | None]] = {
    TODAY: ("today", None),
    "1h": ("the last hour", HOUR_MS),
    "24h": ("the last 24 hours", DAY_MS),
    "7d": ("the last 7 days", 7 * DAY_MS),
    "30d": ("the last 30 days", 30 * DAY_MS),
    "12m": ("the last 12 months", 365 * DAY_MS),
    "all": ("all that is kept", None),
}
WITHIN_DEFAULT = "30d"
CHOSEN = "chosen"  # instead of one of these, two times (chosen_times.py)
WITHIN_OPTIONS = [*((value, text) for value, (text, _) in WITHIN.items()), (CHOSEN, "between two times")]

CAUSES = {
    FailureCause.WRONG_SECRET: "wrong password or secret",
    FailureCause.EXPIRED_SECRET: "secret expired",
    FailureCause.PASSWORD_NOT_ALLOWED: "password not allowed",
    FailureCause.UNKNOWN_CLIENT: "no client of that name",
    FailureCause.UNKNOWN_TENANT: "no tenant of that name",
    FailureCause.NO_CREDENTIALS: "no credentials that can be read",
    FailureCause.CLIENT_DISABLED: "client disabled",
    FailureCause.USER_DISABLED: "user disabled",
    FailureCause.THROTTLED: "too many failures before",
    FailureCause.BAD_SIGNATURE: "signed by none of its keys",
    FailureCause.WRONG_AUDIENCE: "assertion for another server",
    FailureCause.EXPIRED_ASSERTION: "assertion outside its time",
    FailureCause.USED_ASSERTION: "assertion used before",
    FailureCause.NOT_STRICT: "assertion not strict",
    FailureCause.UNKNOWN_ADMINISTRATOR: "no administrator of that name",
    FailureCause.ADMINISTRATOR_DISABLED: "administrator disabled",
    FailureCause.UNKNOWN_API_KEY: "no such API key",
}


class Chip(NamedTuple):
    """A filter that is set, and the list without it."""

    name: str
    value: str
    without: str


class Filters:
    """The filters of an address. `texts` has their values, by name."""

    def __init__(self, visit: Visit, path: str, query: QueryParams, names: Mapping[str, str]) -> None:
        self._visit = visit
        self._path = path
        self._names = names  # with their labels on chips; empty for one that the page shows itself
        self.texts = {name: cleaned(query.get(name, "")) for name in names}
        self.from_ms, self.until_ms = (instant_of(query.get(name, "")) for name in ("from", "until"))
        within = query.get("within", "")
        self.within = within if within in WITHIN else WITHIN_DEFAULT

    @property
    def window(self) -> tuple[int | None, int | None]:
        """The begin and end: exact, or up to now."""
        if self.is_chosen:
            return self.from_ms, self.until_ms
        if self.within == TODAY:
            return day_of(self._visit.now_ms, ZoneInfo(self._visit.zone)), None
        length_ms = WITHIN[self.within][1]
        return None if length_ms is None else max(0, self._visit.now_ms - length_ms), None

    @property
    def is_chosen(self) -> bool:
        """Whether two times, or one of them, are chosen."""
        return self.from_ms is not None or self.until_ms is not None

    @property
    def within_option(self) -> str:
        """Which of `WITHIN_OPTIONS` is chosen."""
        return CHOSEN if self.is_chosen else self.within

    @property
    def without_times(self) -> str:
        """The link to the list without the chosen times."""
        return self.link(**{"from": None, "until": None})

    @property
    def window_text(self) -> str:
        """In words, as the end of a sentence."""
        if self.is_chosen:
            return "in the time that was chosen"
        window = WITHIN[self.within][0]
        return window if self.within == TODAY else f"in {window}"

    @property
    def is_set(self) -> bool:
        """Whether there is a filter other than time."""
        return any(self.texts.values())

    @property
    def chips(self) -> list[Chip]:
        """The filters that are set, but for the chosen times."""
        return [
            Chip(self._names[name], text, self.link(**{name: None}))
            for name, text in self.texts.items()
            if text and self._names[name]
        ]

    def link(self, **changes: object) -> str:
        """The link to the list with these filters changed, from its first page on."""
        return self.link_to(self._path, **changes)

    def link_to(self, path: str, **changes: object) -> str:
        """The same at another path."""
        within = None if self.within == WITHIN_DEFAULT else self.within
        held: dict[str, object] = {
            **self.texts,
            "from": self.from_ms,
            "until": self.until_ms,
            "within": within,
        }
        return link(self._visit, path, **(held | changes))


def tenant_or_all(visit: Visit) -> Tenant | None:
    """The chosen tenant; None is all tenants, for a reader who may see all of them.

    Raises Problem: a node that does not know the reader's tenant yet must not show all.
    """
    if visit.the_tenant is None and visit.identity.tenant_id is not None:
        raise not_found("Your tenant is not there, or not there yet.")
    return visit.the_tenant


def cleaned(text: str) -> str:
    """The text as a name: without control characters, and no longer than one."""
    return without_controls(text).strip()[:TEXT_CHARS_MAX]


def instant_of(text: str) -> int | None:
    """An instant in milliseconds; None for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(INSTANT_MS_MAX))):
        return None
    at_ms = int(text)
    return at_ms if at_ms < INSTANT_MS_MAX else None


def reason_text(reason: str, seats: int | None = None) -> str:
    """Why a grant was denied."""
    if reason == NoSeatReason.ALL_IN_USE and seats:
        return "the only seat in use" if seats == 1 else f"all {seats:,} seats in use"
    return WHY_DENIED[NoSeatReason(reason)] if reason in set(NoSeatReason) else reason
