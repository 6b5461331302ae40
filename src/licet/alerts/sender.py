"""Runs the upkeep of alerts on one server: evaluates them and delivers what is queued.

The rules:

- All of it is off the request path: the store is asked in threads, and name servers and mail servers, which
  may be slow, in threads of their own.
- A webhook has one message under way; up to `CLAIMS_MAX` go at once. A slow receiver keeps nobody waiting.
- The leader does it. Where two nodes lead for a moment, the outbox prevents that a message is sent twice at
  once.
- The HTTP client is imported when there is something to send: a start without alerts pays nothing for it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from licet.alerts.destinations import MailServer
from licet.alerts.evaluation import look
from licet.alerts.outbox import BY_MAIL, CLAIMS_MAX, Attempt, Message, claim, record_attempt
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.lanes.in_thread import in_thread
from licet.log import Log
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from licet.alerts.webhook_sender import Posting
    from licet.networks import Network

LOOKED_MS = 60_000  # after a gap this long, scan the full window
VERIFIED_EVERY_MS = 60_000  # what many licences cost a second is then next to nothing


class Alerting:
    """Evaluates alerts, and sends messages."""

    def __init__(
        self,
        *,
        store: Store,
        secrets: WebhookSecrets,
        refused: "Sequence[Network]",
        http_allowed: bool,
        private_allowed: bool,
        mail_server: MailServer | None,
        user_agent: str,
        log: Log,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._refused = refused
        self._http_allowed = http_allowed
        self._private_allowed = private_allowed
        self._mail_server = mail_server
        self._user_agent = user_agent
        self._log = log
        self._looked_at_ms = -LOOKED_MS
        self._verified_at_ms = -VERIFIED_EVERY_MS
        self._posting: Posting | None = None
        self._threads = ThreadPoolExecutor(CLAIMS_MAX, "licet-alerts")
        self._sending: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Evaluate the alerts, where this node is the leader.

        Raises StoreUnavailable.
        """
        if not self._store.is_leader():
            return
        now_ms = self._store.clock.now_ms()
        is_first = now_ms - self._looked_at_ms > LOOKED_MS
        has_mail = self._mail_server is not None
        verifies = now_ms - self._verified_at_ms >= VERIFIED_EVERY_MS
        queued = await in_thread(look, self._store, by_mail=has_mail, is_first=is_first, verifies=verifies)
        self._looked_at_ms = now_ms
        if verifies:
            self._verified_at_ms = now_ms
        if queued:
            self._log.info("alerts_raised", messages=queued)

    async def send(self) -> None:
        """Begin to send what is due, where this node is the leader; return while it is under way.

        Raises StoreUnavailable.
        """
        if not self._store.is_leader() or len(self._sending) >= CLAIMS_MAX:
            return
        busy = set(self._sending)
        if self._mail_server is None:
            busy.add(
                BY_MAIL
            )  # What is queued by mail waits until there is a mail server again, or is given up by hand.
        for message in await in_thread(claim, self._store, busy, CLAIMS_MAX - len(self._sending)):
            self._sending[message.webhook_id] = asyncio.create_task(self._deliver(message))

    async def finished(self) -> None:
        """Return when nothing is under way."""
        await asyncio.gather(*self._sending.values())

    async def close(self) -> None:
        """Stop sending. What was under way is tried again a minute later, with the same id."""
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        finally:
            del self._sending[message.webhook_id]

    async def _send(self, message: Message) -> None:
        try:
            attempt = await self._attempt(message)
        except Exception as fault:  # noqa: BLE001 - the next attempt may do better, and others wait
            self._log.exception("alert_failed", message=message.id)
            attempt = Attempt(f"a bug: {type(fault).__name__}")
        try:
            await in_thread(record_attempt, self._store, message, attempt)
        except StoreUnavailable as fault:  # the claim expires, and it is sent again
            attempt = Attempt(f"how it ended could not be kept: {fault}; it was {attempt.error or 'sent'}")
        self._log.info(
            "alert_not_sent" if attempt.error else "alert_sent",
            message=message.id,
            webhook=message.webhook_id or "e-mail",
            attempt=message.attempts,
            **({"detail": attempt.detail or attempt.error} if attempt.error else {}),
        )

    async def _attempt(self, message: Message) -> Attempt:
        if message.webhook_id == BY_MAIL:
            from licet.alerts.mail_sender import mail  # noqa: PLC0415 - see above

            assert self._mail_server is not None
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, mail, self._mail_server, message)
        if self._posting is None:
            self._posting = await asyncio.to_thread(self._make_posting)
        return await self._posting.post(message, self._store.clock.now_ms())

    def _make_posting(self) -> "Posting":
        from licet.alerts.webhook_sender import Posting  # noqa: PLC0415 - see above

        return Posting(
            secrets=self._secrets,
            refused=self._refused,
            http_allowed=self._http_allowed,
            private_allowed=self._private_allowed,
            user_agent=self._user_agent,
            executor=self._threads,
        )
