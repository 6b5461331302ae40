"""The outbox: messages arrive at least once, in any number of attempts over three days, or are given up."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from licet.accounts.account import NotYours
from licet.alerts.deliveries import DeliveryPage, State, counts, deliveries
from licet.alerts.outbox import (
    ATTEMPTS_MAX,
    CLAIM_MS,
    PAUSES_S,
    WAITING_MAX,
    Attempt,
    Message,
    claim,
    put,
    record_attempt,
)
from licet.alerts.webhooks import WEBHOOKS_MAX, Webhook, changing, find_webhook, redeliver, webhooks
from licet.journal.retention import remove_aged
from licet.model import InvalidValue
from licet.setup.change import changing as changing_setup
from licet.store import schema
from licet.store.contract import Purpose
from licet.store.errors import NotFound, StillInUse
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

URL = "https://alerts.example.com/hooks/s3cret"


class Outbox(Site):
    """A site, and what waits in its outbox."""

    def begin(self, *, seats: int = 5, clients: int = 1) -> None:
        """The tenants `Jim_Test` and `Other`."""
        super().begin(seats=seats, clients=clients)
        with changing_setup(self.store, ADA) as change:
            change.add_tenant("Other", seats=1)

    def add(self, url: str = URL, tenant_id: int | None = None) -> Webhook:
        """One more webhook."""
        with changing(self.store, ADA) as change:
            return change.add(url, tenant_id=tenant_id)

    def put(self, *webhook_ids: str, times: int = 1) -> list[str]:
        """Queue so many messages for each of these, one a second."""
        ids = []
        for _ in range(times):
            with self.store.transaction(Purpose.UPKEEP) as transaction:
                ids += put(
                    transaction.connection,
                    webhook_ids=webhook_ids,
                    tenant_id=self.tenant_id,
                    type="pool.denied",
                    payload="{}",
                    now_ms=transaction.now_ms,
                )
            self.advance(1)
        return ids

    @property
    def tenant_id(self) -> int:
        """The id of `Jim_Test`."""
        tenant = self.store.tenant(JIM)
        assert tenant is not None
        return tenant.id

    def claim(self, *busy: str) -> list[Message]:
        """What is due."""
        return claim(self.store, busy)

    def advance(self, seconds: float) -> None:
        """Time goes on, and the store hears of it."""
        self.clock.advance(seconds=seconds)
        self.store.probe()

    def page(self, **only: Any) -> DeliveryPage:
        """A page of the list."""
        with self.store.reading() as connection:
            return deliveries(connection, **only)

    def states(self) -> list[State]:
        """How far the messages are, newest first."""
        return [it.state for it in self.page().deliveries]

    def webhook(self, webhook_id: str) -> Webhook:
        """A webhook as it is now."""
        with self.store.reading() as connection:
            return find_webhook(connection, webhook_id)


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Outbox]:
    site = Outbox(make_place(START_MS))
    site.begin()
    yield site
    site.close()


# On their way


def test_a_message_is_claimed_once(site: Outbox) -> None:
    webhook = site.add()
    [message_id] = site.put(webhook.id)
    [message] = site.claim()
    assert (message.id, message.url, message.attempts) == (message_id, URL, 1)
    assert site.claim() == []


def test_two_nodes_never_send_a_message_at_the_same_time(site: Outbox) -> None:
    """Each message is claimed in a transaction."""
    ids = site.put(*(site.add().id for _ in range(10)))
    stores = [site.store, *(site.second() for _ in range(3))]
    with ThreadPoolExecutor(len(stores)) as pool:
        claimed = [it.id for messages in pool.map(claim, stores) for it in messages]
    assert sorted(claimed) == sorted(ids)


def test_what_was_delivered_is_not_sent_again(site: Outbox) -> None:
    site.put(site.add().id)
    [message] = site.claim()
    record_attempt(site.store, message, Attempt())
    site.advance(10 * 86_400)
    assert site.claim() == []
    assert site.states() == [State.DELIVERED]


def test_who_dies_while_sending_loses_the_claim(site: Outbox) -> None:
    """The next attempt has the same id, so that the receiver can tell a repetition."""
    site.put(site.add().id)
    [message] = site.claim()
    site.advance(CLAIM_MS / 1000 - 2)
    assert site.claim() == []
    site.advance(3)
    [again] = site.claim()
    assert (again.id, again.attempts) == (message.id, 2)


def test_who_comes_back_after_that_changes_nothing(site: Outbox) -> None:
    """What became of the later attempt counts."""
    site.put(site.add().id)
    [slow] = site.claim()
    site.advance(CLAIM_MS / 1000 + 1)
    [again] = site.claim()
    record_attempt(site.store, again, Attempt())
    record_attempt(site.store, slow, Attempt("answered 500"))
    assert site.states() == [State.DELIVERED]


def test_attempts_are_made_over_three_days_and_then_given_up(site: Outbox) -> None:
    """Standard Webhooks: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h."""
    site.put(site.add().id)
    attempts = 0
    for pause_s in (*PAUSES_S, None):
        [message] = site.claim()
        record_attempt(site.store, message, Attempt(f"answered 500\r\n{'x' * 1000}"))
        attempts += 1
        if pause_s is not None:
            site.advance(pause_s - 1)
            assert site.claim() == []
            site.advance(1)
    assert (attempts, sum(PAUSES_S)) == (ATTEMPTS_MAX, 75 * 3600 + 35 * 60 + 5)
    site.advance(30 * 86_400)
    assert site.claim() == []
    [given_up] = site.page(state=State.GIVEN_UP).deliveries
    assert given_up.attempts == ATTEMPTS_MAX
    assert given_up.last_error.startswith("answered 500  xxx")
    assert len(given_up.last_error) == 200


@pytest.mark.parametrize(("wait_s", "pause_s"), [(1, 5), (60, 60), (10 * 86_400, 86_400)])
def test_a_receiver_that_asks_for_it_is_left_alone_for_longer(
    site: Outbox, wait_s: int, pause_s: int
) -> None:
    """RFC 9110 10.2.3: never for less than it would be, and for a day at most."""
    site.put(site.add().id)
    [message] = site.claim()
    record_attempt(site.store, message, Attempt("answered 503", wait_s=wait_s))
    site.advance(pause_s - 1)
    assert site.claim() == []
    site.advance(1)
    assert len(site.claim()) == 1


def test_a_webhook_has_one_message_under_way_the_oldest_first(site: Outbox) -> None:
    """So a slow receiver keeps no other waiting, however much waits for it."""
    slow, other = site.add(), site.add()
    ids = site.put(slow.id, times=50)
    [late] = site.put(other.id)
    assert sorted(it.id for it in site.claim()) == sorted([ids[0], late])
    assert site.claim(slow.id, other.id) == []


def test_a_gone_receiver_is_left_alone(site: Outbox) -> None:
    """Standard Webhooks: an answer of 410 disables the endpoint."""
    gone, other = site.add(), site.add()
    site.put(gone.id, other.id, times=2)
    [message] = site.claim(other.id)
    record_attempt(site.store, message, Attempt("answered 410", is_gone=True))
    webhook = site.webhook(gone.id)
    assert (webhook.enabled, webhook.disabled_why) == (False, "answered 410: no more is sent there")
    assert [it.webhook_id for it in site.page(state=State.GIVEN_UP).deliveries] == [gone.id, gone.id]
    assert site.webhook(other.id).enabled


def test_no_more_waits_for_a_receiver_than_anybody_reads(
    site: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are given up, and can be sent again."""
    monkeypatch.setattr("licet.alerts.outbox.WAITING_MAX", 3)
    assert WAITING_MAX == 1000
    webhook = site.add()
    ids = site.put(webhook.id, times=5)
    page = site.page().deliveries
    assert [it.id for it in page] == ids[::-1]
    assert [it.state for it in page] == [State.WAITING] * 3 + [State.GIVEN_UP] * 2


# By hand


def test_a_message_is_sent_again_on_demand(site: Outbox) -> None:
    """With the id that it had, and all of its attempts."""
    [message_id] = site.put(site.add().id)
    [message] = site.claim()
    record_attempt(site.store, message, Attempt("answered 410", is_gone=True))
    assert redeliver(site.store, ADA, [message_id]) == 0, "the webhook is disabled"
    with changing(site.store, ADA) as change:
        change.set(message.webhook_id, enabled=True)
    assert redeliver(site.store, ADA, [message_id, "msg_none"]) == 1
    assert redeliver(site.store, ADA, [message_id]) == 0, "it waits already"
    assert site.event() == (ADA, "", "send again", "alerts", "1 message")
    [again] = site.claim()
    assert (again.id, again.attempts) == (message_id, 1)


def test_a_test_tells_nothing(site: Outbox) -> None:
    webhook = site.add()
    with changing(site.store, ADA) as change:
        message_id = change.test(webhook.id)
    [message] = site.claim()
    assert (message.id, message.type) == (message_id, "webhook.test")
    assert message.payload == (
        f'{{"type":"webhook.test","timestamp":"2023-11-14T22:14:00Z","data":{{"webhook":"{webhook.id}"}}}}'
    )


def test_a_test_is_sent_once(site: Outbox) -> None:
    """Who waits for it looks now, and not in three days."""
    webhook = site.add()
    with changing(site.store, ADA) as change:
        change.test(webhook.id)
    [message] = site.claim()
    record_attempt(site.store, message, Attempt("answered 500"))
    assert site.states() == [State.GIVEN_UP]


def test_what_waits_for_a_disabled_webhook_is_given_up(site: Outbox) -> None:
    webhook = site.add()
    site.put(webhook.id)
    with changing(site.store, ADA) as change:
        assert change.set(webhook.id, enabled=False)
        assert not change.set(webhook.id, enabled=False)
        with pytest.raises(StillInUse, match=f"webhook {webhook.id} is disabled"):
            change.test(webhook.id)
    assert site.states() == [State.GIVEN_UP]
    assert site.event() == (ADA, "", "set", f"webhook {webhook.id}", "enabled yes -> no")


def test_a_webhook_goes_with_all_that_was_sent_to_it(site: Outbox) -> None:
    webhook = site.add()
    site.put(webhook.id)
    with changing(site.store, ADA) as change:
        change.remove(webhook.id)
    assert site.states() == []
    with pytest.raises(NotFound):
        site.webhook(webhook.id)


def test_a_tenant_takes_its_webhooks_with_it(site: Outbox) -> None:
    site.put(site.add(tenant_id=site.tenant_id).id)
    with changing_setup(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert site.rows(schema.webhook) == site.rows(schema.delivery) == []


def test_an_event_tells_the_host_of_a_url_only(site: Outbox) -> None:
    """What follows may be a secret."""
    webhook = site.add(tenant_id=site.tenant_id)
    target = f"webhook {webhook.id}"
    assert site.event() == (ADA, JIM, "add", target, "https://alerts.example.com")
    with changing(site.store, ADA) as change:
        assert change.set(webhook.id, url="https://other.example.com:8443/x?y=z")
    told = "url https://alerts.example.com -> https://other.example.com:8443"
    assert site.event() == (ADA, JIM, "set", target, told)
    with changing(site.store, ADA) as change:
        assert change.rotate(webhook.id).secret_number == 2
    assert site.event() == (ADA, JIM, "rotate secret", target, "number 2")


def test_there_are_so_many_webhooks_at_most(site: Outbox) -> None:
    with changing(site.store, ADA) as change:
        for _ in range(WEBHOOKS_MAX):
            change.add(URL, tenant_id=None)
        with pytest.raises(StillInUse, match=f"there are {WEBHOOKS_MAX} webhooks already"):
            change.add(URL, tenant_id=None)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "alerts.example.com",
        "ftp://alerts.example.com/",
        "https:///alerts",
        "https://alerts.example.com:0/",
        "https://alerts.example.com:x/",
        "https://[::1/",
        "https://ada:secret@alerts.example.com/",
        "https://alerts.example.com/#x",
        "https://alerts.example.com/ x",
        "https://alerts.example.com/\n",
        "https://bücher.example/",
        f"https://alerts.example.com/{'x' * 2000}",
        "http://alerts.example.com/",
        "http://127.0.0.1.example.com/",
        "http://10.0.0.1/",
    ],
)
def test_a_url_to_which_nothing_may_be_sent_is_refused(site: Outbox, url: str) -> None:
    told = r"^a webhook is a URL like https://example.com/alerts; (it|http|ftp) "
    with pytest.raises(InvalidValue, match=told):
        site.add(url)
    assert site.rows(schema.webhook) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1]/", "http://localhost:8000/x"])
def test_plain_http_is_for_this_machine(site: Outbox, url: str) -> None:
    site.add(url)
    with changing(site.store, ADA) as change:
        change.add("http://alerts.example.com", tenant_id=None, http_allowed=True)


def test_what_is_aged_is_removed_and_what_waits_stays(site: Outbox) -> None:
    """As long as the journal, by `journal_retention_days`."""
    one, two = site.add(), site.add()
    site.put(one.id, two.id)
    [message] = site.claim(two.id)
    record_attempt(site.store, message, Attempt())
    site.advance(3601)
    assert remove_aged(site.store, 3600 * 1000) > 0
    assert [it.webhook_id for it in site.page().deliveries] == [two.id]


# Of one tenant


def test_who_looks_after_one_tenant_has_the_webhooks_of_that_tenant(site: Outbox) -> None:
    mine = site.add(tenant_id=site.tenant_id)
    site.advance(1)
    everybodys = site.add()
    ids = site.put(mine.id, everybodys.id)
    with site.store.reading() as connection:
        assert webhooks(connection, site.tenant_id) == (mine,)
        assert webhooks(connection) == (mine, everybodys)
        assert counts(connection, site.tenant_id)[State.WAITING] == 1
        assert counts(connection)[State.WAITING] == 2
    assert [it.id for it in site.page(within=site.tenant_id).deliveries] == ids[:1]
    with changing(site.store, ADA, within=site.tenant_id) as change:
        for refused in (change.remove, change.test, change.rotate, change.set):
            with pytest.raises(NotFound):
                refused(everybodys.id)
        with pytest.raises(NotYours):
            change.add(URL, tenant_id=None)
        change.add(URL, tenant_id=site.tenant_id)
        change.set(mine.id, enabled=False)
    for claimed in site.claim():
        record_attempt(site.store, claimed, Attempt())
    assert redeliver(site.store, ADA, ids, within=site.tenant_id) == 0


def test_a_webhook_of_a_tenant_that_is_not_there_is_refused(site: Outbox) -> None:
    with pytest.raises(NotFound):
        site.add(tenant_id=99)


def test_the_list_is_read_in_pages(site: Outbox) -> None:
    """Newest first; a page stays right while messages are added."""
    webhook = site.add()
    ids = site.put(webhook.id, times=5)
    page = site.page(limit=2)
    assert [it.id for it in page.deliveries] == [ids[4], ids[3]]
    site.put(webhook.id)
    page = site.page(limit=2, after=page.next)
    assert [it.id for it in page.deliveries] == [ids[2], ids[1]]
    page = site.page(limit=2, after=page.next)
    assert ([it.id for it in page.deliveries], page.next) == ([ids[0]], None)
    assert site.page(webhook_id="wh_other").deliveries == ()
