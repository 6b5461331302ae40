"""Sharing is visible: a seat knows from how many addresses it is used, and an alert says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.alerts.mail_sender import subject
from licet.alerts.raised import raised
from licet.alerts.shared_seats import REPORTED_MAX
from licet.journal.denials import holders_at
from licet.ledger.commands import Grant, Granted, Refresh
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import ALERTS, InvalidValue, read_alerts, shared_from
from licet.seat_sources import SOURCES_MAX, addresses, counted_addresses, most_addresses, used_from
from licet.setup.change import changing
from licet.store import schema
from licet.units import DAY_MS
from support.admin.dashboard import DashboardSite
from support.alerts.watched import Watched
from support.cli.cli_site import CommandLine
from support.server.running import PATIENCE_S
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

PASSWORD = "password"
MORE = SOURCES_MAX + 1


class TestSources:
    """The text in a seat's row."""

    def test_each_address_counts_once_a_day(self) -> None:
        """In the order in which they came."""
        sources = ""
        for source in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::/64", "192.0.2.2"):
            sources = used_from(sources, source, START_MS)
        assert sources == f"{START_MS // DAY_MS}/0 192.0.2.1 192.0.2.2 2001:db8::/64"
        assert (addresses(sources), most_addresses(sources)) == (3, 3)

    def test_another_day_begins_anew_and_the_most_is_kept(self) -> None:
        """A machine that is given another address each night is one machine."""
        sources = ""
        for day in range(30):
            sources = used_from(sources, f"192.0.2.{day}", START_MS + day * DAY_MS)
            assert addresses(sources) == 1
        for number in range(3):
            sources = used_from(sources, f"198.51.100.{number}", START_MS + 40 * DAY_MS)
        sources = used_from(sources, "192.0.2.1", START_MS + 41 * DAY_MS)
        assert (addresses(sources), most_addresses(sources)) == (1, 3)

    def test_a_clock_that_is_behind_at_midnight_takes_nothing_away(self) -> None:
        """Two nodes differ by a moment: the later day goes on."""
        midnight_ms = (START_MS // DAY_MS + 1) * DAY_MS
        sources = used_from("", "192.0.2.1", midnight_ms)
        sources = used_from(sources, "192.0.2.2", midnight_ms - 1)
        assert addresses(sources) == 2

    def test_what_has_no_address_is_not_counted(self) -> None:
        """A command that a test makes, or a node of the version before."""
        assert used_from("", "", START_MS) == ""
        assert (addresses(""), most_addresses("")) == (0, 0)

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60))
    def test_it_is_bounded_and_agrees_with_counting(self, asked: list[tuple[int, int]]) -> None:
        """However many addresses and days: 16, and that there were more."""
        sources, day, seen, most = "", 0, set[int](), 0
        for days, number in asked:
            if days:
                day, seen = day + days, set()
            seen.add(number)
            most = max(most, min(len(seen), MORE))
            sources = used_from(sources, f"2001:db8:ffff:{number:x}::/64", START_MS + day * DAY_MS)
            assert addresses(sources) == min(len(seen), MORE)
        assert most_addresses(sources) == most
        assert len(sources) < 600

    def test_more_than_it_keeps_is_said_to_be_more(self) -> None:
        """As a person reads it."""
        assert [counted_addresses(it) for it in (1, SOURCES_MAX, MORE)] == ["1", "16", "16+"]


class TestWords:
    """`shared:5` among a pool's alerts."""

    def test_no_pool_has_it_by_itself(self) -> None:
        """An office behind one address and a roaming machine are no sharing."""
        assert shared_from(ALERTS) is None

    def test_it_is_one_word_with_its_number(self) -> None:
        """In order, behind the others."""
        assert read_alerts("shared:5, 80%, denied") == ("80", "denied", "shared:5")
        assert shared_from(read_alerts("denied shared:16")) == 16

    @pytest.mark.parametrize(
        "text", ["shared", "shared:", "shared:1", "shared:17", "shared:05", "shared:5 shared:6", "shared:-1"]
    )
    def test_any_other_number_is_refused(self, text: str) -> None:
        """One address is no sharing, and more than 16 are not counted."""
        with pytest.raises(InvalidValue, match='"shared:2" to "shared:16"'):
            read_alerts(text)


class Shared(Watched):
    """A site whose clients ask from addresses of a test's choice; its pool reports from three on."""

    def from_address(self, client_id: str, address: str, granted: Granted | None = None) -> Granted:
        """A client is granted a session from this address, or renews this one."""
        tenant = self.tenant
        client = tenant.clients[client_id]
        command: Grant | Refresh
        if granted is None:
            scope = resolve_scope(tenant, client, ())
            assert isinstance(scope, ScopeGrant)
            command = Grant(
                tenant_id=tenant.id,
                client_key=client.key,
                sid=next(self._sids).to_bytes(20, "big"),
                scope=scope.scope,
                pool_id=scope.pool_id,
                address=address,
            )
        else:
            command = Refresh(
                tenant_id=tenant.id, client_key=client.key, sid=granted.session.sid, address=address
            )
        outcome = self.commit(command)
        assert isinstance(outcome, Granted)
        return outcome

    def share(self, client_id: str, number: int, first: int = 1) -> Granted:
        """A client's session is renewed from so many addresses."""
        granted = self.from_address(client_id, f"192.0.2.{first}")
        for host in range(first + 1, first + number):
            self.from_address(client_id, f"192.0.2.{host}", granted)
        return granted

    def alerts(self, text: str) -> None:
        """What is reported of the pool."""
        with changing(self.store, ADA) as change:
            change.tenant(JIM).set_pool("full", alerts=read_alerts(text))

    def shared(self) -> list[tuple[str | None, int | None]]:
        """What is raised now."""
        tenant = self.tenant
        with self.store.reading() as connection:
            found = raised(connection, [tenant], self.clock.now_ms())
        return [(it.client_id, it.addresses) for it in found if it.threshold == "shared"]


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Shared]:
    found = Shared(make_place(START_MS))
    found.begin(seats=50, clients=30)
    found.alerts("shared:3")
    yield found
    found.close()


class TestSeat:
    """What the ledger notes with each token, on every store."""

    def test_grants_and_refreshes_count(self, site: Shared) -> None:
        """A session that shares the seat, and a refresh; an IPv6 address by its /64."""
        granted = site.from_address("c1", "192.0.2.1")
        site.from_address("c1", "2001:db8::1")
        site.from_address("c1", "2001:db8::2", granted)
        site.from_address("c1", "192.0.2.1", granted)
        [seat] = site.rows(schema.seat)
        assert seat.sources.split(" ")[1:] == ["192.0.2.1", "2001:db8::/64"]

    def test_a_seat_that_came_back_leaves_the_most_that_there_were(self, site: Shared) -> None:
        """Holdings have it, also of several in one minute."""
        site.give_back(site.share("c1", 4))
        site.give_back(site.share("c1", 2))
        now_ms = site.clock.now_ms()
        assert [row.addresses for row in site.rows(schema.holding)] == [4]
        site.clock.advance(seconds=60)
        site.share("c2", 20)
        with site.store.reporting() as connection:
            at_ms = now_ms + 60_000
            [holder] = holders_at(connection, site.tenant, "full", at_ms, now_ms=at_ms)
        assert (holder.client_id, holder.addresses) == ("c2", MORE)


class TestAlert:
    """`pool.seat_shared`."""

    def test_it_is_told_once_with_the_client_and_the_number(self, site: Shared) -> None:
        """Each seat by itself."""
        site.share("c1", 2)
        assert site.told() == []
        site.share("c2", 3)
        [(type_, data)] = site.told()
        assert (type_, data) == (
            "pool.seat_shared",
            {
                "tenant": JIM,
                "pool": "full",
                "seats": 50,
                "in_use": 2,
                "client": "c2",
                "addresses": 3,
                "threshold": 3,
            },
        )
        assert site.told(seconds=5) == []
        assert site.shared() == [("c2", 3)]
        site.share("c1", 3)
        assert [data["client"] for _, data in site.told()] == ["c1"]

    def test_an_email_says_it_in_its_subject(self) -> None:
        """Of more than 16 that there are more."""
        data = {"tenant": JIM, "pool": "full", "client": "c1", "addresses": MORE}
        told = f"{JIM}, pool full: a seat of client c1 was used from 16+ addresses in a day"
        assert subject("pool.seat_shared", data) == told

    def test_a_pool_that_does_not_say_so_tells_nothing(self, site: Shared) -> None:
        """Off by default, and over when it is taken away."""
        site.share("c1", 9)
        site.told()
        site.alerts("80 denied")
        assert site.told() == []
        assert site.shared() == []
        site.alerts("shared:10")
        assert site.told() == []
        site.alerts("shared:9")
        assert len(site.told()) == 1

    def test_it_is_over_when_the_seat_is_gone(self, site: Shared) -> None:
        """And told again when it happens again."""
        granted = site.share("c1", 3)
        assert len(site.told()) == 1
        site.give_back(granted)
        assert site.told() == []
        assert site.shared() == []
        assert site.rows(schema.shared_seat) == []
        site.share("c1", 3)
        assert len(site.told()) == 1

    def test_it_is_over_when_the_seat_has_expired_swept_or_not(self, site: Shared) -> None:
        """L4."""
        site.share("c1", 3)
        site.told()
        assert site.told(seconds=1201) == []
        assert site.shared() == []

    def test_what_goes_on_is_told_each_day(self, site: Shared) -> None:
        """After a day it is over; what is still shared on that day is told again."""
        granted = site.share("c1", 3)
        site.told()
        for _ in range(73):  # a day and a bit, renewed every 20 minutes
            site.clock.advance(seconds=1190)
            site.from_address("c1", "192.0.2.1", granted)
        assert site.told() == []
        assert site.shared() == []  # On this day it was one address.
        for number in (2, 3, 4):
            site.from_address("c1", f"192.0.2.{number}", granted)
        assert [data["addresses"] for _, data in site.told()] == [4]

    def test_of_many_at_once_so_many_are_told_and_the_others_with_the_next_look(self, site: Shared) -> None:
        """Those with the most addresses first."""
        for number in range(1, REPORTED_MAX + 4):
            site.share(f"c{number}", 4 if number == 7 else 3)
        first = [data["client"] for _, data in site.told()]
        assert (len(first), "c7" in first) == (REPORTED_MAX, True)
        assert len(site.told()) == 3
        assert site.told() == []

    def test_a_pool_takes_what_was_reported_of_it_along(self, site: Shared) -> None:
        """Nothing points at a pool that is gone."""
        site.share("c1", 3)
        site.told()
        with changing(site.store, ADA) as change:
            change.remove_tenant(JIM)
        assert site.rows(schema.shared_seat) == []

    def test_code_of_the_schema_before_reads_no_word_that_it_does_not_know(self, site: Shared) -> None:
        """A rolling upgrade: it would not know what to do with the pool."""
        site.alerts("80 denied expires shared:5")
        assert (site.pool().alerts, site.pool().alerts_more) == ("80 denied", "expires shared:5")
        assert site.tenant.pool_named("full").alerts == ("80", "denied", "expires", "shared:5")  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One client that passed its refresh token on to three machines, and one that did not."""
    with DashboardSite(tmp_path_factory.mktemp("shared")) as server:
        refresh_token = ""
        for number in range(1, 5):
            with machine(server, number) as http:
                form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
                asked = form if refresh_token else {"grant_type": "client_credentials"}
                answer = http.post("/Jim_Test/token", data=asked, auth=("TestClientId", PASSWORD))
                assert answer.status_code == 200, answer.text
                refresh_token = answer.json()["refresh_token"]
        with machine(server, 1) as http:
            alone = {"grant_type": "client_credentials"}
            http.post("/Jim_Test/token", data=alone, auth=("Client1", PASSWORD)).raise_for_status()
        yield server


class TestServed:
    """At a server: a client's tokens on several machines, which are addresses of this one here."""

    def test_the_api_says_from_how_many_addresses_a_seat_is_used(self, server: DashboardSite) -> None:
        """`GET /tenants/{tenant}/seats`."""
        with server.reader("vera") as vera:
            [pool] = vera.get("/api/v1/tenants/Jim_Test/seats").json()["pools"]
        assert {it["client_id"]: it["addresses"] for it in pool["in_use_by"]} == {
            "TestClientId": 4,
            "Client1": 1,
        }

    def test_the_page_of_seats_shows_it_where_there_are_several(self, server: DashboardSite) -> None:
        """One address is not worth a word."""
        with server.reader("vera") as vera:
            page = vera.get("/seats").text
        assert page.count(" addresses</span>") == 1
        assert ">4 addresses</span>" in page

    def test_the_command_line_shows_it(self, server: DashboardSite) -> None:
        """`licet seats`, for a pipe and as JSON."""
        cli = CommandLine(server.data)
        told = {
            line.split()[-1]: line.split()[-2] for line in cli.out("seats").splitlines() if "client:" in line
        }
        assert told == {"client:TestClientId": "4", "client:Client1": "1"}
        [pool] = cli.json("seats")["pools"]
        assert {it["client_id"]: it["addresses"] for it in pool["in_use_by"]} == {
            "TestClientId": 4,
            "Client1": 1,
        }

    def test_who_held_a_seat_has_it_too(self, server: DashboardSite) -> None:
        """Beside the denials: who had the seats then."""
        with server.reader("vera") as vera:
            now = vera.get("/api/v1/tenants/Jim_Test/seats").json()["at"]
            path = f"/api/v1/tenants/Jim_Test/holders?pool=full&at={now}"
            found = {it["client_id"]: it["addresses"] for it in vera.get(path).json()["items"]}
            now_ms = round(datetime.fromisoformat(now).timestamp() * 1000)
            page = vera.get(f"/denials/holders?tenant=Jim_Test&pool=full&at={now_ms}").text
        assert found == {"TestClientId": 4, "Client1": 1}
        assert '<td class="number" data-label="Addresses" >4</td>' in " ".join(page.split())

    def test_the_alert_is_seen_on_the_page_and_the_command_line(self, server: DashboardSite) -> None:
        """`licet pool set --alerts`, and what a look finds."""
        from licet.alerts.evaluation import look  # noqa: PLC0415 - a server does it by itself, in its own time

        cli = CommandLine(server.data)
        cli.out("pool", "set", "full", "--alerts", "80 shared:4")
        with server.store() as store:
            look(store)
        [alert] = cli.json("alerts")
        assert alert["alert"] == "TestClientId: 4 addresses"
        with server.reader("vera") as vera:
            page = vera.get("/alerts").text
            assert "TestClientId: used from 4 addresses in a day" in page
            [found] = vera.get("/api/v1/alerts").json()["items"]
        assert (found["threshold"], found["client_id"], found["addresses"]) == ("shared", "TestClientId", 4)


@contextmanager
def machine(server: Any, number: int) -> Iterator[httpx.Client]:
    """A client on another address of this machine."""
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{number}")
    with httpx.Client(base_url=server.url, transport=transport, timeout=PATIENCE_S) as http:
        yield http
