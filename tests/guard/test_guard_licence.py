"""A guard with a licence: which requests need a seat, which seats count, and how the others are refused.

The server belongs to its administrator, and says whatever a test wants; only the vendor signs licences.
"""

import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from licet.guard import Guard, Identity, Refused
from licet.guard.counting import CLOCKS_S
from licet.guard.coverage import Place, Why, read_all
from licet.licences.vendor_file import Vendor, vendor_file
from support.guard.guarded import KINDS, Api
from support.guard.issuing import INVALID, UNAVAILABLE, refused
from support.guard.seat_memories import START_S, Time
from support.guard.signed_server import BUILT, INSTALLATION, SignedServer
from support.licences.vendors import TestVendor
from support.web.http_site import Site

FORBIDDEN = (403, "licence_refused")
DAY_S = 86_400


@pytest.fixture
def time() -> Time:
    """The clock of server and guard."""
    return Time()


@pytest.fixture(params=["introspection", "jwt"])
def server(request: pytest.FixtureRequest, time: Time) -> Iterator[SignedServer]:
    """A server of references, and one of JWTs."""
    with Site() as site:
        yield SignedServer(site, time, request.param)


@pytest.fixture
def guard(server: SignedServer) -> Iterator[Guard]:
    """A guard that counts."""
    guard = server.guard()
    yield guard
    guard.close()


def let_in(guard: Guard, token: str, method: str = "POST", **options: Any) -> Identity:
    """Who is let in with this token."""
    return guard.check(method, f"Bearer {token}", **options)


def reason(guard: Guard, token: str, method: str = "POST", **options: Any) -> str:
    """Why a licence does not cover a request."""
    with pytest.raises(Refused) as caught:
        guard.check(method, f"Bearer {token}", **options)
    assert (caught.value.status, caught.value.error) == FORBIDDEN, caught.value
    return caught.value.reason


class TestWhoNeedsASeat:
    """A request that is not safe, or needs a scope beyond those that are read-only here."""

    def test_a_handler_gets_the_caller_and_the_features(self, server: SignedServer, guard: Guard) -> None:
        """With the scopes that are signed for its pool, and those that need no seat."""
        claims = server.vendor.claims(features=["exports"])
        server.licences = [server.vendor.sign(claims)]
        who = let_in(guard, server.token(scope="all view reports"))
        assert (who.client, who.user, who.pool, who.read_only) == ("C1", "TC", "full", False)
        assert who.scopes == {"all", "view"}
        assert who.features == {"exports"}

    @pytest.mark.parametrize("seat", [None, {"number": 99, "counted_for": "client"}])
    def test_a_safe_request_needs_none(self, server: SignedServer, guard: Guard, seat: Any) -> None:
        """It passes as without a licence, and gets no scope that was not signed for its seat."""
        who = let_in(guard, server.token(seat=seat), "GET")
        assert who.scopes == {"view"}
        assert who.read_only

    def test_a_safe_request_that_needs_a_scope_needs_one(self, server: SignedServer, guard: Guard) -> None:
        """Unless the scope is one that is read-only here, whatever the server says."""
        token = server.token(seat=None)
        assert let_in(guard, token, "GET", scopes=["view"]).client == "C1"
        with pytest.raises(Refused) as caught:
            guard.check("GET", f"Bearer {token}", scopes=["all"])
        assert (caught.value.status, caught.value.error) == INVALID

    def test_a_method_that_a_header_overrides_needs_one(self, server: SignedServer, guard: Guard) -> None:
        """Else everything would be a GET."""
        assert let_in(guard, server.token(number=99), "GET").client == "C1"
        assert reason(guard, server.token(number=99), "GET", is_overridden=True) == Why.BEYOND_LICENCE

    def test_a_seat_of_another_pool_gives_no_scope(self, server: SignedServer, guard: Guard) -> None:
        """GET passes without `all`, and POST is refused; a token without a seat is renewed."""
        pools = {"full": {"seats": 5, "scopes": ["all"]}, "lite": {"seats": 5, "scopes": ["lite"]}}
        server.licences = [server.vendor.sign(server.vendor.claims(pools=pools))]
        token = server.token(pool="lite")
        assert let_in(guard, server.token(), "POST").scopes == {"all", "view"}
        assert let_in(guard, token, "GET").scopes == {"view"}
        assert reason(guard, token) == Why.WRONG_POOL
        assert reason(guard, server.token(scope="all lite", pool="lite"), scopes=["all"]) == Why.WRONG_POOL
        assert refused(guard, server.token(seat=None)) == INVALID

    def test_a_pool_that_nobody_signed_is_the_wrong_one(self, server: SignedServer, guard: Guard) -> None:
        """Nor has a token without a pool one."""
        assert reason(guard, server.token(pool="mine")) == Why.WRONG_POOL
        assert reason(guard, server.token(pool=None)) == Why.WRONG_POOL

    def test_a_read_only_token_is_told_so_as_ever(self, server: SignedServer, guard: Guard) -> None:
        """It has no seat, and a new one would have none."""
        token = server.token(seat=None, scope="view", read_only=True)
        assert refused(guard, token) == (403, "insufficient_scope")

    def test_each_kind_of_api_says_why(self, server: SignedServer) -> None:
        """As JSON; FastAPI has its `detail` around it."""
        for api in KINDS:
            guard = server.guard()
            kind: Api = api
            assert kind(guard, "POST", {"Authorization": f"Bearer {server.token()}"}).status_code == 200
            answer = kind(guard, "POST", {"Authorization": f"Bearer {server.token(number=26)}"})
            assert answer.status_code == 403
            said = answer.json()
            assert said.get("detail", said) == {
                "error": "licence_refused",
                "error_description": "The licence does not cover this seat (beyond_licence).",
                "reason": "beyond_licence",
            }
            guard.close()


class TestSeatOfAToken:
    """What a token says of its seat."""

    @pytest.mark.parametrize("number", [1.0, "1", True, None, [1], 1e300])
    def test_a_number_that_is_no_whole_one_is_no_seat(
        self, server: SignedServer, guard: Guard, number: Any
    ) -> None:
        """JSON has one kind of numbers, and languages have several: 401, and nothing is kept of it."""
        assert refused(guard, server.token(number=number)) == INVALID

    @pytest.mark.parametrize("number", [0, -1, 26, 2**53, 2**63, 10**30])
    def test_a_number_that_is_not_signed_is_beyond(
        self, server: SignedServer, guard: Guard, number: int
    ) -> None:
        """25 are signed."""
        assert reason(guard, server.token(number=number)) == Why.BEYOND_LICENCE
        assert let_in(guard, server.token(number=25)).client == "C1"

    @pytest.mark.parametrize(
        "changes",
        [
            {"seat": {"number": 1}},
            {"seat": {"number": 1, "counted_for": 1}},
            {"seat": [1, "client"]},
            {"seat": "1"},
            {"iat": 1.5, "exp": START_S + 60},
            {"seat": {"number": 1, "counted_for": "user"}, "username": None},
        ],
    )
    def test_a_seat_of_another_shape_is_none(
        self, server: SignedServer, guard: Guard, changes: dict[str, Any]
    ) -> None:
        """The client gets a new token."""
        assert refused(guard, server.token(**changes)) == INVALID

    def test_a_name_that_is_no_text_of_unicode_is_a_name(self, server: SignedServer, guard: Guard) -> None:
        """Half a character of JSON is no fault of the guard's."""
        assert let_in(guard, server.token(client="\ud800")).client == "\ud800"
        assert refused(guard, server.token(client="\udfff")) == UNAVAILABLE

    def test_two_pairs_of_names_are_not_the_same_holder(self, server: SignedServer, guard: Guard) -> None:
        """However the names are cut."""
        let_in(guard, server.token(client="a,1:b", username="c"))
        for client, username in [("a", "b,1:c"), ("a,1:b,1:c", None), ("a", None)]:
            assert refused(guard, server.token(client=client, username=username)) == UNAVAILABLE

    def test_what_is_counted_otherwise_is_refused(self, server: SignedServer, guard: Guard) -> None:
        """The licence says for whom seats may be counted."""
        server.licences = [server.vendor.sign(server.vendor.pool(duplicates=["user"]))]
        assert reason(guard, server.token()) == Why.COUNTED_OTHERWISE
        by_user = {"number": 1, "counted_for": "user"}
        assert let_in(guard, server.token(seat=by_user)).client == "C1"
        assert let_in(guard, server.token(client="C2", seat=by_user)).client == "C2"
        assert refused(guard, server.token(username="Other", seat=by_user)) == UNAVAILABLE


class TestLicences:
    """What the server has installed."""

    def test_one_of_another_vendor_does_not_count(self, server: SignedServer, guard: Guard) -> None:
        """A server takes any; the vendor's keys are compiled in."""
        server.licences = [TestVendor().sign()]
        assert reason(guard, server.token()) == Why.UNKNOWN_VENDOR

    def test_another_key_under_the_name_of_the_vendors_does_not_count(
        self, server: SignedServer, guard: Guard
    ) -> None:
        """A header says what it likes."""
        other = TestVendor()
        other.kid = server.vendor.kid
        server.licences = [other.sign(server.vendor.claims())]
        assert reason(guard, server.token()) == Why.UNKNOWN_VENDOR

    @pytest.mark.parametrize(
        ("claims", "why"),
        [
            ({"tenant": "Other"}, Why.NOT_THIS_TENANT),
            ({"product": "other-api"}, Why.NOT_THIS_PRODUCT),
            ({"installation": "A" * 43}, Why.NOT_THIS_INSTALLATION),
            ({"updates_until": "2026-10-31"}, Why.UPDATES_ENDED),
            ({"must": ["customer_moods"]}, Why.UNREADABLE),
            ({"iat": START_S - 9 * DAY_S, "exp": START_S - 2 * DAY_S}, Why.LICENCE_OVER),
        ],
    )
    def test_one_for_another_place_or_time_says_so(
        self, server: SignedServer, guard: Guard, claims: dict[str, Any], why: Why
    ) -> None:
        """Each with its reason, and none lets anybody in."""
        server.licences = [server.vendor.sign(server.vendor.claims(**claims))]
        assert reason(guard, server.token()) == why

    def test_one_for_this_installation_counts(self, server: SignedServer) -> None:
        """The customer sends the hash that the product shows; without one only unbound licences count."""
        licence = server.licence()
        bound = server.vendor.claims(installation=licence.installation_hash)
        server.licences = [server.vendor.sign(bound)]
        guard, without = server.guard(licence), server.guard(server.licence(installation=None))
        assert let_in(guard, server.token()).client == "C1"
        assert reason(without, server.token()) == Why.NOT_THIS_INSTALLATION
        assert server.licence(installation=None).installation_hash is None
        guard.close()
        without.close()

    @pytest.mark.parametrize(
        "licences",
        ["eyJ", None, [1], ["eyJ"] * 257, {"a": 1}, ["x" * 300_000]],
        ids=["text", "null", "number", "many", "object", "large"],
    )
    def test_an_answer_that_is_no_list_of_licences_is_none(
        self, server: SignedServer, guard: Guard, licences: Any
    ) -> None:
        """503, as nobody knows."""
        server.licences = licences
        assert refused(guard, server.token()) == UNAVAILABLE

    def test_licences_of_one_pool_add_up(self, server: SignedServer, guard: Guard) -> None:
        """Also beside those that do not count."""
        more = server.vendor.claims(licence="C-2", pools={"full": {"seats": 2, "scopes": ["all"]}})
        server.licences = [TestVendor().sign(), server.vendor.sign(), "no licence", server.vendor.sign(more)]
        assert let_in(guard, server.token(number=27)).client == "C1"
        assert reason(guard, server.token(number=28)) == Why.BEYOND_LICENCE

    def test_a_licence_signed_with_the_vendors_other_key_counts(self, server: SignedServer) -> None:
        """Both keys are compiled in while one takes the place of the other; so with the keys of tokens."""
        old, new = server.vendor, TestVendor()
        keys = {**old.vendor.keys, **new.vendor.keys}
        both = Vendor(name="acme", product="jim2-api", keys=keys)
        guard = server.guard(server.licence(vendor=vendor_file(both)))
        assert let_in(guard, server.token()).client == "C1"
        server.licences = [new.sign(new.claims(serial=2))]
        server.time.s += 301
        assert let_in(guard, server.token()).client == "C1"
        server.time.s += 301
        assert let_in(guard, server.token()).client == "C1"
        guard.close()


class TestTimes:
    """Clocks differ by five minutes at most, as for Kerberos."""

    def test_a_token_from_the_future_is_nobodys_fault(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """299 s pass; at 301 it is 503, and the log says by how much."""
        assert let_in(guard, server.token(iat=START_S + CLOCKS_S - 1)).client == "C1"
        with caplog.at_level(logging.ERROR):
            assert refused(guard, server.token(iat=START_S + CLOCKS_S + 1)) == UNAVAILABLE
        assert "301 s in the future" in caplog.text

    def test_a_token_that_expired_is_refused(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A JWT with 401, as ever; one that a server calls active after all with 503, beyond five minutes."""
        token = server.token(iat=START_S - 400, exp=START_S - 299)
        late = server.token(iat=START_S - 400, exp=START_S - 301)
        if server.kind == "jwt":
            assert (refused(guard, token), refused(guard, late)) == (INVALID, INVALID)
            return
        assert let_in(guard, token).client == "C1"
        with caplog.at_level(logging.ERROR):
            assert refused(guard, late) == UNAVAILABLE
        assert "expired 301 s ago" in caplog.text

    def test_a_token_older_than_tokens_may_be_is_renewed(self, server: SignedServer, guard: Guard) -> None:
        """600 s are signed: a server may not issue for longer, whatever it writes into `exp`."""
        assert let_in(guard, server.token(iat=START_S - 900, exp=START_S + 10**6)).client == "C1"
        assert refused(guard, server.token(iat=START_S - 901, exp=START_S + 10**6)) == INVALID

    def test_what_counts_now_counts_no_longer_than_that(self, server: SignedServer, guard: Guard) -> None:
        """What is remembered of a token ends when the token does."""
        token = server.token(iat=START_S - 899, exp=START_S + 10**6)
        assert let_in(guard, token).client == "C1"
        server.time.s += 1
        assert let_in(guard, token).client == "C1"
        server.time.s += 1
        assert refused(guard, token) == INVALID

    def test_clocks_six_minutes_apart_are_told(
        self, server: SignedServer, time: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says which way, and by how much."""
        behind = server.guard(server.licence(wall_s=lambda: time.s - 360))
        with caplog.at_level(logging.ERROR):
            assert refused(behind, server.token()) == UNAVAILABLE
        assert "360 s in the future" in caplog.text
        behind.close()

    def test_a_clock_before_the_licence_counts_as_when_it_was_issued(
        self, server: SignedServer, time: Time
    ) -> None:
        """Nor is any older licence alive again: the newest `iat` is the least time that it can be."""
        trial = server.vendor.claims(
            licence="trial",
            iat=START_S - 40 * DAY_S,
            exp=START_S - 10 * DAY_S,
            pools={"full": {"seats": 100, "scopes": ["all"]}},
        )
        server.licences = [server.vendor.sign(trial), server.vendor.sign()]
        time.s -= 20 * DAY_S  # the trial would not be over
        guard = server.guard()
        assert let_in(guard, server.token(number=25)).client == "C1"
        assert reason(guard, server.token(number=26)) == Why.BEYOND_LICENCE
        guard.close()

    def test_a_build_is_the_least_time_as_well(self, server: SignedServer, time: Time) -> None:
        """An API was not built after today."""
        ended = server.vendor.claims(iat=START_S - 90 * DAY_S, exp=START_S - 60 * DAY_S)
        server.licences = [server.vendor.sign(ended)]
        time.s -= 80 * DAY_S
        guard = server.guard(server.licence(built=date(2026, 10, 10)))
        assert reason(guard, server.token()) == Why.LICENCE_OVER
        guard.close()

    def test_a_minute_in_2038_refuses_nobody_after_it(self, server: SignedServer, time: Time) -> None:
        """No time is remembered that a clock only said."""
        server.licences = [server.vendor.sign(server.vendor.claims(exp=START_S + 30 * DAY_S))]
        now_s = Time(0.0)
        guard = server.guard(now_s=now_s.now_s)
        time.s = 2_145_916_800
        assert reason(guard, server.token()) == Why.LICENCE_OVER
        time.s = START_S
        now_s.s += 60
        assert let_in(guard, server.token()).client == "C1"
        guard.close()

    def test_within_a_day_of_a_step_its_better_side_counts(self, server: SignedServer, time: Time) -> None:
        """Clocks differ; the server is exact."""
        server.licences = [server.vendor.sign(server.vendor.claims(exp=START_S + 10))]
        guard = server.guard()
        time.s += DAY_S
        assert let_in(guard, server.token()).client == "C1"
        time.s += 60
        assert reason(guard, server.token()) == Why.LICENCE_OVER
        guard.close()


class TestMaking:
    """What the vendor compiles in is checked when the API starts."""

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"vendor": b"{}"}, "the vendor's file has no list of keys"),
            ({"product": "other-api"}, "product is 'other-api', and vendor.json is for 'jim2-api'"),
            ({"installation": ""}, "installation must not be empty"),
        ],
    )
    def test_what_cannot_be_is_told(self, server: SignedServer, options: dict[str, Any], told: str) -> None:
        """By its name."""
        with pytest.raises(ValueError, match=told):
            server.licence(**options)

    def test_a_guard_of_jwts_needs_a_client_to_fetch_with(self, server: SignedServer) -> None:
        """Licences are not for everybody."""
        if server.kind == "jwt":
            with pytest.raises(ValueError, match="client_id and client_secret"):
                server.guard(client_id="")

    def test_it_shows_no_secret(self, server: SignedServer) -> None:
        """In a log."""
        shown = repr(server.licence())
        assert shown == f"Licence('acme', 'jim2-api', built={BUILT})"
        assert INSTALLATION not in shown


def test_every_byte_of_a_licence_counts(time: Time) -> None:
    """One that was changed in any is no licence: the guard that fetches it lets nobody in."""
    vendor = TestVendor()
    text = vendor.sign()
    place = Place(vendor.vendor, "Jim_Test", None, BUILT)
    assert len(read_all([text], place)[0]) == 1
    for at in range(len(text)):
        flipped = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        good, passed = read_all([flipped], place)
        assert not good, at
        assert [it.why for it in passed] == [Why.UNKNOWN_VENDOR], at


def test_a_licence_is_no_access_token_and_an_access_token_no_licence(time: Time) -> None:
    """Their types keep them apart."""
    with Site() as site:
        server = SignedServer(site, time, "jwt")
        guard = server.guard()
        assert refused(guard, server.vendor.sign()) == INVALID
        server.licences = [server.token()]
        assert reason(guard, server.token()) == Why.UNKNOWN_VENDOR
        guard.close()
