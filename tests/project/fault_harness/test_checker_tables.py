"""The checker of the fault harness finds what is wrong with tables and figures, and reads histories."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.history import Figure, Final, PoolRow, Sample, SeatRow, SessionRow, Writer, read_history
from support.checked_history import EPOCH_S, TENANT, CheckedHistory, finished, us


class TestTables:
    """The tables after quiet."""

    def test_tables_that_agree_with_what_was_answered(self) -> None:
        """L4, L6, L9, L11."""
        assert finished().found() == set()

    @pytest.mark.parametrize(
        "pool", [{"in_use": 2}, {"rows": 2}, {"seats": 0}, {"minute_in_use": 2}, {"minute_peak": 3}]
    )
    def test_a_number_of_a_pool_that_is_another_is_found(self, pool: dict[str, int]) -> None:
        """L6: `in_use`, the rows of `seat`, and what usage says."""
        assert finished(**pool).found() == {"tables"}

    def test_a_change_that_was_refused_is_found_with_the_reason(self) -> None:
        """An administrator asks for nothing that the tables may refuse."""
        history = finished()
        history.act(2, "seats", seats=2, done="contradiction", why="exit code 1: no such pool")
        [told] = [it for it in check(history.records).findings.first if it.kind == "tables"]
        assert "no such pool" in told.text

    def test_a_session_that_is_missing_is_found(self) -> None:
        """L9: with its seat, or without."""
        history = finished()
        final = history.records[-1]
        assert isinstance(final, Final)
        empty = replace(final.pools[0], in_use=0, rows=0, minute_in_use=0)
        history.records[-1] = replace(final, sessions=(), seats=(), pools=(empty,))
        assert history.found() == {"lost_grant", "tables"}

    def test_a_session_that_was_ended_and_is_there_is_found(self) -> None:
        """L9."""
        history = finished()
        final = history.records[-1]
        assert isinstance(final, Final)
        ended = SessionRow(
            sid="sid2", tenant=TENANT, client="c", holder="", expires_at_ms=final.now_ms + 5000
        )
        history.records[-1] = replace(final, sessions=(*final.sessions, ended))
        assert "undone_logoff" in history.found()

    def test_a_session_that_nobody_asked_for_is_found(self) -> None:
        """A refresh that made another one, or a grant that was done twice."""
        history = finished()
        final = history.records[-1]
        assert isinstance(final, Final)
        strange = SessionRow(sid="x", tenant=TENANT, client="a", holder="", expires_at_ms=final.now_ms + 5000)
        history.records[-1] = replace(final, sessions=(*final.sessions, strange))
        assert history.found() == {"tables"}

    def test_a_session_whose_grant_nobody_answered_may_be_there(self) -> None:
        """One for each of them, and each in the journal."""
        for lost, found in ((1, set()), (0, {"tables"})):
            history = CheckedHistory()
            if lost:
                history.lose(0, "a")
            history.end(5, [("x", "a", "client:a", 10)], [("a", "granted", 1)])
            assert history.found() == found

    @pytest.mark.parametrize(("later_ms", "found"), [(1, {"tables"}), (0, set()), (-1, set())])
    def test_a_seat_that_outlives_its_sessions_is_found(self, later_ms: int, found: set[str]) -> None:
        """L4; the row of a seat that nothing holds may say less than its sessions."""
        history = finished()
        final = history.records[-1]
        assert isinstance(final, Final)
        seat = replace(final.seats[0], expires_at_ms=final.seats[0].expires_at_ms + later_ms)
        history.records[-1] = replace(final, seats=(seat,))
        assert history.found() == found

    def test_a_session_without_its_seat_is_found(self) -> None:
        """L4: a seat may be behind its sessions, and may not be gone before them."""
        history = finished()
        final = history.records[-1]
        assert isinstance(final, Final)
        history.records[-1] = replace(final, seats=())
        assert "tables" in history.found()

    def test_a_seat_on_hold_expires_with_its_hold(self) -> None:
        """L18: so long after its newest token; no later, and no sooner."""
        for end_s, found in ((8, set()), (9, {"tables"}), (7, {"tables"})):
            history = CheckedHistory(hold_s=5)
            sid = history.grant(3, "a")
            history.log_off(4, "a", sid)
            journal = [("a", "granted", 1), ("a", "ended", 1)]
            history.end(5, (), journal, in_use=1, rows=1)
            final = history.records[-1]
            assert isinstance(final, Final)
            ms = EPOCH_S * 1000
            seat = SeatRow(
                tenant=TENANT,
                holder="client:a",
                expires_at_ms=ms + end_s * 1000,
                issued_at_ms=ms + 3000,
            )
            history.records[-1] = replace(final, seats=(seat,))
            assert history.found() == found

    @pytest.mark.parametrize(("is_known", "found"), [(True, set()), (False, {"tables"})])
    def test_a_step_to_come_may_have_cut_a_seat_before_its_hold_is_over(
        self, is_known: bool, found: set[str]
    ) -> None:
        """L13, L18: also where the licence was renewed before it."""
        history = CheckedHistory(hold_s=5, signed=2)
        sid = history.grant(3, "a", number=1)
        if is_known:
            history.license(3.5, (0, 2), (6, 0))
            history.license(4, (0, 2))
        history.log_off(4.5, "a", sid)
        history.end(5, (), [("a", "granted", 1), ("a", "ended", 1)], in_use=1, rows=1)
        final = history.records[-1]
        assert isinstance(final, Final)
        ms = EPOCH_S * 1000
        seat = SeatRow(
            tenant=TENANT, holder="client:a", expires_at_ms=ms + 6000, issued_at_ms=ms + 3000, number=1
        )
        history.records[-1] = replace(final, seats=(seat,))
        assert history.found() == found

    @pytest.mark.parametrize(
        "journal",
        [
            [("a", "granted", 2), ("a", "ended", 1), ("c", "granted", 1), ("c", "ended", 1)],
            [("c", "granted", 1), ("c", "ended", 1)],
            [("a", "granted", 1), ("c", "granted", 1)],
            [("a", "granted", 1), ("c", "granted", 1), ("c", "ended", 1), ("d", "denied", 1)],
        ],
        ids=["one too many", "one missing", "no ending", "a denial of nobody"],
    )
    def test_a_journal_that_counts_otherwise_is_found(self, journal: list[tuple[str, str, int]]) -> None:
        """L11."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.log_off(2, "c", history.grant(1, "c"))
        history.end(5, [(sid, "a", "client:a", 10)], journal)
        assert "tables" in history.found()

    def test_a_pool_that_contradicts_itself_at_any_look_is_found(self) -> None:
        """L6."""
        for in_use, found in ((2, set()), (3, {"tables"})):
            history = CheckedHistory()
            pool = PoolRow(tenant=TENANT, seats=2, overuse=0, in_use=in_use, rows=in_use)
            history.records.append(Sample(begun_us=us(1), ended_us=us(1), pools=(pool,)))
            assert history.found() == found


class TestFigures:
    """What was measured."""

    @pytest.mark.parametrize(("at_s", "found"), [(9, set()), (11, {"slow_failover"})])
    def test_ten_seconds_after_a_promotion_there_is_a_grant(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """No node has to be restarted; a grant that was asked for before does not count."""
        history = CheckedHistory()
        history.grant(-0.5, "a", took_s=1)
        history.records.append(Figure(name="promoted", at_us=us(0), seconds=0.0))
        history.grant(at_s, "c")
        assert history.found() == found

    def test_what_else_was_broken_may_take_longer(self) -> None:
        """All nodes were dead, or the new primary as well."""
        history = CheckedHistory()
        history.records.append(Figure(name="promoted", at_us=us(0), seconds=0.0))
        history.fault(-0.5, 12)
        history.grant(13, "a")
        assert history.found() == set()

    @pytest.mark.parametrize(
        ("late_s", "found"), [(-0.001, {"slow_seat"}), (0.0, set()), (1.0, set()), (1.001, {"slow_seat"})]
    )
    def test_a_seat_is_free_at_the_end_of_a_life_and_a_second_later_at_most(
        self, late_s: float, found: set[FindingKind]
    ) -> None:
        """L4: and not before."""
        history = CheckedHistory()
        history.records.append(Figure(name="expiry after 1200 s", at_us=us(0), seconds=late_s))
        assert history.found() == found


class TestFiles:
    """A history on disk."""

    def test_what_was_written_is_read(self, tmp_path: Path) -> None:
        """All kinds of records, but for a last line that was cut short."""
        history = finished()
        history.act(3, "seats", seats=1)
        history.fault(3, 4)
        path = tmp_path / "history"
        with Writer(path) as writer:
            for record in history.records:
                writer.write(record)
        with path.open("ab") as file:
            file.write(b'["op","gr')
        assert list(read_history([path])) == history.records

    def test_a_history_without_its_beginning_is_refused(self) -> None:
        """Nobody knows what its tenants were."""
        with pytest.raises(ValueError, match="a record of its run"):
            check(finished().records[1:])
