"""The checker of the fault harness: it finds each kind of mistake, and nothing in a history without one.

The histories are written by hand, in seconds since they began. A history stands for one tenant of two seats,
whose sessions live ten seconds and its access tokens five.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checker import check
from chaos.findings import FindingKind
from chaos.history import (
    Action,
    ActionKind,
    AnyRecord,
    Begun,
    ClientPlan,
    Done,
    Fault,
    Figure,
    Final,
    HolderKind,
    JournalRow,
    Kind,
    Look,
    Operation,
    PoolRow,
    SeatRow,
    SessionRow,
    TenantPlan,
    Writer,
    read_history,
)

TENANT = "Jim_Test"
EPOCH_S = 1000  # of the store's clock, at the beginning
TTL_S, ACCESS_S = 10, 5
TOOK_S = 0.01  # a request, unless it is told


def us(seconds: float) -> int:
    """A moment of the history."""
    return round(seconds * 1_000_000) + 1_000_000


class Story:
    """A history that is being written. Clients are `a`, `b`, `c`, `d`; `a` and `b` are of one user."""

    def __init__(
        self,
        *,
        duplicates: HolderKind = "client",
        seats: int = 2,
        sessions_max: int = 100,
        hold_s: int = 0,
    ) -> None:
        users = {"a": "AB", "b": "AB", "c": "CC", "d": "DD"}
        clients = tuple(
            ClientPlan(client_id=name, user=user, sessions_max=sessions_max) for name, user in users.items()
        )
        plan = TenantPlan(
            name=TENANT,
            seats=seats,
            duplicates=duplicates,
            session_ttl_s=TTL_S,
            access_ttl_s=ACCESS_S,
            clients=clients,
            hold_s=hold_s,
        )
        self.records: list[AnyRecord] = [Begun(seed=1, store="sqlite", nodes=2, tenants=(plan,))]
        self._sids = count(1)

    def ask(  # noqa: PLR0917 - who asks what, and when
        self, at_s: float, client: str, kind: Kind, told: str, sid: str, took_s: float = TOOK_S, **more: Any
    ) -> Operation:
        """A request and its answer."""
        operation = Operation(
            kind=kind,
            sent_us=us(at_s),
            received_us=us(at_s + took_s) if told else 0,
            node=0,
            tenant=TENANT,
            client=client,
            licensed=more.pop("licensed", True),
            told=told,
            sid=sid,
            **more,
        )
        self.records.append(operation)
        return operation

    def grant(self, at_s: float, client: str, *, took_s: float = TOOK_S, licensed: bool = True) -> str:
        """A grant that is answered; the session."""
        sid = f"sid{next(self._sids)}"
        self.ask(at_s, client, "grant", "granted", sid, took_s, licensed=licensed)
        return sid

    def lose(self, at_s: float, client: str, kind: Kind = "grant", sid: str = "") -> None:
        """A request that nobody answers."""
        self.ask(at_s, client, kind, "", sid)

    def deny(
        self, at_s: float, client: str, *, in_use: int = 2, seats: int = 2, told: str = "all_in_use"
    ) -> None:
        """A grant that is denied."""
        self.ask(at_s, client, "grant", told, "", in_use=in_use, seats=seats)

    def log_off(self, at_s: float, client: str, sid: str, *, took_s: float = TOOK_S) -> None:
        """A logoff that gives a seat back."""
        self.ask(at_s, client, "logoff", "logged_off", sid, took_s, released=True)

    def refresh(self, at_s: float, client: str, sid: str, told: str = "granted") -> None:
        """A refresh."""
        self.ask(at_s, client, "refresh", told, sid)

    def look_at(self, at_s: float, client: str, sid: str, told: str, *, token_s: float | None = None) -> None:
        """An introspection, of the refresh token or of an access token that was asked for at `token_s`."""
        of_access = {}
        if token_s is not None:
            of_access = {"token_sent_us": us(token_s), "token_received_us": us(token_s + TOOK_S)}
        self.ask(at_s, client, "introspect", told, sid, **of_access)

    def act(
        self,
        at_s: float,
        kind: ActionKind,
        client: str = "",
        took_s: float = TOOK_S,
        done: Done = "done",
        **more: Any,
    ) -> None:
        """An administrator does something."""
        self.records.append(
            Action(
                kind=kind,
                begun_us=us(at_s),
                ended_us=us(at_s + took_s),
                tenant=TENANT,
                done=done,
                client=client,
                **more,
            )
        )

    def break_it(self, from_s: float, until_s: float) -> None:
        """Something is broken for a while."""
        self.records.append(Fault(kind="kill", begun_us=us(from_s), ended_us=us(until_s)))

    def end(
        self,
        at_s: float,
        sessions: Sequence[tuple[str, str, str, float]] = (),
        journal: Iterable[tuple[str, str, int]] = (),
        **pool: int,
    ) -> None:
        """The tables after quiet: sessions with their client, holder and end, and the journal by client."""
        until_ms = {holder: round((EPOCH_S + end_s) * 1000) for _, _, holder, end_s in sessions if holder}
        numbers = {"seats": 2, "overuse": 0, "in_use": len(until_ms), "rows": len(until_ms)} | pool
        numbers = {"minute_in_use": numbers["in_use"], "minute_peak": 2} | numbers
        self.records.append(
            Final(
                begun_us=us(at_s),
                ended_us=us(at_s + TOOK_S),
                now_ms=round((EPOCH_S + at_s) * 1000),
                pools=(PoolRow(tenant=TENANT, **numbers),),
                sessions=tuple(
                    SessionRow(
                        sid=sid,
                        tenant=TENANT,
                        client=client,
                        holder=holder,
                        expires_at_ms=round((EPOCH_S + end_s) * 1000),
                    )
                    for sid, client, holder, end_s in sessions
                ),
                seats=tuple(
                    SeatRow(tenant=TENANT, holder=holder, expires_at_ms=end_ms)
                    for holder, end_ms in until_ms.items()
                ),
                journal=tuple(
                    JournalRow(tenant=TENANT, client=client, kind=kind, times=times)
                    for client, kind, times in journal
                ),
            )
        )

    def found(self) -> set[FindingKind]:
        """What the checker finds."""
        return set(check(self.records).findings.count)


class TestHolders:
    """Seats issued twice."""

    def test_three_clients_at_once_on_two_seats_are_found(self) -> None:
        """L6."""
        story = Story()
        for at_s, client in enumerate("acd"):
            story.grant(at_s, client)
        assert story.found() == {"over_issued"}

    def test_as_many_as_there_are_seats_are_not(self) -> None:
        """L6: the second session of a client shares its seat (L2)."""
        story = Story()
        for at_s, client in enumerate("accaca"):
            story.grant(at_s, client)
        assert story.found() == set()

    def test_two_clients_of_one_user_share_a_seat_where_users_hold_them(self) -> None:
        """L2."""
        cases: list[tuple[HolderKind, set[FindingKind]]] = [("user", set()), ("client", {"over_issued"})]
        for duplicates, found in cases:
            story = Story(duplicates=duplicates)
            for at_s, client in enumerate("abc"):
                story.grant(at_s, client)
            assert story.found() == found

    def test_sessions_of_one_client_are_counted_where_sessions_hold_seats(self) -> None:
        """L2."""
        story = Story(duplicates="none")
        for at_s in range(3):
            story.grant(at_s, "a")
        assert story.found() == {"over_issued"}

    def test_sessions_without_a_seat_are_not_counted(self) -> None:
        """L1."""
        story = Story()
        for at_s, client in enumerate("abcd"):
            story.grant(at_s, client, licensed=False)
        assert story.found() == set()

    def test_a_seat_that_is_given_on_while_it_has_to_be_held_is_found(self) -> None:
        """L18: five seconds after the last token, whoever logged off; without a hold it is right."""
        for hold_s, found in ((0, set()), (5, {"over_issued"})):
            story = Story(hold_s=hold_s)
            story.log_off(1, "a", story.grant(0, "a"))
            story.grant(2, "c")
            story.grant(3, "d")
            assert story.found() == found

    def test_a_refresh_lengthens_what_has_to_be_held(self) -> None:
        """L18: the hold counts from the last token, also beyond a session's life."""
        for given_s, found in ((14.5, {"over_issued"}), (15.1, set())):
            story = Story(hold_s=12)
            sid = story.grant(0, "a")
            story.refresh(3, "a", sid)
            story.log_off(4, "a", sid)
            story.grant(5, "c")
            story.grant(given_s, "d")
            assert story.found() == found

    def test_a_denial_while_a_seat_is_on_hold_is_right_and_not_that_of_its_holder(self) -> None:
        """L18: it counts as in use, until it may have been so no longer; its holder shares it."""
        for at_s, who, found in (
            (3, "d", set()),
            (4.9, "d", set()),
            (6, "d", {"unexplained_denial"}),
            (3, "a", {"unexplained_denial"}),
        ):
            story = Story(hold_s=5)
            story.log_off(1, "a", story.grant(0, "a"))
            story.grant(2, "c")
            story.deny(at_s, who)
            assert story.found() == found, (at_s, who)

    def test_a_grant_that_may_have_come_after_a_logoff_is_not_found(self) -> None:
        """The logoff was sent before the third client had its answer: it may have been first."""
        story = Story()
        first = story.grant(0, "a")
        story.grant(1, "c")
        story.log_off(2, "a", first, took_s=2)
        story.grant(1.5, "d", took_s=1)
        assert story.found() == set()

    def test_a_grant_that_was_answered_before_the_logoff_was_sent_is_found(self) -> None:
        """L6: a thousandth of a second between them is enough."""
        story = Story()
        first = story.grant(0, "a")
        story.grant(1, "c")
        story.grant(1.5, "d", took_s=0.499)
        story.log_off(2, "a", first)
        assert "over_issued" in story.found()

    @pytest.mark.parametrize(("at_s", "found"), [(9.7, {"over_issued"}), (9.8, set()), (10.5, set())])
    def test_a_session_holds_for_certain_until_just_before_it_expires(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """L3, L4: ten seconds after it was sent, less a quarter for the clocks."""
        story = Story()
        story.grant(0, "a")
        story.grant(5, "c")
        story.grant(at_s - TOOK_S, "d")
        assert story.found() == found

    def test_a_refresh_lengthens_what_is_certain(self) -> None:
        """L3."""
        story = Story()
        first = story.grant(0, "a")
        story.refresh(8, "a", first)
        story.grant(9, "c")
        story.grant(15, "d")
        assert story.found() == {"over_issued"}

    def test_an_unanswered_logoff_may_have_freed_the_seat(self) -> None:
        """Nobody knows: the server has the benefit."""
        story = Story()
        first = story.grant(0, "a")
        story.grant(1, "c")
        story.lose(2, "a", "logoff", first)
        story.grant(3, "d")
        assert story.found() == set()

    def test_an_administrator_may_have_freed_the_seat(self) -> None:
        """Also one who was told that it failed."""
        answers: list[Done] = ["done", "unknown"]
        for done in answers:
            story = Story()
            first = story.grant(0, "a")
            story.grant(1, "c")
            story.act(2, "end", "a", done=done, sids=(first,))
            story.grant(3, "d")
            assert story.found() == set()

    def test_a_client_that_is_disabled_holds_no_seat(self) -> None:
        """L4."""
        story = Story()
        story.grant(0, "a")
        story.grant(1, "c")
        story.act(2, "disable", "a")
        story.grant(3, "d")
        assert story.found() == set()

    def test_a_session_may_have_been_superseded_once_its_client_began_enough_others(self) -> None:
        """L8: the second grant of a client that may have one session, the third where it may have two."""
        for sessions_max, grants, found in ((1, 2, set()), (2, 2, {"over_issued"}), (2, 3, {"over_issued"})):
            story = Story(duplicates="none", sessions_max=sessions_max)
            story.grant(0, "c")
            for number in range(grants):
                story.grant(1 + number, "a")
            assert story.found() == found
        story = Story(duplicates="none", seats=3, sessions_max=2)
        story.grant(0, "c")
        for number in range(5):
            story.grant(1 + number, "a")
        assert story.found() == set()

    def test_seats_that_are_lowered_leave_sessions_alone(self) -> None:
        """L6: overuse of sessions from before is no seat too many."""
        story = Story()
        first = story.grant(0, "a")
        story.grant(1, "c")
        story.act(2, "seats", seats=1)
        story.refresh(3, "a", first)
        story.grant(4, "c")  # It shares its seat.
        assert story.found() == set()

    def test_a_new_holder_while_there_are_too_many_is_found(self) -> None:
        """L6: no new seat is given until it fits."""
        story = Story(seats=3)
        story.grant(0, "a")
        story.grant(1, "c")
        story.act(2, "seats", seats=1)
        story.grant(3, "d")
        assert story.found() == {"over_issued"}

    def test_seats_that_may_not_have_been_lowered_yet_may_be_given(self) -> None:
        """While the administrator waits, and after an answer that said nothing."""
        cases: list[tuple[float, Done]] = [(2.0, "done"), (TOOK_S, "unknown")]
        for took_s, done in cases:
            story = Story(seats=3)
            story.grant(0, "a")
            story.grant(1, "c")
            story.act(2, "seats", took_s=took_s, done=done, seats=1)
            story.grant(3, "d")
            assert story.found() == set()

    def test_seats_that_are_raised_may_be_given_from_the_moment_on_that_somebody_asks_for_it(self) -> None:
        """L6."""
        for at_s, found in ((1.5, set()), (3.0, {"over_issued"})):
            story = Story()
            story.grant(0, "a")
            story.grant(1, "c")
            story.act(at_s, "seats", seats=3)
            story.grant(2, "d")
            assert story.found() == found


class TestDenials:
    """Denials that nothing explains."""

    def test_a_denial_on_a_full_pool_is_right(self) -> None:
        """L4."""
        story = Story()
        story.grant(0, "a")
        story.grant(1, "c")
        story.deny(2, "d")
        assert story.found() == set()

    def test_a_denial_while_a_seat_must_be_free_is_found(self) -> None:
        """L4: a seat that was given back, and is not given out."""
        story = Story()
        first = story.grant(0, "a")
        story.grant(1, "c")
        story.log_off(2, "a", first)
        story.deny(3, "d")
        assert story.found() == {"unexplained_denial"}

    def test_a_denial_after_a_session_must_have_expired_is_found(self) -> None:
        """L4: an expired seat is free at once, and nobody has to sweep."""
        for at_s, found in ((10.2, set()), (10.5, {"unexplained_denial"})):
            story = Story()
            story.grant(0, "a")
            story.grant(1, "c")
            story.deny(at_s, "d")
            assert story.found() == found

    def test_somebody_whom_nobody_answered_may_hold_the_seat(self) -> None:
        """Until what was asked for must have been done or not, and its life after that."""
        for at_s, found in ((15, set()), (21, {"unexplained_denial"})):
            story = Story()
            story.lose(0, "a")
            story.grant(at_s - 1, "c")
            story.deny(at_s, "d")
            assert story.found() == found

    def test_a_fault_gives_what_was_not_answered_more_time(self) -> None:
        """A node that stands still does when it goes on what it was asked before."""
        story = Story()
        story.break_it(0, 30)
        story.lose(1, "a")
        story.grant(39, "c")
        story.deny(45, "d")
        assert story.found() == set()

    def test_who_holds_a_seat_is_not_denied_one(self) -> None:
        """L2."""
        story = Story()
        story.grant(0, "a")
        story.grant(1, "c")
        story.deny(2, "a")
        assert story.found() == {"unexplained_denial"}

    def test_a_denial_tells_the_seats_that_there_were(self) -> None:
        """Product 3.2."""
        for seats, found in ((2, set()), (1, {"unexplained_denial"})):
            story = Story()
            story.grant(0, "a")
            story.grant(1, "c")
            story.deny(2, "d", seats=seats)
            assert story.found() == found

    def test_a_denial_with_fewer_in_use_than_seats_is_found(self) -> None:
        """It says itself that a seat is free."""
        story = Story()
        story.grant(0, "a")
        story.deny(2, "d", in_use=1)
        assert story.found() == {"unexplained_denial"}


class TestLives:
    """Grants lost, endings undone, refreshes lost."""

    def test_a_session_that_is_told_to_be_over_while_it_must_live_is_found(self) -> None:
        """L9: the second kind of mistake, an answered grant that is lost."""
        story = Story()
        sid = story.grant(0, "a")
        story.look_at(1, "a", sid, "active")
        story.look_at(2, "a", sid, "inactive")
        assert story.found() == {"lost_grant"}

    def test_a_session_that_may_be_over_may_be_told_so(self) -> None:
        """It may have expired; its access token before that (L3)."""
        story = Story()
        sid = story.grant(0, "a")
        story.look_at(4.9, "a", sid, "inactive", token_s=0)
        story.look_at(10.5, "a", sid, "inactive")
        assert story.found() == set()

    def test_an_introspection_may_be_answered_before_its_grant_was(self) -> None:
        """The two crossed."""
        story = Story()
        sid = story.grant(0, "a", took_s=2)
        story.look_at(1, "a", sid, "inactive")
        assert story.found() == set()

    def test_a_session_that_lives_after_its_logoff_was_answered_is_found(self) -> None:
        """L9: an answered logoff is final."""
        cases: list[tuple[str, Kind]] = [("active", "introspect"), ("granted", "refresh")]
        for told, kind in cases:
            story = Story()
            sid = story.grant(0, "a")
            story.log_off(1, "a", sid)
            story.ask(2, "a", kind, told, sid)
            assert story.found() == {"undone_logoff"}

    def test_a_session_that_lives_after_its_revocation_was_answered_is_found(self) -> None:
        """RFC 7009 2.2."""
        story = Story()
        sid = story.grant(0, "a")
        story.ask(1, "a", "revoke", "revoked", sid)
        story.look_at(2, "a", sid, "active")
        assert story.found() == {"undone_logoff"}

    def test_a_session_may_live_until_its_logoff_is_answered(self) -> None:
        """The two crossed."""
        story = Story()
        sid = story.grant(0, "a")
        story.log_off(1, "a", sid, took_s=2)
        story.look_at(2.9, "a", sid, "active")
        assert story.found() == set()

    def test_a_session_that_lives_after_an_administrator_ended_it_is_found(self) -> None:
        """L4: also by disabling its client."""
        cases: list[tuple[ActionKind, tuple[str, ...]]] = [("end", ("sid1",)), ("disable", ())]
        for kind, sids in cases:
            story = Story()
            sid = story.grant(0, "a")
            story.act(1, kind, "a", sids=sids)
            story.look_at(2, "a", sid, "active")
            assert story.found() == {"undone_logoff"}

    def test_a_session_that_outlives_its_life_is_found(self) -> None:
        """L3: and so is a token."""
        for at_s, token_s, found in (
            (10.2, None, set()),
            (10.3, None, {"undone_logoff"}),
            (5.2, 0, set()),
            (5.3, 0, {"undone_logoff"}),
        ):
            story = Story()
            sid = story.grant(0, "a")
            story.look_at(at_s, "a", sid, "active", token_s=token_s)
            assert story.found() == found

    def test_a_refresh_that_comes_later_excuses_nothing_before_it(self) -> None:
        """L3: it was over, and then it was renewed."""
        story = Story()
        sid = story.grant(0, "a")
        story.refresh(11, "a", sid)
        assert story.found() == {"undone_logoff"}

    def test_an_unanswered_refresh_may_have_renewed_it(self) -> None:
        """Nobody knows."""
        story = Story()
        sid = story.grant(0, "a")
        story.lose(9, "a", "refresh", sid)
        story.look_at(15, "a", sid, "active")
        assert story.found() == set()

    def test_a_refresh_that_is_refused_while_its_session_must_live_is_found(self) -> None:
        """L5: who is at work is not thrown out; and it needs no free seat."""
        for told in ("invalid_grant", "all_in_use", "no_seats"):
            story = Story()
            sid = story.grant(0, "a")
            story.refresh(1, "a", sid, told)
            assert story.found() == {"lost_refresh"}

    def test_a_refresh_that_makes_another_session_is_found(self) -> None:
        """L5: it doubles no seat."""
        story = Story()
        sid = story.grant(0, "a")
        story.refresh(1, "a", sid, "another_session")
        assert story.found() == {"doubled"}

    def test_a_seat_that_is_given_back_twice_is_found(self) -> None:
        """Product 3.3: of many logoffs of one session, one gives back the seat."""
        story = Story()
        sid = story.grant(0, "a")
        story.log_off(1, "a", sid)
        story.log_off(2, "a", sid)
        assert story.found() == {"doubled"}

    def test_a_client_that_is_granted_while_it_is_disabled_is_found(self) -> None:
        """A change of the set-up counts in the next transaction."""
        story = Story()
        story.act(0, "disable", "a")
        story.grant(0.5, "a")
        assert story.found() == {"undone_logoff"}


class TestRefusals:
    """Errors that nothing explains."""

    def test_a_client_that_authenticates_is_not_refused(self) -> None:
        """RFC 6749 5.2."""
        story = Story()
        story.ask(0, "a", "grant", "invalid_client", "")
        assert story.found() == {"unexplained_refusal"}

    def test_a_client_may_be_refused_until_all_nodes_know_that_it_is_let_in(self) -> None:
        """A second after the change, and half for a machine that is busy."""
        for kinds in (("disable", "enable"), ("take_secret", "give_secret")):
            for at_s, found in ((2.0, set()), (3.4, set()), (3.6, {"unexplained_refusal"})):
                story = Story()
                story.act(1, kinds[0], "a")
                story.act(2, kinds[1], "a")
                story.ask(at_s, "a", "grant", "invalid_client", "")
                assert story.found() == found

    def test_a_failure_of_the_server_is_found(self) -> None:
        """A 500 is a bug."""
        story = Story()
        story.ask(0, "a", "grant", "server_error", "")
        assert story.found() == {"unexplained_refusal"}

    def test_a_store_out_of_reach_explains_itself(self) -> None:
        """A 503: it may have been done or not."""
        story = Story()
        story.ask(0, "a", "grant", "unavailable", "")
        assert story.found() == set()


def finished(**pool: int) -> Story:
    """A history with its tables: `a` has a seat, `c` has logged off."""
    story = Story()
    sid = story.grant(0, "a")
    story.log_off(2, "c", story.grant(1, "c"))
    journal = [("a", "granted", 1), ("c", "granted", 1), ("c", "ended", 1)]
    story.end(5, [(sid, "a", "client:a", 10)], journal, **pool)
    return story


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

    def test_a_session_that_is_missing_is_found(self) -> None:
        """L9: with its seat, or without."""
        story = finished()
        final = story.records[-1]
        assert isinstance(final, Final)
        empty = replace(final.pools[0], in_use=0, rows=0, minute_in_use=0)
        story.records[-1] = replace(final, sessions=(), seats=(), pools=(empty,))
        assert story.found() == {"lost_grant", "tables"}

    def test_a_session_that_was_ended_and_is_there_is_found(self) -> None:
        """L9."""
        story = finished()
        final = story.records[-1]
        assert isinstance(final, Final)
        ended = SessionRow(
            sid="sid2", tenant=TENANT, client="c", holder="", expires_at_ms=final.now_ms + 5000
        )
        story.records[-1] = replace(final, sessions=(*final.sessions, ended))
        assert "undone_logoff" in story.found()

    def test_a_session_that_nobody_asked_for_is_found(self) -> None:
        """A refresh that made another one, or a grant that was done twice."""
        story = finished()
        final = story.records[-1]
        assert isinstance(final, Final)
        strange = SessionRow(sid="x", tenant=TENANT, client="a", holder="", expires_at_ms=final.now_ms + 5000)
        story.records[-1] = replace(final, sessions=(*final.sessions, strange))
        assert story.found() == {"tables"}

    def test_a_session_whose_grant_nobody_answered_may_be_there(self) -> None:
        """One for each of them, and each in the journal."""
        for lost, found in ((1, set()), (0, {"tables"})):
            story = Story()
            if lost:
                story.lose(0, "a")
            story.end(5, [("x", "a", "client:a", 10)], [("a", "granted", 1)])
            assert story.found() == found

    def test_a_seat_that_outlives_its_sessions_is_found(self) -> None:
        """L4: and one that is gone before them."""
        story = finished()
        final = story.records[-1]
        assert isinstance(final, Final)
        for end_ms in (final.seats[0].expires_at_ms + 1, final.seats[0].expires_at_ms - 1):
            seat = replace(final.seats[0], expires_at_ms=end_ms)
            story.records[-1] = replace(final, seats=(seat,))
            assert story.found() == {"tables"}

    def test_a_seat_on_hold_expires_with_its_hold(self) -> None:
        """L18: so long after its newest token, and not later."""
        for end_s, found in ((8, set()), (9, {"tables"})):
            story = Story(hold_s=5)
            sid = story.grant(3, "a")
            story.log_off(4, "a", sid)
            journal = [("a", "granted", 1), ("a", "ended", 1)]
            story.end(5, (), journal, in_use=1, rows=1)
            final = story.records[-1]
            assert isinstance(final, Final)
            ms = EPOCH_S * 1000
            seat = SeatRow(
                tenant=TENANT,
                holder="client:a",
                expires_at_ms=ms + end_s * 1000,
                issued_at_ms=ms + 3000,
            )
            story.records[-1] = replace(final, seats=(seat,))
            assert story.found() == found

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
        story = Story()
        sid = story.grant(0, "a")
        story.log_off(2, "c", story.grant(1, "c"))
        story.end(5, [(sid, "a", "client:a", 10)], journal)
        assert "tables" in story.found()

    def test_a_pool_that_contradicts_itself_at_any_look_is_found(self) -> None:
        """L6."""
        for in_use, found in ((2, set()), (3, {"tables"})):
            story = Story()
            pool = PoolRow(tenant=TENANT, seats=2, overuse=0, in_use=in_use, rows=in_use)
            story.records.append(Look(begun_us=us(1), ended_us=us(1), pools=(pool,)))
            assert story.found() == found


class TestFigures:
    """What was measured."""

    @pytest.mark.parametrize(("at_s", "found"), [(9, set()), (11, {"slow_failover"})])
    def test_ten_seconds_after_a_promotion_there_is_a_grant(
        self, at_s: float, found: set[FindingKind]
    ) -> None:
        """No node has to be restarted; a grant that was asked for before does not count."""
        story = Story()
        story.grant(-0.5, "a", took_s=1)
        story.records.append(Figure(name="promoted", at_us=us(0), seconds=0.0))
        story.grant(at_s, "c")
        assert story.found() == found

    def test_what_else_was_broken_may_take_longer(self) -> None:
        """All nodes were dead, or the new primary as well."""
        story = Story()
        story.records.append(Figure(name="promoted", at_us=us(0), seconds=0.0))
        story.break_it(-0.5, 12)
        story.grant(13, "a")
        assert story.found() == set()

    @pytest.mark.parametrize(
        ("late_s", "found"), [(-0.001, {"slow_seat"}), (0.0, set()), (1.0, set()), (1.001, {"slow_seat"})]
    )
    def test_a_seat_is_free_at_the_end_of_a_life_and_a_second_later_at_most(
        self, late_s: float, found: set[FindingKind]
    ) -> None:
        """L4: and not before."""
        story = Story()
        story.records.append(Figure(name="expiry after 1200 s", at_us=us(0), seconds=late_s))
        assert story.found() == found


class TestFiles:
    """A history on disk."""

    def test_what_was_written_is_read(self, tmp_path: Path) -> None:
        """All kinds of records, but for a last line that was cut short."""
        story = finished()
        story.act(3, "seats", seats=1)
        story.break_it(3, 4)
        path = tmp_path / "history"
        with Writer(path) as writer:
            for record in story.records:
                writer.write(record)
        with path.open("ab") as file:
            file.write(b'["op","gr')
        assert list(read_history([path])) == story.records

    def test_a_history_without_its_beginning_is_refused(self) -> None:
        """Nobody knows what its tenants were."""
        with pytest.raises(ValueError, match="what was begun"):
            check(finished().records[1:])
