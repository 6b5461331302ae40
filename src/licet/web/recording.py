"""Collects refused requests and failed authentications in memory, and writes them about once a second.

    a refusal -> its cause -> a row of its minute, and its request id -> one transaction a second

The rules:

- A failed attempt gets one answer for all causes, after the same work: it is sent before the cause is looked
  up. Where the log needs the cause sooner, a generated secret is hashed for an unknown client as well.
- What is collected is bounded, whatever is sent and however long the store is down: `NAMES_MAX` in a minute,
  `NAMES_OF_SOURCE_MAX` from one source, beyond which a row without a name counts; `ROWS_MAX` that wait,
  beyond which one row for each cause counts; and request ids of a row, of a source and of a minute, beyond
  which none is kept. No count is lost.
- Only names of tenants, clients, administrators and API keys that exist are kept: any other text could be a
  secret in the wrong place.
- A crash loses what was collected since the last write, about a second.

Use it from the event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from licet.clock import Clock
from licet.credentials.client_assertions import Assertion, flaw, is_meant_for
from licet.credentials.generated import SECRET_PREFIX, ClientSecrets
from licet.journal.refusals import Failure, FailureKey, RefusedRequest, write_refusals
from licet.lanes.in_thread import to_its_end
from licet.model import Client, FailureCause, Tenant, Who
from licet.protocol.errors import Field, OAuthError, Refusal
from licet.protocol.message import Credentials
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.units import MINUTE_MS
from licet.web.source import source_of

NAMES_MAX = 200  # in a minute, of all tenants; a guess: more clients fail together only in an attack
NAMES_OF_SOURCE_MAX = 50  # of these: one address that tries all clients leaves room for others
ROWS_MAX = 2_000  # that wait for the store: ten minutes of names at their limit
REQUESTS_OF_ROW_MAX = 64  # a minute; about one a second, and the row has the number
REQUESTS_OF_SOURCE_MAX = 16  # of these: a flood from one address leaves room for others
REQUESTS_MAX = 1_000  # a minute
WAITING_REQUESTS_MAX = 2_000


class Caller(NamedTuple):
    """Who failed, as far as it is known: tenant 0 and name '' are unknown."""

    who: Who
    tenant_id: int
    name: str
    initials: str = ""


class Attempt(NamedTuple):
    """A failed authentication of a client: the tenant and client, as far as they are known.

    `credentials` are None where none could be read; `ours` are the audiences that an assertion may have had.
    """

    error: OAuthError
    tenant: Tenant | None
    client: Client | None
    credentials: Credentials | Assertion | None
    ours: Collection[str]


class Recorder:
    """Collects what was refused. `counts` are the failures since the start, by cause, for the metrics."""

    def __init__(
        self, clock: Clock, client_secrets: ClientSecrets, counts: Counter[FailureCause] | None = None
    ) -> None:
        self.counts: Counter[FailureCause] = Counter() if counts is None else counts
        self._clock = clock
        self._client_secrets = client_secrets
        self._failures: dict[FailureKey, Failure] = {}
        self._requests: list[RefusedRequest] = []
        self._minute = 0
        self._keys: set[FailureKey] = set()
        self._rows_of: Counter[str] = Counter()
        self._of_row: Counter[tuple[object, ...]] = Counter()
        self._ids = 0

    def client_failed(self, attempt: Attempt, *, request_id: str, address: str) -> None:
        """Collect that a client's authentication failed. Call it after the answer was sent."""
        tenant, client = attempt.tenant, attempt.client
        caller = Caller(
            Who.CLIENT,
            tenant.id if tenant else 0,
            client.client_id if client else "",
            client.user.initials if client else "",
        )
        self.failed(caller, self.cause_of(attempt), request_id=request_id, address=address)

    def cause_of(self, attempt: Attempt) -> FailureCause:
        """Why a client's authentication failed."""
        return attempt.error.cause or self._cause(*attempt)

    def failed(self, caller: Caller, cause: FailureCause, *, request_id: str, address: str) -> None:
        """Collect that an authentication failed."""
        now_ms = self._clock.now_ms()
        self._new_minute(now_ms // MINUTE_MS)
        self.counts[cause] += 1
        key = FailureKey(caller.tenant_id, self._minute, caller.who, cause, caller.name)
        key = self._bounded(key, source_of(address))
        initials = caller.initials if key.name else ""
        self._add(key, Failure(initials, 1, now_ms, now_ms, address))
        if request_id and self._may_keep(key, address):
            self._keep(
                RefusedRequest(
                    request_id,
                    caller.tenant_id,
                    now_ms,
                    "failed",
                    cause,
                    "",
                    caller.who,
                    caller.name,
                    caller.initials,
                    address,
                )
            )

    def has_room(self) -> bool:
        """Whether another request id may be kept in this minute: in a flood, most are not."""
        self._new_minute(self._clock.now_ms() // MINUTE_MS)
        return self._ids < REQUESTS_MAX

    def denied(
        self,
        tenant: Tenant,
        client: Client,
        fields: Mapping[str, Field],
        *,
        request_id: str,
        address: str,
    ) -> None:
        """Collect the request id of a denial, which the journal has already (L11), by its answer's fields."""
        reason, pool = str(fields["reason"]), str(fields["pool"])
        now_ms = self._clock.now_ms()
        self._new_minute(now_ms // MINUTE_MS)
        if self._may_keep((tenant.id, client.client_id, reason, pool), address):
            self._keep(
                RefusedRequest(
                    request_id,
                    tenant.id,
                    now_ms,
                    "denied",
                    reason,
                    pool,
                    Who.CLIENT,
                    client.client_id,
                    client.user.initials,
                    address,
                )
            )

    async def write_down(self, store: Store) -> None:
        """Write what was collected; what the store does not accept is kept for the next time.

        Raises StoreUnavailable.
        """
        failures, requests = self._failures, self._requests
        if not failures and not requests:
            return
        self._failures, self._requests = {}, []
        writing = asyncio.ensure_future(asyncio.to_thread(write_refusals, store, failures, requests))
        try:
            await to_its_end(writing)
        finally:  # also where it was cancelled: a server that stops writes once more
            is_over = writing.done() and not writing.cancelled()
            if is_over and isinstance(writing.exception(), StoreUnavailable):
                newer, self._failures = self._failures, failures
                for key, failure in newer.items():
                    self._add(key, failure)
                self._requests = [*requests, *self._requests][:WAITING_REQUESTS_MAX]

    def _cause(
        self,
        error: OAuthError,
        tenant: Tenant | None,
        client: Client | None,
        credentials: Credentials | Assertion | None,
        ours: Collection[str],
    ) -> FailureCause:
        if error.refusal is Refusal.RATE_LIMITED:  # nothing is hashed, for a known or an unknown client
            return FailureCause.THROTTLED
        has_expired = self._was_right(client, credentials)
        if tenant is None or credentials is None or client is None or not client.usable:
            return _nobody(tenant, credentials, client)
        if isinstance(credentials, Assertion):
            return self._cause_of_assertion(tenant, credentials, ours)
        if has_expired:
            return FailureCause.EXPIRED_SECRET
        is_password = not any(secret.startswith(SECRET_PREFIX) for _, secret in credentials.candidates)
        if is_password and not client.password_allowed:
            return FailureCause.PASSWORD_NOT_ALLOWED
        return FailureCause.WRONG_SECRET

    def _was_right(self, client: Client | None, credentials: Credentials | Assertion | None) -> bool:
        """Whether a generated secret is the client's, expired or not; hashed for an unknown client too."""
        if not isinstance(credentials, Credentials):
            return False
        found = [
            self._client_secrets.find(client, secret, 0)  # at instant 0 nothing has expired
            for _, secret in credentials.candidates
            if secret.startswith(SECRET_PREFIX)
        ]
        return any(found)

    def _cause_of_assertion(
        self, tenant: Tenant, assertion: Assertion, ours: Collection[str]
    ) -> FailureCause:
        if not is_meant_for(assertion, ours):
            return FailureCause.WRONG_AUDIENCE
        now_ms = self._clock.now_ms()
        if flaw(assertion, ours, now_ms) is not None:
            return FailureCause.EXPIRED_ASSERTION
        if flaw(assertion, ours, now_ms, is_strict=tenant.strict_assertions) is not None:
            return FailureCause.NOT_STRICT
        return FailureCause.BAD_SIGNATURE

    def _new_minute(self, minute: int) -> None:
        if minute != self._minute:
            self._minute, self._ids = minute, 0
            self._keys.clear()
            self._of_row.clear()
            self._rows_of.clear()

    def _bounded(self, key: FailureKey, source: str) -> FailureKey:
        """The row that counts it: its own, or one without a name where a minute has too many names."""
        if key in self._keys:
            return key
        if len(self._keys) < NAMES_MAX and self._rows_of[source] < NAMES_OF_SOURCE_MAX:
            self._keys.add(key)
            self._rows_of[source] += 1
            return key
        several = key._replace(name="")
        if several in self._keys or len(self._keys) < 2 * NAMES_MAX:
            self._keys.add(several)
            return several
        return several._replace(tenant_id=0)  # of which there are only as many as causes

    def _add(self, key: FailureKey, failure: Failure) -> None:
        if key not in self._failures and len(self._failures) >= ROWS_MAX:
            oldest = next(iter(self._failures)).minute
            key = key._replace(tenant_id=0, name="", minute=oldest)
            failure = failure._replace(initials="")
        known = self._failures.get(key)
        self._failures[key] = failure if known is None else known.and_then(failure)

    def _may_keep(self, row: tuple[object, ...], address: str) -> bool:
        of_source = (row, source_of(address))
        if (
            self._ids >= REQUESTS_MAX
            or self._of_row[row] >= REQUESTS_OF_ROW_MAX
            or self._of_row[of_source] >= REQUESTS_OF_SOURCE_MAX
        ):
            return False
        self._ids += 1
        self._of_row[row] += 1
        self._of_row[of_source] += 1
        return True

    def _keep(self, request: RefusedRequest) -> None:
        if len(self._requests) < WAITING_REQUESTS_MAX:
            self._requests.append(request)


def _nobody(
    tenant: Tenant | None, credentials: Credentials | Assertion | None, client: Client | None
) -> FailureCause:
    """The cause where no client could authenticate."""
    if tenant is None:
        return FailureCause.UNKNOWN_TENANT
    if credentials is None:
        return FailureCause.NO_CREDENTIALS
    if client is None:
        return FailureCause.UNKNOWN_CLIENT
    return FailureCause.USER_DISABLED if client.enabled else FailureCause.CLIENT_DISABLED
