"""A site that evaluates alerts and sends them to webhooks."""

import asyncio
import ipaddress
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from structlog.testing import CapturingLogger

from licet.alerts.deliveries import State, deliveries
from licet.alerts.outbox import Attempt, Message
from licet.alerts.sender import Alerting
from licet.alerts.webhook_sender import Posting
from licet.alerts.webhooks import Webhook, changing
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.lanes.commit import commit
from licet.ledger.commands import Denied, Grant
from support.store.setup_site import ADA, START_MS, Site


class Sender(Site):
    """A site whose server evaluates alerts and sends them, one step at a time."""

    def add(self, url: str, *, within: int | None = None) -> Webhook:
        """Add a webhook; with `within`, as an owner of that tenant."""
        with changing(self.store, ADA, within=within) as change:
            return change.add(url, tenant_id=within)

    def send(self, *, rounds: int = 1, then_s: float = 0) -> None:
        """Evaluate and send until nothing is under way, this many rounds; move the clock after each."""

        async def work() -> None:
            alerting = Alerting(
                store=self.store,
                secrets=SECRETS,
                refused=(),
                http_allowed=False,
                private_allowed=False,
                mail_server=None,
                user_agent="Licet/test",
                log=structlog.wrap_logger(self.log),
            )
            for _ in range(rounds):
                await alerting.look()
                await alerting.send()
                await alerting.finished()
                self.clock.advance(seconds=then_s)
            await alerting.close()

        asyncio.run(work())

    def begin(self, *, seats: int = 1, clients: int = 2) -> None:
        """Begin with a tenant of one seat."""
        self.log = CapturingLogger()
        super().begin(seats=seats, clients=clients)

    def ask_often(self, client_id: str, times: int) -> None:
        """Request this many sessions of a client at once."""
        tenant, pool = self.tenant, self.pool()
        asked = [
            Grant(
                tenant_id=tenant.id,
                client_key=tenant.clients[client_id].key,
                sid=number.to_bytes(20, "little"),
                scope="all",
                pool_id=pool.id,
                address="192.0.2.1",
            )
            for number in range(1, times + 1)
        ]
        assert all(isinstance(it, Denied) for it in commit(self.store, asked))

    def outcomes(self) -> list[tuple[State, int, str]]:
        """State, attempts and last error of each message, newest first."""
        with self.store.reading() as connection:
            found = deliveries(connection).deliveries
        return [(it.state, it.attempts, it.last_error) for it in found]


def post(
    url: str,
    *,
    refused: Sequence[str] = (),
    answer_s: float = 10,
    rotated_at_ms: int | None = None,
    number: int = 1,
    now_ms: int = START_MS,
    private_allowed: bool = True,
    setting: bool = False,
) -> Attempt:
    """Send one message to this URL, and return the result."""
    message = Message(
        id="msg_1",
        webhook_id="wh_1",
        url=url,
        private_allowed=private_allowed,
        secret_number=number,
        rotated_at_ms=rotated_at_ms,
        type="webhook.test",
        payload='{"type":"webhook.test","data":{"name":"Zoë"}}',
        created_at_ms=START_MS,
        attempts=1,
    )
    with ThreadPoolExecutor(1) as executor:
        posting = Posting(
            secrets=SECRETS,
            refused=[ipaddress.ip_network(it) for it in refused],
            http_allowed=False,
            private_allowed=setting,
            user_agent="Licet/test",
            executor=executor,
            answer_s=answer_s,
        )
        return asyncio.run(posting.post(message, now_ms))


SECRETS = WebhookSecrets(b"p" * 32)
