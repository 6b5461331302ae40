"""The admin API on a store, called without a network, with API keys of each role.

    site.call("GET", "/tenants/Jim_Test", "viewer")                    # the path is below /api/v1
    site.call("PATCH", "/tenants/Jim_Test", json={...}, if_match="*")  # as an owner

The tenants are `Jim_Test`, as `Site.begin` makes it, and `Other`; both have a client `c1`. The keys `viewer`,
`operator` and `owner` are for all tenants; `viewer of Other` and so on are for that tenant only.

To build an application of 200 routes takes longer than most tests, so nodes without options of their own
use the same application one after another.
"""

import asyncio
import atexit
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx

from licet.accounts import administrators
from licet.admin.app import admin_application
from licet.admin.authentication import Access
from licet.admin.context import AdminContext
from licet.admin.gate import Application
from licet.admin_client import AdminClient
from licet.credentials.generated import ApiKeys, ClientSecrets
from licet.credentials.keyring import FILE_NAME, Keyring, new_keyring, write_keyring
from licet.credentials.passwords import Passwords
from licet.lanes.hashing import Hashing
from licet.model import Role
from licet.setup.change import changing
from licet.store.contract import Store
from licet.web.log_rate_limit import LogRateLimit
from licet.web.recording import Recorder
from support.store.filling_again import filled
from support.store.kinds import Place
from support.store.setup_site import ADA, Site

API = "/api/v1"
URL = "http://127.0.0.1:8081"
OTHER = "Other"
PASSWORD = "correct horse"
PASSWORD_HASH = Passwords(memory_kib=8, time_cost=1).hash(PASSWORD)

Made = TypeVar("Made")


class Log:
    """A log that keeps its lines in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Keep one line."""
        self.lines.append((event, fields))

    warning = error = exception = debug = info

    def text(self) -> str:
        """All lines, as text."""
        return repr(self.lines)


class Node:
    """An admin listener on a store. With `options` it gets a new application instead of a reused one."""

    _unused: ClassVar[list[tuple[asyncio.Runner, AdminContext, Application]]] = []

    def __init__(self, store: Store, keyring_path: Path, pepper: bytes, **options: Any) -> None:
        self.log = Log()
        self._is_usual = not options
        if self._is_usual and self._unused:
            self._runner, self.context, self.application = self._unused.pop()
            context = self.run(lambda: self._context(store, keyring_path, pepper, options))
            # The application holds references to its context, and to the event that ends its streams.
            context.closing = self.context.closing
            context.closing.clear()
            vars(self.context).clear()
            vars(self.context).update(vars(context))
        else:
            self._runner = asyncio.Runner()
            self.context = self.run(lambda: self._context(store, keyring_path, pepper, options))
            self.application = admin_application(self.context)

    async def _context(
        self, store: Store, keyring_path: Path, pepper: bytes, options: dict[str, Any]
    ) -> AdminContext:
        passwords = Passwords(memory_kib=8, time_cost=1)
        access = Access(
            store=store,
            passwords=passwords,
            hashing=Hashing(workers=1, queue_max=100),
            pepper=pepper,
            log=self.log,
            refusals=LogRateLimit(self.log),
            recorder=Recorder(store.clock, ClientSecrets(pepper)),
        )
        nobody: Any = None  # no test commits a command through it
        return AdminContext(
            **{
                "store": store,
                "access": access,
                "commits": nobody,
                "passwords": passwords,
                "keyring_path": keyring_path,
                "base_url": URL,
                "public_url": "https://licence.example.com",
                "log": self.log,
                "refusals": LogRateLimit(self.log),
                **options,
            }
        )

    def run(self, work: Callable[[], Awaitable[Made]]) -> Made:
        """Run a coroutine in the node's event loop, and return its result."""

        async def wait() -> Made:
            return await work()

        return self._runner.run(wait())

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, from a coroutine in the node's event loop."""
        transport = httpx.ASGITransport(self.application, client=("192.0.2.9", 40_000))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=options.pop("url", URL)) as http:
            return await http.request(method, path, **options)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, with nothing added to it."""
        return self.run(lambda: self.request(method, path, **options))

    def close(self) -> None:
        """Stop the node, and cancel the tasks that still run in it."""
        self.run(self._end)
        if self._is_usual:
            self._unused.append((self._runner, self.context, self.application))
        else:
            self._runner.close()

    async def _end(self) -> None:
        await self.context.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @classmethod
    def forget(cls) -> None:
        """Close all applications that are kept for later nodes."""
        while cls._unused:
            cls._unused.pop()[0].close()


atexit.register(Node.forget)


class _Transport(httpx.BaseTransport):
    """The transport from a synchronous HTTP client to a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the node's answer."""
        answer = self._node.send(
            request.method, str(request.url), headers=request.headers, content=request.read()
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


class AdminSite(Site):
    """A store with two tenants, an admin listener on it, and keys of every role."""

    def __init__(self, place: Place, directory: Path) -> None:
        super().__init__(place)
        keyring, keys = filled(self.store, self.clock.now_ms(), "an administration", self._fill)
        self._keyring_path, self._pepper = directory / FILE_NAME, keyring.pepper
        write_keyring(self._keyring_path, keyring)
        self.store.refresh_tenants()
        self.keys = dict(keys)
        self.nodes: list[Node] = []
        self.node = self.another_node(self.store)
        self.context = self.node.context

    def another_node(self, store: Store, **options: Any) -> Node:
        """Another admin listener, as on another server."""
        self.nodes.append(Node(store, self._keyring_path, self._pepper, **options))
        return self.nodes[-1]

    def _fill(self) -> tuple[Keyring, dict[str, str]]:
        self.begin()
        with changing(self.store, ADA) as change:
            other = change.add_tenant(OTHER, seats=2)
            other.add_user("U1", name="User 1", password_hash="hash")
            other.add_client("c1", user="U1")
        self.store.refresh_tenants()
        keyring = new_keyring(self.clock.now_ms() - 1000)
        return keyring, self._make_keys(keyring.pepper)

    def _make_keys(self, pepper: bytes) -> dict[str, str]:
        other = self.store.tenant(OTHER)
        assert other is not None
        keys, api_keys = {}, ApiKeys(pepper)
        with administrators.changing(self.store, ADA) as change:
            change.add_admin("ada", password_hash=PASSWORD_HASH, role=Role.OWNER)
            for role in Role:
                for name, tenant_id in ((str(role), None), (f"{role} of Other", other.id)):
                    made = api_keys.generate()
                    key_name = name.replace(" ", "-").lower()
                    change.add_api_key(key_name, made, role=role, tenant_id=tenant_id)
                    keys[name] = made.key
        return keys

    def headers(self, who: str, **more: str | None) -> dict[str, str]:
        """The headers of a request with the key `who`; `_` in a name stands for `-`."""
        given = {name.replace("_", "-"): text for name, text in more.items() if text is not None}
        return {"authorization": f"Bearer {self.keys[who]}", **given}

    def call(
        self,
        method: str,
        path: str,
        who: str = "owner",
        if_match: str | None = None,
        node: Node | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Call the API with the key `who`, and return its answer."""
        headers = self.headers(who, if_match=if_match) | options.pop("headers", {})
        return (node or self.node).send(method, API + path, headers=headers, **options)

    def get(self, path: str, who: str = "owner", **options: Any) -> Any:
        """Get a resource, and return its JSON."""
        response = self.call("GET", path, who, **options)
        assert response.status_code == httpx.codes.OK, response.text
        return response.json()

    def admin_client(self, who: str = "owner") -> AdminClient:
        """The typed client, with the key `who`."""
        return AdminClient(URL, api_key=self.keys[who], transport=_Transport(self.node))

    def close(self) -> None:
        """Close the nodes and the store."""
        for node in self.nodes:
            node.close()
        super().close()


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that the answer is this problem, in the form of RFC 9457, and return its members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert content["type"] == f"tag:licet,2026:{kind}"
    assert content["status"] == status
    assert content["request_id"] == response.headers["x-request-id"]
    assert content["title"]
    assert content["detail"]
    return content


def mistakes(response: httpx.Response) -> dict[str, str]:
    """The message of each wrong value, by its JSON pointer."""
    errors = problem(response, 422, "invalid-value")["errors"]
    return {error["pointer"]: error["message"] for error in errors}
