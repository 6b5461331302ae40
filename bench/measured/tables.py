"""After a measurement the tables must agree: with each other, and with what was answered."""

from collections import Counter

from sqlalchemy import Connection

from bench.measured.stores import Place, connection

# Each counts what must not be there.
_CONTRADICTIONS = {
    "pools that count other seats than there are": (
        "SELECT count(*) FROM pool WHERE in_use <> (SELECT count(*) FROM seat WHERE seat.pool_id = pool.id)"
    ),
    "pools with more seats in use than they have": "SELECT count(*) FROM pool WHERE in_use > seats",
    "seats without a session": (
        "SELECT count(*) FROM (SELECT pool_id, holder FROM seat"
        " EXCEPT SELECT pool_id, holder FROM session) AS alone"
    ),
    "sessions without their seat": (
        "SELECT count(*) FROM (SELECT pool_id, holder FROM session WHERE pool_id IS NOT NULL"
        " EXCEPT SELECT pool_id, holder FROM seat) AS alone"
    ),
    "clients with more sessions than they may have": (
        "SELECT count(*) FROM (SELECT client_key, count(*) AS live FROM session GROUP BY client_key) AS one"
        ' JOIN client ON client."key" = client_key WHERE live > sessions_max'
    ),
}
_WHOLE_JOURNAL = (
    "(SELECT kind, reason, times FROM journal"
    " UNION ALL SELECT kind, reason, 1 FROM journal_entry"
    " UNION ALL SELECT 'denied', reason, times FROM denial_entry) AS whole_journal"
)
_JOURNAL = f"SELECT kind, sum(times) FROM {_WHOLE_JOURNAL} WHERE reason <> 'superseded' GROUP BY kind"  # noqa: S608
_SESSIONS = "SELECT count(*) FROM session"
_ENDED = f"SELECT coalesce(sum(times), 0) FROM {_WHOLE_JOURNAL} WHERE kind = 'ended'"  # noqa: S608


class TablesDisagree(Exception):
    """The store does not hold what was answered, or contradicts itself: the figures are worth nothing."""


def read_journal(place: Place) -> Counter[str]:
    """How often each event was written down."""
    with connection(place) as opened:
        return _journal(opened)


def check_tables(place: Place, before: Counter[str], least: Counter[str], most: Counter[str]) -> None:
    """Return if nothing contradicts, and the journal has grown by these numbers of events.

    Raises TablesDisagree.
    """
    with connection(place) as opened:
        must_not_contradict(opened)
        grown = _journal(opened)
    grown.subtract(before)
    for event in ("granted", "denied", "ended"):
        if not least[event] <= grown[event] <= most[event]:
            asked_for = f"{least[event]} to {most[event]} {event} were asked for"
            raise TablesDisagree(f"{asked_for}, and {grown[event]} are in the journal")


def _journal(opened: Connection) -> Counter[str]:
    return Counter({kind: int(times) for kind, times in opened.exec_driver_sql(_JOURNAL)})


def must_not_contradict(opened: Connection) -> None:
    """Return if no table contradicts another.

    Raises TablesDisagree.
    """
    for what, query in _CONTRADICTIONS.items():
        found = opened.exec_driver_sql(query).scalar_one()
        if found:
            raise TablesDisagree(f"{what}: {found}")
    granted = _journal(opened)["granted"]
    live = opened.exec_driver_sql(_SESSIONS).scalar_one()
    ended = int(opened.exec_driver_sql(_ENDED).scalar_one())
    if granted - ended != live:
        raise TablesDisagree(f"{granted} grants and {ended} endings leave {live} sessions")
