"""Checks after a measurement that the tables agree with each other, and with the answers."""

from collections import Counter

from sqlalchemy import Connection

from bench.measured.stores import Place, connection

# Each query counts rows that contradict others.
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
    """The tables contradict each other or the answers, so the figures are worthless."""


def read_journal(place: Place) -> Counter[str]:
    """The number of grants, denials and endings in the journal."""
    with connection(place) as opened:
        return _journal(opened)


def check_tables(place: Place, before: Counter[str], least: Counter[str], most: Counter[str]) -> None:
    """Check that no table contradicts another, and that the journal has grown by these numbers of events.

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
    """Check that no table contradicts another.

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
