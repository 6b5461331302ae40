"""Starts the APIs of a run in processes of their own: one with its own memory, two that share one."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec
import psycopg

from chaos.history import ApiPlan
from chaos.site.databases import tests_postgres
from chaos.site.guarded_api import ONE, SQL, GuardedTenant, Spec
from chaos.site.nodes import PATIENCE_S, Node, free_port, wait_until
from chaos.site.plans import Made
from licet.guard import SqlMemory

OVERLAP_S = 0.15
PLANS = (ApiPlan(memory=ONE), *(ApiPlan(memory=SQL, overlap_s=OVERLAP_S),) * 2)


class ApiProcess:
    """The process of one API."""

    def __init__(self, spec: Spec, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(spec))
        self.port = spec.port
        with path.with_suffix(".log").open("wb") as log:
            command = [sys.executable, "-m", "chaos.site.guarded_api", str(path)]
            self._process = subprocess.Popen(command, stderr=log)

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "an API to answer")

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status > 0
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def apis(
    plans: Sequence[ApiPlan],
    made: Made,
    nodes: Sequence[Node],
    directory: Path,
    *,
    store: str,
    is_blind: bool,
) -> Iterator[tuple[int, ...]]:
    """Run these APIs during a `with` block, and yield their ports. Each introspects at another node."""
    with ExitStack() as stack:
        database = stack.enter_context(api_database(directory, store))
        running: list[ApiProcess] = []
        for number, plan in enumerate(plans):
            spec = Spec(
                port=free_port(),
                vendor=made.vendor.file,
                tenants=_tenants(made, nodes[number % len(nodes)], nodes[0]),
                database=database if plan.memory == SQL else "",
                overlap_s=plan.overlap_s,
                is_blind=is_blind,
            )
            running.append(ApiProcess(spec, directory / f"api{number}.json"))
            stack.callback(running[-1].kill)
        for api in running:
            api.wait_until_ready()
        yield tuple(api.port for api in running)


def _tenants(made: Made, node: Node, first: Node) -> tuple[GuardedTenant, ...]:
    return tuple(
        GuardedTenant(
            name=tenant.name,
            url=f"http://127.0.0.1:{node.port}/{tenant.name}",
            secret=tenant.asker_secret,
            issuer=f"{first.url}/{tenant.name}" if tenant.is_jwt else "",
        )
        for tenant in made.tenants
        if tenant.is_signed
    )


@contextmanager
def api_database(directory: Path, store: str) -> Iterator[str]:
    """The database of the APIs, of the same kind as the run's store. No fault strikes it."""
    if store != "postgres":
        path = directory / "api.sqlite"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(SqlMemory.SCHEMA)
        connection.close()
        yield str(path)
        return
    with tests_postgres()() as server:
        url = server.create_database("api")
        with psycopg.connect(url, autocommit=True) as own:
            own.execute(SqlMemory.SCHEMA.encode())
        yield url
