"""Defines the context of every operation and page of the admin listener: the store, threads, identities.

    found = await context.read(lambda connection: seats(connection, tenant, context.clock.now_ms()))
    await context.change(identity, lambda change: change.tenant("Jim_Test").set_pool("full", seats=7))

The rules:

- Work that waits for a disk or a network runs in one of the context's threads, a few at a time, and never in
  the event loop, which serves grants. Long encoding runs there, too.
- The caller is identified once for each request: by `identity` for the API, by `signed_in` for pages. A
  method that is not safe needs the CSRF token beside the cookie; an API key needs none, because no browser
  sends it by itself.
- A tenant that an identity may not see does not exist for it: `tenant` raises NotFound.
- All changes of the set-up go through `change_now`, which refuses changes of the licence by others than its
  owners.
- An event stream ends when `closing` is set; the listener ends those that do not check it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from python_multipart.multipart import parse_options_header
from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.requests import Request

from licet.admin.authentication import Access, Identity, SignedIn
from licet.admin.problems import Problem, forged_request, not_allowed, sign_in_needed
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import read_keyring
from licet.credentials.passwords import Passwords
from licet.lanes.contract import QueueFull, Submitter
from licet.ledger.commands import Command, Outcome
from licet.log import Log
from licet.model import Role, Tenant
from licet.refusal import Subject
from licet.setup.change import SetupChange, changing
from licet.store.contract import Store
from licet.store.errors import NotFound, StoreUnavailable, unknown
from licet.telemetry.metrics import Metrics
from licet.web.log_rate_limit import LogRateLimit

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
FOLLOWS_HEADER = "x-licet-follows"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

THREADS = 4  # so many long reports at once; a guess for a small machine with two processors
WAITING_MAX = 64  # that may wait for a thread; one more is answered with 503

Made = TypeVar("Made")


class AdminContext:
    """One for each admin listener. `base_url` is how administrators reach it, without a slash at its end."""

    def __init__(
        self,
        *,
        store: Store,
        access: Access,
        commits: Submitter[Command, Outcome],
        passwords: Passwords,
        keyring_path: Path,
        base_url: str,
        public_url: str,
        log: Log,
        refusals: LogRateLimit,
        metrics: Metrics | None = None,
        webhook_http: bool = False,
        webhook_private: bool = False,
        by_mail: bool = False,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.store = store
        self.metrics = metrics
        self.webhook_http = webhook_http  # by the settings
        self.webhook_private = webhook_private
        self.by_mail = by_mail  # alerts go to e-mail addresses, too
        self.is_ready = is_ready  # whether this server commits
        self.access = access
        self.clock = store.clock
        self.commits = commits
        self.passwords = passwords
        self.keyring_path = keyring_path
        self.base_url = base_url
        self.public_url = public_url
        self.log = log
        self.refusals = refusals
        self.keyring_lock = Lock()  # held while the file of keys is written
        self.closing = asyncio.Event()
        self._threads = ThreadPoolExecutor(THREADS, "licet-admin")
        self._waiting = 0

    # Work

    async def run(self, work: Callable[..., Made], *arguments: Any, **more: Any) -> Made:
        """Run `work` in a thread; return its result.

        Raises what it raises, and QueueFull when too much already waits.
        """
        if self._waiting >= WAITING_MAX + THREADS:
            raise QueueFull
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(work, *arguments, **more))
        finally:
            self._waiting -= 1

    async def read(self, work: Callable[[Connection], Made]) -> Made:
        """Run `work` on a connection that sees the store at one instant; return its result.

        Raises StoreUnavailable.
        """
        return await self.run(self.read_now, work)

    def read_now(self, work: Callable[[Connection], Made]) -> Made:
        """The same, for a caller that is in a thread already."""
        with self.store.reporting() as connection:
            return work(connection)

    async def change(self, identity: Identity, work: Callable[[SetupChange], Made]) -> Made:
        """Run `work`, which changes the set-up in one transaction, as this identity; return its result.

        Raises SetupError, InvalidValue, StoreUnavailable.
        """
        return await self.run(self.change_now, identity, work)

    def change_now(self, identity: Identity, work: Callable[[SetupChange], Made]) -> Made:
        """The same, for a caller that is in a thread already."""
        try:
            with changing(self.store, identity.actor, keeps_licence=not identity.owns_licence) as change:
                made = work(change)
        except NotFound as fault:
            if fault.subject is None or fault.subject.kind != "tenant":
                raise
            # It was removed meanwhile; an owner of one tenant must not see the names of others.
            raise unknown(fault.subject, field=fault.field) from None
        self.store.refresh_tenants()  # The next reader sees the change.
        return made

    async def tenants(self, identity: Identity) -> list[Tenant]:
        """The tenants that this identity sees, by name, as they are now.

        Raises StoreUnavailable.
        """
        return await self.run(self.tenants_now, identity)

    def tenants_now(self, identity: Identity) -> list[Tenant]:
        """The same, for a caller that is in a thread already."""
        self.store.refresh_tenants()
        found = [it for it in self.store.tenants().values() if identity.sees(it.id)]
        return sorted(found, key=lambda tenant: tenant.name)

    async def tenant(self, identity: Identity, name: str) -> Tenant:
        """The tenant of this name, as it is now.

        Raises NotFound, also when it is not for this identity; StoreUnavailable.
        """
        return await self.run(self.tenant_now, identity, name)

    def tenant_now(self, identity: Identity, name: str) -> Tenant:
        """The same, for a caller that is in a thread already."""
        self.store.refresh_tenants()
        found = self.store.tenant(name)
        if found is None or not identity.sees(found.id):
            raise unknown(Subject("tenant", name, name))
        return found

    def client_secrets(self) -> ClientSecrets:
        """The maker of client secrets, by the current file of keys.

        Raises KeyringUnusable. It reads a file: call it in a thread.
        """
        return ClientSecrets(read_keyring(self.keyring_path).pepper)

    # The caller

    async def signed_in(self, request: Request) -> SignedIn:
        """The administrator signed in with the cookie; a method that is not safe needs the CSRF token too.

        The token is in the header, or in the form's field. Raises Problem, StoreUnavailable.
        """
        token = request.cookies.get(cookie_name(request))
        is_use = not _asks_by_itself(request)
        found = await self.access.signed_in(token, is_use=is_use) if token else None
        if token is None or found is None:
            raise sign_in_needed()
        if request.method not in SAFE_METHODS and not compare_digest(
            found.csrf.encode(), (await _csrf_sent(request)).encode()
        ):
            raise forged_request("The CSRF token is missing or of another sign-in; open the page again.")
        request.state.identity = found.identity
        return found

    async def identity(self, request: Request) -> Identity:
        """The caller, by an API key or by the cookie.

        Raises Problem, StoreUnavailable.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return (await self.signed_in(request)).identity
        found = None
        if scheme.lower() == "bearer":
            found = await self.access.of_key(key.strip(), address(request), request_id=request_id(request))
        if found is None:
            raise sign_in_needed("The API key is unknown, expired or not sent as Bearer token.")
        request.state.identity = found
        return found

    async def write_down(self) -> None:
        """Write which API keys were used, which is only in memory; where the store is down, later."""
        with suppress(QueueFull, StoreUnavailable):
            await self.access.write_down()

    async def close(self) -> None:
        """Finish what is under way, and end the threads."""
        self.closing.set()
        await self.write_down()
        await self.access.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def must_be(identity: Identity, role: Role) -> None:
    """Return if this identity has the rights of this role.

    Raises Problem.
    """
    if not identity.may(role):
        raise not_allowed(f"This takes the role {role}; yours is {identity.role}.")


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a trusted proxy before us."""
    return request.url.scheme == "https"


def cookie_name(request: Request) -> str:
    """The name of the cookie of a sign-in; a browser accepts this prefix only over TLS and for all paths."""
    return "__Host-licet" if is_secure(request) else "licet"


def address(request: Request) -> str:
    """The address of a request's client, behind trusted proxies."""
    return request.client.host if request.client else ""


def request_id(request: Request) -> str:
    """The id of a request, as in its answer and in the log."""
    found: str = request.scope["state"]["request_id"]
    return found


def _asks_by_itself(request: Request) -> bool:
    """Whether a page's script sent this by itself, and not its reader: that keeps nobody signed in."""
    headers = request.headers
    return FOLLOWS_HEADER in headers or headers.get("accept", "").startswith("text/event-stream")


async def _csrf_sent(request: Request) -> str:
    if (sent := request.headers.get(CSRF_HEADER)) is not None:
        return sent
    if request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        return str((await form_of(request)).get(CSRF_FIELD, ""))
    return ""


async def form_of(request: Request) -> FormData:
    """The form that was sent, in UTF-8: other codecs may fail, or make texts that cannot be written.

    Raises Problem.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise Problem(415, "wrong-media-type", "A form is in UTF-8.")
    return await request.form()
