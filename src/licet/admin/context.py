"""Defines what every operation and page of the admin listener works with: the store, threads, who asks.

    found = await context.read(lambda connection: seats(connection, tenant, context.clock.now_ms()))
    await context.change(identity, lambda change: change.tenant("Jim_Test").set_pool("full", seats=7))

The rules:

- What waits for a disk or a network runs in one of the context's threads, a few at a time, and never in the
  event loop, which serves grants. Long encoding belongs there, too.
- Who asks is asked once for each request: `identity` for the API, `signed_in` for pages. A method that is not
  safe needs the CSRF token beside the cookie; a key needs none, because no browser sends it by itself.
- What somebody may not see is not there for him: `tenant` raises NotFound.
- All changes of the set-up pass `change_now`, which keeps the licence from those who do not own it.
- An event stream ends when `closing` is set; the listener ends those that do not look.
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

from licet.admin.problems import Problem, forged_request, not_allowed, sign_in_needed
from licet.admin.sign_in import Access, Identity, SignedIn
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
from licet.web.refusals import LogRateLimit

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
FOLLOWS_HEADER = "x-licet-follows"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

THREADS = 4  # as many long reports at once; a guess, on the two processors of a small machine
WAITING_MAX = 64  # what may wait for a thread; one more is answered 503

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
    ) -> None:
        self.store = store
        self.metrics = metrics
        self.webhook_http = webhook_http  # as the settings have it
        self.webhook_private = webhook_private
        self.access = access
        self.clock = store.clock
        self.commits = commits
        self.passwords = passwords
        self.keyring_path = keyring_path
        self.base_url = base_url
        self.public_url = public_url
        self.log = log
        self.refusals = refusals
        self.keyring_lock = Lock()  # for who writes the file of keys
        self.closing = asyncio.Event()
        self._threads = ThreadPoolExecutor(THREADS, "licet-admin")
        self._waiting = 0

    # Work

    async def run(self, work: Callable[..., Made], *arguments: Any, **more: Any) -> Made:
        """What `work` gives, done in a thread.

        Raises what it raises, and QueueFull when too much waits already.
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
        """What `work` reads from a connection that sees the store at one instant, for as long as it takes.

        Raises StoreUnavailable.
        """
        return await self.run(self.read_now, work)

    def read_now(self, work: Callable[[Connection], Made]) -> Made:
        """The same for who is in a thread already."""
        with self.store.reporting() as connection:
            return work(connection)

    async def change(self, identity: Identity, work: Callable[[SetupChange], Made]) -> Made:
        """What `work` gives, which changes the set-up: all of it or nothing, in this identity's name.

        Raises SetupError, InvalidValue, StoreUnavailable.
        """
        return await self.run(self.change_now, identity, work)

    def change_now(self, identity: Identity, work: Callable[[SetupChange], Made]) -> Made:
        """The same for who is in a thread already."""
        try:
            with changing(self.store, identity.actor, keeps_licence=not identity.owns_licence) as change:
                made = work(change)
        except NotFound as fault:
            if fault.subject is None or fault.subject.kind != "tenant":
                raise
            # It was removed since somebody looked; which others there are is not for an owner of one tenant.
            raise unknown(fault.subject, field=fault.field) from None
        self.store.refresh_tenants()  # Who looks next sees what was changed.
        return made

    async def tenants(self, identity: Identity) -> list[Tenant]:
        """The tenants that this identity sees, by name, as they are now.

        Raises StoreUnavailable.
        """
        return await self.run(self.tenants_now, identity)

    def tenants_now(self, identity: Identity) -> list[Tenant]:
        """The same for who is in a thread already."""
        self.store.refresh_tenants()
        found = [it for it in self.store.tenants().values() if identity.sees(it.id)]
        return sorted(found, key=lambda tenant: tenant.name)

    async def tenant(self, identity: Identity, name: str) -> Tenant:
        """The tenant of this name, as it is now.

        Raises NotFound, also when it is not for this identity; StoreUnavailable.
        """
        return await self.run(self.tenant_now, identity, name)

    def tenant_now(self, identity: Identity, name: str) -> Tenant:
        """The same for who is in a thread already."""
        self.store.refresh_tenants()
        found = self.store.tenant(name)
        if found is None or not identity.sees(found.id):
            raise unknown(Subject("tenant", name, name))
        return found

    def client_secrets(self) -> ClientSecrets:
        """What makes client secrets, by the keys as they are in their file now.

        Raises KeyringUnusable. It reads a file: call it in a thread.
        """
        return ClientSecrets(read_keyring(self.keyring_path).pepper)

    # Who asks

    async def signed_in(self, request: Request) -> SignedIn:
        """Who is signed in with the cookie; for a method that is not safe, with the CSRF token as well.

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
        """Who asks, by an API key or by the cookie.

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
        """Write what is kept in memory only: which API keys were used; where the store is down, later."""
        with suppress(QueueFull, StoreUnavailable):
            await self.access.write_down()

    async def close(self) -> None:
        """Finish what is under way, and let go of the threads."""
        self.closing.set()
        await self.write_down()
        await self.access.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def must_be(identity: Identity, role: Role) -> None:
    """Return if this identity may do what this role may.

    Raises Problem.
    """
    if not identity.may(role):
        raise not_allowed(f"This takes the role {role}; yours is {identity.role}.")


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a trusted proxy before us."""
    return request.url.scheme == "https"


def cookie_name(request: Request) -> str:
    """The name of the cookie of a sign-in; a browser takes this prefix from TLS and for all paths only."""
    return "__Host-licet" if is_secure(request) else "licet"


def address(request: Request) -> str:
    """Where a request comes from; a trusted proxy has been looked through."""
    return request.client.host if request.client else ""


def request_id(request: Request) -> str:
    """The id of a request, as in its answer and in the log."""
    found: str = request.scope["state"]["request_id"]
    return found


def _asks_by_itself(request: Request) -> bool:
    """Whether a page that follows asked, and not its reader: this keeps nobody signed in."""
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
    """The form that was sent, in UTF-8: other codecs make texts of it that nothing can write, or fail.

    Raises Problem.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise Problem(415, "wrong-media-type", "A form is in UTF-8.")
    return await request.form()
