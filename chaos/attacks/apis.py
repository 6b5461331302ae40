"""Starts the APIs that are attacked, in processes of their own: one alone, and two that share a table."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from chaos.attacks.figures import OVERLAP_S
from chaos.history import now_us
from chaos.site.apis import ApiProcess, api_database
from chaos.site.guarded_api import GuardedTenant, Spec
from chaos.site.nodes import free_port

PATIENCE_S = 10.0


class Apis(NamedTuple):
    """The ports of the APIs by their memory."""

    alone: tuple[int, ...]
    shared: tuple[int, ...]


@contextmanager
def apis(
    directory: Path,
    name: str,
    vendor: bytes,
    tenants: tuple[GuardedTenant, ...],
    *,
    store: str = "sqlite",
    is_blind: bool = False,
) -> Iterator[Apis]:
    """One API alone, and two that share a table."""
    with ExitStack() as stack:
        own = directory / name
        own.mkdir()
        database = stack.enter_context(api_database(own, store))
        running: list[ApiProcess] = []
        for number, where in enumerate(("", database, database)):
            spec = Spec(
                port=free_port(),
                vendor=vendor,
                tenants=tenants,
                database=where,
                is_blind=is_blind,
                overlap_s=OVERLAP_S,
            )
            running.append(ApiProcess(spec, own / f"api{number}.json"))
            stack.callback(running[-1].kill)
        for api in running:
            api.wait_until_ready()
        ports = [api.port for api in running]
        yield Apis(alone=(ports[0],), shared=(ports[1], ports[2]))


class Caller:
    """Calls APIs over connections that stay; each thread has one."""

    def __init__(self, ports: Sequence[int], tenant: str) -> None:
        self._connections = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for port in ports]
        self._path = f"/{tenant}"
        self._turn = 0

    def call(self, token: str) -> tuple[int, int, int]:
        """Send a call; returns its status, and when it was sent and answered."""
        self._turn += 1
        connection = self._connections[self._turn % len(self._connections)]
        sent_us = now_us()
        try:
            connection.request("POST", self._path, headers={"authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
        except OSError:
            connection.close()
            return 0, sent_us, 0
        return answer.status, sent_us, now_us()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()
