"""Groups the alerts that are raised into one row for each pool, the worst of them first.

The rules:

- The badge in the navigation and the heading of the page count these rows.
- Of the percentages only the highest is shown. One that is no longer reached says so, and when it ends: an
  alert outlives its cause by `QUIET_MS`, so that a busy hour is one alert.
- An alert was reported to somebody only if there is a message of that instant: the evaluation writes both in
  one transaction. A message may be deleted a day later (`journal_retention_days`).
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from licet.alerts.notices import (
    LICENCE_EXPIRED,
    LICENCE_EXPIRES,
    LICENCE_GRACE,
    LICENCE_INVALID,
    MARGIN,
    OVERDRAFT,
    QUEUE_FULL,
    QUIET_MS,
)
from licet.alerts.raised import Raised
from licet.formats import counted
from licet.model import DENIED, EXPIRES, SHARED, Value
from licet.seat_sources import counted_addresses
from licet.units import DAY_MS, MINUTE_MS

OTHERS_MAX = 8  # a guess: more lines than that are a list of their own, `licet alerts`

_FULL = "100"
# The worst first; of what is not here, percentages come next, and last the seats that many share.
_WORST = (
    LICENCE_EXPIRED,
    LICENCE_INVALID,
    LICENCE_GRACE,
    DENIED,
    _FULL,
    EXPIRES,
    LICENCE_EXPIRES,
    OVERDRAFT,
    QUEUE_FULL,
)
_RED = frozenset({_FULL, DENIED, EXPIRES, LICENCE_GRACE, LICENCE_EXPIRED, LICENCE_INVALID})
_TEXTS = {
    LICENCE_EXPIRES: "licence expires",
    LICENCE_GRACE: "licence expired, in its grace",
    LICENCE_EXPIRED: "licence expired",
    LICENCE_INVALID: "a licence gives no seats",
    OVERDRAFT: "overdraft in use",
    QUEUE_FULL: "the queue is full",
    DENIED: "a seat was denied",
}
_QUIET = counted(QUIET_MS // MINUTE_MS, "minute")


class AlertLine(NamedTuple):
    """One alert of a pool: `look` is its colour, full or near; `client_id` is the client that it is about.

    `expires_at_ms` follows the text; `note` says why it is there though its cause is not, or is empty.
    """

    text: str
    look: str
    expires_at_ms: int | None
    since_ms: int
    note: str
    client_id: str = ""


class AlertRow(Value, frozen=True, kw_only=True):
    """The alerts of one pool, the worst as `main`. `more` counts those beside `others`.

    `reported` is `at`, with `reported_at_ms`; `never` where nobody was to receive it; `not yet`; or `unknown`
    where a message may have been deleted since.
    """

    tenant: str
    pool: str
    in_use: int
    seats: int
    main: AlertLine
    others: tuple[AlertLine, ...]
    more: int
    reported: str
    reported_at_ms: int | None


def alert_rows(
    found: Iterable[Raised], now_ms: int, messages: Collection[tuple[str, int]] = ()
) -> list[AlertRow]:
    """A row for each pool with an alert, the newest first.

    `messages` has each instant with a message, and the tenant that the message is about.
    """
    of_pool: dict[tuple[str, str], list[Raised]] = {}
    for alert in found:
        of_pool.setdefault((alert.tenant, alert.pool), []).append(alert)
    return [_row(alerts, now_ms, messages) for alerts in of_pool.values()]


def reported_at(found: Iterable[Raised]) -> set[int]:
    """The instants at which these alerts were reported, if anybody was to receive them."""
    return {alert.told_at_ms for alert in found if alert.told_at_ms is not None}


def _row(alerts: list[Raised], now_ms: int, messages: Collection[tuple[str, int]]) -> AlertRow:
    percentages = [int(alert.threshold) for alert in alerts if alert.threshold.isdigit()]
    highest = str(max(percentages, default=0))
    shown = [alert for alert in alerts if not alert.threshold.isdigit() or alert.threshold == highest]
    shown.sort(key=lambda alert: _badness(alert, now_ms))
    lines = [_line(alert, now_ms) for alert in shown]
    told = reported_at(shown)
    last_ms = max(told, default=None)
    with_message = {at_ms for at_ms in told if (alerts[0].tenant, at_ms) in messages}
    if with_message:
        reported, last_ms = "at", max(with_message)
    elif last_ms is None:
        reported = "not yet"
    else:
        reported = "never" if now_ms - last_ms < DAY_MS else "unknown"
    return AlertRow(
        tenant=alerts[0].tenant,
        pool=alerts[0].pool,
        in_use=alerts[0].in_use,
        seats=alerts[0].seats,
        main=lines[0],
        others=tuple(lines[1 : OTHERS_MAX + 1]),
        more=max(0, len(lines) - 1 - OTHERS_MAX),
        reported=reported,
        reported_at_ms=last_ms if reported == "at" else None,
    )


def _badness(alert: Raised, now_ms: int) -> tuple[int, int]:
    """The worst first, and of the same kind the newest."""
    if _is_over(alert, now_ms):
        return 0, -alert.raised_at_ms
    if alert.threshold in _WORST:
        return _WORST.index(alert.threshold), -alert.raised_at_ms
    return len(_WORST) + (alert.threshold == SHARED), -alert.raised_at_ms


def _is_over(alert: Raised, now_ms: int) -> bool:
    """Whether it is about an end that has come."""
    return alert.threshold == EXPIRES and (alert.expires_at_ms or 0) <= now_ms


def _line(alert: Raised, now_ms: int) -> AlertLine:
    return AlertLine(
        text=text_of(alert, now_ms),
        look="full" if alert.threshold in _RED else "near",
        expires_at_ms=alert.expires_at_ms,
        since_ms=alert.raised_at_ms,
        note=_note(alert),
        client_id=alert.client_id or "",
    )


def text_of(alert: Raised, now_ms: int) -> str:
    """Why an alert is raised."""
    if alert.threshold == EXPIRES:
        return "licence expired" if _is_over(alert, now_ms) else "licence expires"
    if alert.threshold == SHARED:
        return f"{alert.client_id}: used from {counted_addresses(alert.addresses or 0)} addresses in a day"
    if alert.licence is not None:
        return f"licence {alert.licence} gives no seats"
    return _TEXTS.get(alert.threshold) or f"{alert.threshold} % reached"


def _note(alert: Raised) -> str:
    """Why an alert is there though its cause is not, and when it ends."""
    if alert.threshold == DENIED:
        return f"ends {_QUIET} after the last denial"
    if alert.threshold == QUEUE_FULL:
        return f"ends {_QUIET} after the queue was last full"
    if not alert.threshold.isdigit() or alert.in_use * 100 >= int(alert.threshold) * alert.seats:
        return ""
    below = int(alert.threshold) - MARGIN
    if below <= 0:
        return f"less is in use now: ends when no seat was in use for {_QUIET}"
    return f"less is in use now: ends when use was below {below} % for {_QUIET}"


def of_pools(rows: Collection[object]) -> str:
    """`1 pool has an alert`, `3 pools have an alert`."""
    return f"{counted(len(rows), 'pool')} {'has' if len(rows) == 1 else 'have'} an alert"
