"""`licet.testing`: the server, its clock, its switches and its tenants, by the fixtures themselves."""

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.client import NoSeatAvailable, ServerUnreachable, SessionClosed, TokenRefused
from licet.model import Duplicates, InvalidValue
from licet.testing import LicetServer, LicetServerFactory, LicetTenant, process
from licet.testing.process import NotStarted
from support.server.nursery import has_forked
from support.waiting import until
from support.web.http_site import Site, says

NEVER_S = 3600.0  # an answer that late never comes; no test waits for it
SOON = timedelta(milliseconds=50)


@pytest.fixture(scope="module", autouse=True)
def _forked() -> Iterator[None]:
    """Servers are forked here; the plugin's own tests start them as programs (test_testing_plugin.py)."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        has_forked(monkeypatch, process)
        yield


@pytest.fixture(scope="module")
def api() -> Iterator[Site]:
    """An API that takes everybody."""
    with Site() as site:
        site.answer = lambda _: says(200, {})
        yield site


def ask(tenant: LicetTenant, endpoint: str, client_id: str, **form: str) -> httpx.Response:
    """The answer to a client that sends this form."""
    name, secret = tenant.credentials(client_id)
    content = {"client_id": name, "client_secret": secret, **form}
    return httpx.post(f"{tenant.url}/{endpoint}", data=content)


def grant(tenant: LicetTenant, client_id: str = "TestClientId", **form: str) -> httpx.Response:
    """The answer to a client that asks for a token."""
    return ask(tenant, "token", client_id, grant_type="client_credentials", **form)


def is_live(tenant: LicetTenant, token: str) -> bool:
    """Whether an API is told that a token lives."""
    live: bool = tenant.introspect(token)["active"]
    return live


def call(tenant: LicetTenant, api: Site, client_id: str = "TestClientId", **options: Any) -> httpx.Response:
    """A request to the API by a program of this client."""
    auth = tenant.auth(client_id, api=api.url, **options)
    with auth, httpx.Client(auth=auth) as http:
        return http.get(api.url)


class TestTenants:
    """What a test sets up, and what it sees of it."""

    def test_the_endpoints_are_where_the_tenant_says(self, licet_tenant: LicetTenant) -> None:
        """RFC 8414: as its metadata have it."""
        metadata = httpx.get(licet_tenant.metadata_url).json()
        assert metadata["issuer"] == licet_tenant.url
        assert metadata["token_endpoint"] == licet_tenant.token_url
        assert metadata["introspection_endpoint"] == licet_tenant.introspect_url
        assert httpx.post(licet_tenant.logoff_url).status_code == 401

    def test_a_tenant_has_the_seats_and_clients_that_the_test_chose(self, licet: LicetServer) -> None:
        """And a client `Api` that may introspect."""
        tenant = licet.tenant("Small", seats=1, clients=["Alpha", "Beta"])
        assert tenant.secrets.keys() == {"Alpha", "Beta", "Api"}
        assert grant(tenant, "Alpha").status_code == 200
        assert grant(tenant, "Beta").json()["seats"] == 1

    @pytest.mark.licet("Marked", seats=2, clients=["Alpha"], no_seat_status=429)
    def test_a_marker_says_which_tenant_a_test_has(self, licet_tenant: LicetTenant) -> None:
        """The arguments are those of `LicetServer.tenant`, the settings of a tenant among them."""
        assert licet_tenant.name == "Marked"
        with licet_tenant.full_pool():
            assert grant(licet_tenant, "Alpha").status_code == 429

    def test_a_secret_may_have_every_sign_that_programs_get_wrong(self, licet: LicetServer) -> None:
        """RFC 6749 2.3.1: in the header, id and secret are encoded as in a form."""
        tenant = licet.tenant(clients={"Alpha & Söhne": "100 % a+b:c"})
        assert grant(tenant, "Alpha & Söhne").status_code == 200

    def test_two_clients_may_share_a_user(self, licet: LicetServer) -> None:
        """L2: `duplicates user`."""
        tenant = licet.tenant(seats=1, clients=[], duplicates="user")
        for client_id in ("Alpha", "Beta"):
            tenant.add_client(client_id, user="AB")
            assert grant(tenant, client_id).status_code == 200
        assert tenant.seats_in_use == 1

    def test_a_user_has_one_password(self, licet_tenant: LicetTenant) -> None:
        """The seed: it is the secret of all its clients."""
        licet_tenant.add_client("Alpha", "the first password", user="AB")
        with pytest.raises(InvalidValue, match="has a password already"):
            licet_tenant.add_client("Beta", "another password", user="AB")

    def test_a_client_without_a_user_gets_one_that_nobody_else_is(self, licet: LicetServer) -> None:
        """Whatever initials a test has given away itself."""
        tenant = licet.tenant(clients=[], apis=[])
        tenant.add_client("Alpha", "the first password", user="001")
        tenant.add_client("Beta", "another password")
        assert grant(tenant, "Beta").status_code == 200

    def test_a_client_that_is_not_there_is_told_with_those_that_are(self, licet_tenant: LicetTenant) -> None:
        """A misspelt name is no puzzle."""
        with pytest.raises(LookupError, match="there is: Api, TestClientId"):
            licet_tenant.auth("Testclientid", api="http://127.0.0.1")

    def test_sessions_and_seats_are_seen_as_they_are(self, licet_tenant: LicetTenant) -> None:
        """L1: a read-only token takes no seat."""
        licet_tenant.token("TestClientId")
        licet_tenant.token("Api", scope="view")
        assert {(it.client_id, it.scope) for it in licet_tenant.sessions()} == {
            ("TestClientId", "all"),
            ("Api", "view"),
        }
        assert [it.scope for it in licet_tenant.sessions("Api")] == ["view"]
        assert licet_tenant.seats_in_use == 1

    def test_a_change_counts_for_the_next_request(self, licet_tenant: LicetTenant) -> None:
        """No server looks that soon by itself."""
        for enabled, status in ((False, 401), (True, 200), (False, 401)):
            licet_tenant.set_client("TestClientId", enabled=enabled)
            assert grant(licet_tenant).status_code == status

    def test_anything_else_of_a_tenant_can_be_changed(self, licet_tenant: LicetTenant) -> None:
        """What has no word of its own here."""
        with licet_tenant.changing() as setup:
            setup.add_scope("reports", read_only=True)
        assert grant(licet_tenant, scope="reports").json()["scope"] == "reports"

    def test_what_shows_a_tenant_shows_no_secret(self, licet: LicetServer) -> None:
        """Nor what shows its server or its authentication."""
        tenant = licet.tenant(clients={"Alpha": "a secret to look for"})
        auth = tenant.auth("Alpha", api="http://127.0.0.1")
        assert "a secret to look for" not in f"{tenant!r} {licet!r} {auth!r} {licet.log()}"

    def test_a_token_that_is_refused_is_an_error_that_says_why(self, licet_tenant: LicetTenant) -> None:
        """With all that the server answered."""
        with licet_tenant.full_pool(), pytest.raises(RuntimeError, match=r"400 .*all_in_use"):
            licet_tenant.token("TestClientId")
        with pytest.raises(RuntimeError, match="TestClientId may not ask"):
            licet_tenant.introspect("lca_0", "TestClientId")


class TestSeats:
    """The switches of a tenant."""

    @pytest.mark.parametrize("duplicates", list(Duplicates))
    def test_a_full_pool_is_full_until_the_block_ends(
        self, licet: LicetServer, api: Site, duplicates: Duplicates
    ) -> None:
        """L1. The program is told so, and the denial is there to be looked at."""
        tenant = licet.tenant(seats=2, duplicates=duplicates)
        with tenant.full_pool():
            assert tenant.seats_in_use == 2
            with pytest.raises(NoSeatAvailable) as raised:
                call(tenant, api)
        assert (raised.value.reason, raised.value.in_use) == ("all_in_use", 2)
        assert tenant.seats_in_use == 0
        assert call(tenant, api).status_code == 200
        assert [(it.client_id, it.reason, it.times) for it in tenant.denials()] == [
            ("TestClientId", "all_in_use", 1)
        ]

    def test_who_has_a_seat_keeps_it_when_the_pool_gets_full(self, licet_tenant: LicetTenant) -> None:
        """L2: the same client asks again, and shares its seat."""
        token = licet_tenant.token("TestClientId")
        with licet_tenant.full_pool():
            assert grant(licet_tenant).status_code == 200
            assert is_live(licet_tenant, token)
        assert licet_tenant.seats_in_use == 1

    def test_a_full_pool_tells_exactly_when_a_seat_may_be_free(self, licet_tenant: LicetTenant) -> None:
        """L3: time stands still."""
        with licet_tenant.full_pool():
            assert grant(licet_tenant).json()["retry_after"] == 1200

    def test_a_pool_can_be_made_full_again(self, licet_tenant: LicetTenant) -> None:
        """The others come back."""
        for _ in range(2):
            with licet_tenant.full_pool():
                assert grant(licet_tenant).status_code == 400
            assert grant(licet_tenant).status_code == 200
            licet_tenant.end_sessions()

    def test_a_pool_without_a_free_seat_is_full_already(self, licet: LicetServer) -> None:
        """L1: nobody is added to it."""
        tenant = licet.tenant(seats=0)
        with tenant.full_pool():
            assert grant(tenant).json()["reason"] == "no_seats"

    def test_who_waits_in_line_gets_a_seat_when_the_block_ends(
        self, licet_tenant: LicetTenant, api: Site
    ) -> None:
        """L19: a program that waits for a seat can be tested, and who waits be looked at."""
        licet_tenant.set_pool(queue=5)
        auth = licet_tenant.auth("TestClientId", api=api.url, queue=True, wait_for_seat=timedelta(minutes=1))
        with ThreadPoolExecutor(1) as thread, httpx.Client(auth=auth) as program:
            with licet_tenant.full_pool():
                called = thread.submit(program.get, api.url)
                until(lambda: bool(licet_tenant.waiting()))
                [waiting] = licet_tenant.waiting()
                assert (waiting.client_id, waiting.place) == ("TestClientId", 1)
            assert called.result().status_code == 200
        assert licet_tenant.waiting() == ()

    def test_a_licence_can_expire_for_a_block(self, licet_tenant: LicetTenant) -> None:
        """L7: it ends the sessions on its seats, and `view` goes on working."""
        token = licet_tenant.token("TestClientId")
        with licet_tenant.licence_expired():
            assert grant(licet_tenant).json()["reason"] == "licence_expired"
            assert grant(licet_tenant, scope="view").status_code == 200
            assert not is_live(licet_tenant, token)
        assert grant(licet_tenant).status_code == 200

    def test_an_administrator_ends_one_session_or_all(self, licet_tenant: LicetTenant) -> None:
        """L4: the seats are free at once."""
        tokens = [licet_tenant.token("TestClientId"), licet_tenant.token("Api")]
        licet_tenant.end_session(licet_tenant.sessions("Api")[0], reason="it hangs")
        assert [is_live(licet_tenant, it) for it in tokens] == [True, False]
        assert licet_tenant.end_sessions() == 1
        assert licet_tenant.seats_in_use == 0
        assert licet_tenant.end_sessions("TestClientId") == 0

    def test_settings_have_the_names_of_the_admin_api(self, licet_tenant: LicetTenant) -> None:
        """One name for a value, wherever it is said: `max_sessions` here as there."""
        licet_tenant.add_client("Often", "the first password", max_sessions=1)
        tokens = [licet_tenant.token("Often") for _ in range(2)]
        assert [is_live(licet_tenant, it) for it in tokens] == [False, True]
        licet_tenant.set_client("Often", max_sessions=2)
        tokens.append(licet_tenant.token("Often"))
        assert [is_live(licet_tenant, it) for it in tokens] == [False, True, True]

    def test_a_client_can_be_kept_off_the_seats(self, licet: LicetServer, licet_tenant: LicetTenant) -> None:
        """L12."""
        licet_tenant.suspend("TestClientId", minutes=5)
        assert grant(licet_tenant).json()["reason"] == "suspended"
        licet.clock.advance(minutes=5)
        assert grant(licet_tenant).status_code == 200
        licet_tenant.suspend("TestClientId", hours=1)
        licet_tenant.resume("TestClientId")
        assert grant(licet_tenant).status_code == 200


class TestClock:
    """Time stands still, and moves when the test says so."""

    def test_a_session_expires_when_its_time_is_over_and_not_before(
        self, licet: LicetServer, licet_tenant: LicetTenant
    ) -> None:
        """L3: 20 minutes, to the millisecond."""
        licet_tenant.token("TestClientId")
        licet.clock.advance(minutes=19, seconds=59.999)
        assert licet_tenant.seats_in_use == 1
        licet.clock.advance(seconds=0.001)
        assert licet_tenant.seats_in_use == 0
        assert not licet_tenant.sessions()

    def test_days_and_hours_are_as_long_as_they_are(self, licet: LicetServer) -> None:
        """In milliseconds."""
        before_ms = licet.clock.now_ms()
        licet.clock.advance(days=1, hours=1)
        assert licet.clock.now_ms() - before_ms == 25 * 3_600_000

    def test_it_never_goes_back(self, licet: LicetServer) -> None:
        """A seat's life is measured with it."""
        with pytest.raises(ValueError, match="never goes back"):
            licet.clock.advance(seconds=-1)


class TestSwitches:
    """What goes wrong when a test wants it to."""

    def test_a_store_that_is_down_is_answered_503_and_never_401(self, licet_tenant: LicetTenant) -> None:
        """Product 3.2. The seat that was held is held when it is back."""
        token = licet_tenant.token("TestClientId")
        with licet_tenant.server.store_down():
            for answer in (
                grant(licet_tenant),
                ask(licet_tenant, "introspect", "Api", token=token),
                httpx.post(licet_tenant.logoff_url, headers={"Authorization": f"Bearer {token}"}),
            ):
                assert (answer.status_code, answer.json()["error"]) == (503, "server_error")
                assert int(answer.headers["retry-after"]) >= 1
        assert is_live(licet_tenant, token)
        assert licet_tenant.seats_in_use == 1

    def test_a_program_is_told_that_the_store_is_down(
        self, licet: LicetServer, licet_tenant: LicetTenant, api: Site
    ) -> None:
        """Not that its secret is wrong."""
        with licet.store_down(), pytest.raises(TokenRefused) as raised:
            call(licet_tenant, api)
        assert raised.value.status == 503

    def test_a_store_that_is_down_cannot_be_looked_at_or_taken_down(self, licet_tenant: LicetTenant) -> None:
        """The test has asked in the wrong place, and is told so."""
        licet = licet_tenant.server
        with licet.store_down():
            with pytest.raises(RuntimeError, match="before the block of store_down"):
                _ = licet_tenant.seats_in_use
            with pytest.raises(RuntimeError, match="down already"):
                licet.store_down().__enter__()
        assert licet_tenant.seats_in_use == 0

    def test_a_slow_server_is_one_that_a_program_gives_up(
        self, licet: LicetServer, licet_tenant: LicetTenant, api: Site
    ) -> None:
        """The program does not know it, but it has a seat."""
        with licet.slow(seconds=NEVER_S):
            while (
                licet_tenant.seats_in_use == 0
            ):  # a busy server may not have begun when the program gives up
                with pytest.raises(ServerUnreachable):
                    call(licet_tenant, api, timeout=SOON)
        assert licet_tenant.seats_in_use == 1
        assert call(licet_tenant, api).status_code == 200

    def test_an_answer_that_is_late_comes(self, licet: LicetServer, licet_tenant: LicetTenant) -> None:
        """Within the patience of who asked."""
        with licet.slow(seconds=0.01):
            assert grant(licet_tenant).status_code == 200

    def test_a_silent_server_answers_when_the_block_ends(
        self, licet: LicetServer, licet_tenant: LicetTenant
    ) -> None:
        """What was asked for is done in the meantime."""
        with ThreadPoolExecutor() as pool:
            with licet.silent() as silence:
                answers = [pool.submit(grant, licet_tenant, it) for it in ("TestClientId", "Api")]
                silence.wait_for_answers(2)
                assert licet_tenant.seats_in_use == 2
                assert not any(it.done() for it in answers)
            assert [it.result().status_code for it in answers] == [200, 200]

    def test_a_silence_shows_how_many_asked(
        self, licet: LicetServer, licet_tenant: LicetTenant, api: Site
    ) -> None:
        """Of the threads of a program, one asks for all."""
        ready = threading.Barrier(5)
        auth = licet_tenant.auth("TestClientId", api=api.url)

        def work() -> int:
            ready.wait()
            with httpx.Client(auth=auth) as http:
                return http.get(api.url).status_code

        with ThreadPoolExecutor(5) as pool:
            with licet.silent() as silence:
                calls = [pool.submit(work) for _ in range(5)]
                silence.wait_for_answers()
            assert {it.result() for it in calls} == {200}
            assert silence.answers == 1

    def test_a_silence_in_which_nobody_asks_is_told(self, licet: LicetServer) -> None:
        """A test does not wait for ever."""
        with licet.silent() as silence, pytest.raises(TimeoutError, match="0 of 1 requests"):
            silence.wait_for_answers(within_s=0)

    def test_a_server_that_is_stopped_is_there_again_with_all_that_it_had(
        self, licet: LicetServer, licet_tenant: LicetTenant
    ) -> None:
        """L9; at the same port."""
        token = licet_tenant.token("TestClientId")
        with licet.stopped(), pytest.raises(httpx.ConnectError):
            grant(licet_tenant)
        assert is_live(licet_tenant, token)


class TestServersOfTheirOwn:
    """`licet_server_factory`, and the server without pytest."""

    def test_a_server_has_the_settings_of_its_test(self, licet_server_factory: LicetServerFactory) -> None:
        """As in licet.toml; and the clock of the machine, if wanted."""
        with licet_server_factory(manual_clock=False, login_failures_per_client_max=1) as server:
            tenant = server.tenant()
            statuses = [httpx.post(tenant.token_url, auth=("TestClientId", "wrong")).status_code]
            form = {"grant_type": "client_credentials"}
            statuses += [
                httpx.post(tenant.token_url, auth=("TestClientId", "wrong"), data=form).status_code
                for _ in range(2)
            ]
            assert statuses == [400, 401, 429]
            with pytest.raises(RuntimeError, match="manual_clock=False"):
                _ = server.clock

    def test_what_the_test_forgets_is_cleared_away(self, tmp_path: Path, api: Site) -> None:
        """Switches, sessions, tenants; a program that is still logged on is logged off."""
        with LicetServer(tmp_path) as server:
            tenant = server.tenant()
            auth = tenant.auth("TestClientId", api=api.url)
            with httpx.Client(auth=auth) as http:
                http.get(api.url)
                switch = server.silent()
                switch.__enter__()
                server.clear()
                with pytest.raises(SessionClosed):
                    http.get(api.url)
            assert httpx.get(tenant.metadata_url).status_code == 404
            with pytest.raises(RuntimeError, match="was removed"):
                tenant.sessions()
            assert grant(server.tenant()).status_code == 200

    def test_what_it_set_up_by_itself_is_cleared_away_as_well(self, tmp_path: Path) -> None:
        """A tenant that it added or removed in a change of its own."""
        with LicetServer(tmp_path) as server:
            server.tenant("Removed")
            with server.changing() as change:
                change.add_tenant("Added", seats=1)
                change.remove_tenant("Removed")
            server.clear()
            server.store.refresh_tenants()
            assert server.store.tenants() == {}
            assert server.tenant("Added").seats_in_use == 0

    def test_a_server_that_does_not_start_shows_why(self, tmp_path: Path) -> None:
        """The end of its log."""
        with pytest.raises(NotStarted, match="CONNECTIONS_MAX: '0' is too small"):
            LicetServer(tmp_path, connections_max=0)

    def test_what_the_tests_inherit_changes_no_server(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Variables of another Licet, warnings as errors, a file of the tests with a name of Python's."""
        monkeypatch.setattr(process, "subprocess", subprocess)  # it is a program here
        monkeypatch.setenv("LICET_STORE", "postgresql://nobody@127.0.0.1:1/licet")
        monkeypatch.setenv("PYTHONWARNINGS", "error")
        (tmp_path / "secrets.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        with LicetServer(tmp_path) as server:
            assert grant(server.tenant()).status_code == 200
