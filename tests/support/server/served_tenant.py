"""A tenant of its own for one test, on the shared server."""

from itertools import count
from typing import Any

import httpx

from licet.cli.run.demo import PASSWORD
from support.server.running import PASSWORD_HASH, RunningServer

AWAY = "away.db"
_NUMBERS = count(1)


class ServedTenant:
    """A tenant of its own for one test, on the shared server.

    `full` has 2 seats; `TestClientId` is of user `TC`, `Client2` of `C2`, `Client3` of `C3`, and `Api`, of
    `AP`, may introspect. Every password is `password`.
    """

    def __init__(self, server: RunningServer, name: str = "") -> None:
        """Without a name it has one that no other tenant of this process of tests has."""
        self.server = server
        self.name = name or f"Tenant{next(_NUMBERS)}"
        with server.changing() as change:
            tenant = change.add_tenant(self.name, seats=2)
            for client_id, initials in {
                "TestClientId": "TC",
                "Client2": "C2",
                "Client3": "C3",
                "Api": "AP",
            }.items():
                tenant.add_user(initials, password_hash=PASSWORD_HASH)
                tenant.add_client(client_id, user=initials, introspects=client_id == "Api")

    def ask(
        self, endpoint: str, client_id: str = "TestClientId", secret: str = PASSWORD, /, **form: str
    ) -> httpx.Response:
        """The answer to a client that sends its credentials in the header, and this form."""
        return self.server.ask(f"{self.name}/{endpoint}", client_id, secret, **form)

    def grant(self, client_id: str = "TestClientId", /, **form: str) -> dict[str, Any]:
        """The content of the answer to a grant of this client."""
        return _good(self.ask("token", client_id, grant_type="client_credentials", **form))

    def refresh(
        self, tokens: dict[str, Any], client_id: str = "TestClientId", /, **form: str
    ) -> httpx.Response:
        """The answer to a client that refreshes a session."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **form}
        return self.ask("token", client_id, **form)

    def introspect(self, token: str) -> dict[str, Any]:
        """The content of an introspection of a token by `Api`."""
        return _good(self.ask("introspect", "Api", token=token))

    def post(self, endpoint: str, content: bytes | str = b"", **headers: str) -> httpx.Response:
        """The answer to this body and these headers; the body is a form unless a header says otherwise."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("content-type", "application/x-www-form-urlencoded")
        return self.server.http.post(f"/{self.name}/{endpoint}", content=content, headers=named)

    def seats_in_use(self) -> int:
        """The number of its seats in use."""
        with self.server.store() as store, store.reading() as connection:
            tenant = store.tenant(self.name)
            assert tenant is not None
            query = "SELECT count(*) FROM seat WHERE tenant_id = ? AND expires_at_ms > ?"
            found = connection.exec_driver_sql(query, (tenant.id, self.server.clock.now_ms()))
            seats: int = found.scalar_one()
            return seats

    def places(self) -> list[str]:
        """The clients in line for its seats."""
        with self.server.store() as store, store.reading() as connection:
            tenant = store.tenant(self.name)
            assert tenant is not None
            query = "SELECT holder FROM queue_place WHERE tenant_id = ? ORDER BY level DESC, number"
            return list(connection.exec_driver_sql(query, (tenant.id,)).scalars())


def suspend(tenant: ServedTenant, client_id: str = "TestClientId", *, seconds: float) -> None:
    """Suspend a client for so long (L12)."""
    until_ms = tenant.server.clock.now_ms() + round(seconds * 1000)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).suspend(client_id, until_ms)


def _good(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == httpx.codes.OK, response.text
    content: dict[str, Any] = response.json()
    return content
