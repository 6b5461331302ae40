"""The checker of the fault harness finds what is wrong with the lives of sessions, and with refusals."""

from typing import TYPE_CHECKING

from support.checked_history import CheckedHistory

if TYPE_CHECKING:
    from chaos.history import ActionKind, Kind


class TestLives:
    """Grants lost, endings undone, refreshes lost."""

    def test_a_session_that_is_told_to_be_over_while_it_must_live_is_found(self) -> None:
        """L9: the second kind of mistake, an answered grant that is lost."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.introspect(1, "a", sid, "active")
        history.introspect(2, "a", sid, "inactive")
        assert history.found() == {"lost_grant"}

    def test_a_session_that_may_be_over_may_be_told_so(self) -> None:
        """It may have expired; its access token before that (L3)."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.introspect(4.9, "a", sid, "inactive", token_s=0)
        history.introspect(10.5, "a", sid, "inactive")
        assert history.found() == set()

    def test_an_introspection_may_be_answered_before_its_grant_was(self) -> None:
        """The two crossed."""
        history = CheckedHistory()
        sid = history.grant(0, "a", took_s=2)
        history.introspect(1, "a", sid, "inactive")
        assert history.found() == set()

    def test_a_session_that_lives_after_its_logoff_was_answered_is_found(self) -> None:
        """L9: an answered logoff is final."""
        cases: list[tuple[str, Kind]] = [("active", "introspect"), ("granted", "refresh")]
        for outcome, kind in cases:
            history = CheckedHistory()
            sid = history.grant(0, "a")
            history.log_off(1, "a", sid)
            history.ask(2, "a", kind, outcome, sid)
            assert history.found() == {"undone_logoff"}

    def test_a_session_that_lives_after_its_revocation_was_answered_is_found(self) -> None:
        """RFC 7009 2.2."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.ask(1, "a", "revoke", "revoked", sid)
        history.introspect(2, "a", sid, "active")
        assert history.found() == {"undone_logoff"}

    def test_a_session_may_live_until_its_logoff_is_answered(self) -> None:
        """The two crossed."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.log_off(1, "a", sid, took_s=2)
        history.introspect(2.9, "a", sid, "active")
        assert history.found() == set()

    def test_a_session_that_lives_after_an_administrator_ended_it_is_found(self) -> None:
        """L4: also by disabling its client."""
        cases: list[tuple[ActionKind, tuple[str, ...]]] = [("end", ("sid1",)), ("disable", ())]
        for kind, sids in cases:
            history = CheckedHistory()
            sid = history.grant(0, "a")
            history.act(1, kind, "a", sids=sids)
            history.introspect(2, "a", sid, "active")
            assert history.found() == {"undone_logoff"}

    def test_a_session_that_outlives_its_life_is_found(self) -> None:
        """L3: and so is a token."""
        for at_s, token_s, found in (
            (10.2, None, set()),
            (10.3, None, {"undone_logoff"}),
            (5.2, 0, set()),
            (5.3, 0, {"undone_logoff"}),
        ):
            history = CheckedHistory()
            sid = history.grant(0, "a")
            history.introspect(at_s, "a", sid, "active", token_s=token_s)
            assert history.found() == found

    def test_a_refresh_that_comes_later_excuses_nothing_before_it(self) -> None:
        """L3: it was over, and then it was renewed."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.refresh(11, "a", sid)
        assert history.found() == {"undone_logoff"}

    def test_an_unanswered_refresh_may_have_renewed_it(self) -> None:
        """Nobody knows."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.lose(9, "a", "refresh", sid)
        history.introspect(15, "a", sid, "active")
        assert history.found() == set()

    def test_a_refresh_that_is_refused_while_its_session_must_live_is_found(self) -> None:
        """L5: who is at work is not thrown out; and it needs no free seat."""
        for outcome in ("invalid_grant", "all_in_use", "no_seats"):
            history = CheckedHistory()
            sid = history.grant(0, "a")
            history.refresh(1, "a", sid, outcome)
            assert history.found() == {"lost_refresh"}

    def test_a_refresh_that_makes_another_session_is_found(self) -> None:
        """L5: it doubles no seat."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.refresh(1, "a", sid, "another_session")
        assert history.found() == {"doubled"}

    def test_a_seat_that_is_given_back_twice_is_found(self) -> None:
        """Product 3.3: of many logoffs of one session, one gives back the seat."""
        history = CheckedHistory()
        sid = history.grant(0, "a")
        history.log_off(1, "a", sid)
        history.log_off(2, "a", sid)
        assert history.found() == {"doubled"}

    def test_a_client_that_is_granted_while_it_is_disabled_is_found(self) -> None:
        """A change of the set-up counts in the next transaction."""
        history = CheckedHistory()
        history.act(0, "disable", "a")
        history.grant(0.5, "a")
        assert history.found() == {"undone_logoff"}


class TestRefusals:
    """Errors that nothing explains."""

    def test_a_client_that_authenticates_is_not_refused(self) -> None:
        """RFC 6749 5.2."""
        history = CheckedHistory()
        history.ask(0, "a", "grant", "invalid_client", "")
        assert history.found() == {"unexplained_refusal"}

    def test_a_client_may_be_refused_until_all_nodes_know_that_it_is_let_in(self) -> None:
        """A second after the change, and half for a machine that is busy."""
        for kinds in (("disable", "enable"), ("take_secret", "give_secret")):
            for at_s, found in ((2.0, set()), (3.4, set()), (3.6, {"unexplained_refusal"})):
                history = CheckedHistory()
                history.act(1, kinds[0], "a")
                history.act(2, kinds[1], "a")
                history.ask(at_s, "a", "grant", "invalid_client", "")
                assert history.found() == found

    def test_a_failure_of_the_server_is_found(self) -> None:
        """A 500 is a bug."""
        history = CheckedHistory()
        history.ask(0, "a", "grant", "server_error", "")
        assert history.found() == {"unexplained_refusal"}

    def test_a_store_out_of_reach_explains_itself(self) -> None:
        """A 503: it may have been done or not."""
        history = CheckedHistory()
        history.ask(0, "a", "grant", "unavailable", "")
        assert history.found() == set()
