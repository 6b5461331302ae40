"""The checker of the fault harness finds the rows that upkeep left after the load, and counts what it did."""

from chaos.checks.checker import Report, check
from chaos.checks.upkeep import DUE
from chaos.history import Backlog, DueRow, Upkeep
from chaos.report import summary
from support.checked_history import EPOCH_S, TENANT, finished, us

DUE_MS = EPOCH_S * 1000 + 10_000


def checked(
    first: dict[str, int],
    left: dict[str, int],
    done: dict[str, int] | None = None,
    *,
    is_led: bool = True,
) -> Report:
    """What is said of a history at whose end so many rows of these tables were due, and left after 100 s."""

    def backlogs(rows: dict[str, int]) -> tuple[Backlog, ...]:
        oldest = (DueRow(tenant=TENANT, name="a", due_ms=DUE_MS - 1500),)
        return tuple(
            Backlog(
                table=table,
                rows=rows.get(table, 0),
                done=(done or {}).get(table, 0),
                oldest=oldest if rows.get(table) else (),
            )
            for table in DUE
        )

    history = finished()
    upkeep = Upkeep(
        begun_us=us(8),
        ended_us=us(110),
        due_ms=DUE_MS,
        now_ms=DUE_MS + 100_000,
        is_led=is_led,
        first=backlogs(first),
        left=backlogs(left),
    )
    history.records.append(upkeep)
    return check(history.records)


def test_nothing_is_found_where_all_that_was_due_is_gone() -> None:
    """L4, L11: and it is said how much that was, and how long it took."""
    report = checked({"session": 3, "seat": 2, "journal_entry": 5}, {}, {"journal_entry": 40})
    assert report.is_clean
    done = {table: report.findings.checked[DUE[table].done] for table in DUE}
    assert {table: count for table, count in done.items() if count} == {
        "session": 3,
        "seat": 2,
        "journal_entry": 45,
    }
    lines = [" ".join(line.split()) for line in summary(report).splitlines()]
    assert {"3 upkeep: expired sessions cleared away", "upkeep after the load 102.00 s"} <= {*lines}


def test_each_table_with_rows_that_are_left_is_found() -> None:
    """L4, L11."""
    for table in DUE:
        report = checked({table: 3}, {table: 2})
        assert report.findings.count == {"neglected": 1}
        assert report.findings.checked[DUE[table].done] == 1


def test_a_finding_says_which_rows_are_left() -> None:
    """So that its reader knows where to look."""
    [found] = checked({"session": 2}, {"session": 1200}).findings.first
    assert found.in_full() == (
        "neglected: 1,200 expired sessions in `session`, 100 s after the last row was due; the oldest:\n"
        f"    a of {TENANT} expired 101.5 s before"
    )


def test_a_store_without_a_leader_is_found_even_where_nothing_is_left() -> None:
    """A node that leads for moments only may have done all by chance."""
    report = checked({"session": 3}, {}, is_led=False)
    assert report.findings.count == {"neglected": 1}
    assert report.findings.first[0].text == "no node stays the leader, 100 s after the last row was due"


def test_endings_that_come_to_the_journal_meanwhile_are_not_taken_off_what_was_done() -> None:
    """L11: a session that is cleared away is one more entry, with the moment of its expiry."""
    report = checked({"journal_entry": 1}, {"journal_entry": 4}, {"journal_entry": 7})
    assert report.findings.checked[DUE["journal_entry"].done] == 7


def test_a_history_of_a_run_that_did_not_look_has_nothing_to_find() -> None:
    """One that ended early, or was kept by a version before."""
    assert check(finished().records).is_clean
