"""Upgrades from the previous version under load and faults: node by node, up to the last step.

    tables of the previous version -> migrate -> old nodes -> each is replaced in turn -> migrate --finish

Load, administrator and faults continue all the time; a node that dies starts again with its current version.
The history is checked like any other. On SQLite there may be one node, which uses the store with one version
after the other.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chaos.faults.nemesis import Nemesis
from chaos.history import Fault, Writer, now_us
from chaos.run import Options, Run
from chaos.site.databases import Database
from chaos.site.nodes import PATIENCE_S, Node

FAULTS = ("kill", "kill all", "kill committer", "pause", "pause committer")
REPLACED = "replaced"
FINISH_AGAIN_S = 1.0
_MAKE_TABLES = """
import os
from pathlib import Path
from licet.clock import SystemClock
from licet.store.migrate import HEAD
from licet.store.opening import StoreAt

at = StoreAt(Path(os.environ["LICET_DATA"]), os.environ.get("LICET_STORE"))
at.open(SystemClock(), create=True).close()
print("The previous version has made a store of schema", HEAD)
"""
OLDER_NODES = "servers of an older version still run"


class Upgrade(Run):
    """One upgrade, with `turns` of faults before each step and after the last one."""

    def __init__(self, options: Options, directory: Path, previous: Path, turns: int) -> None:
        options = msgspec.structs.replace(options, faults=options.faults or FAULTS, seconds=0)
        super().__init__(options, directory)
        self.steps: list[str] = []  # what each printed
        self._previous = previous
        self._turns = turns

    def make_tables(self, database: Database) -> None:
        """Make the tables of the previous version, and take the first step of the upgrade."""
        variables = {**database.variables(-1)}
        self.steps.append(_done(variables | {"PYTHONPATH": str(self._previous)}, "-c", _MAKE_TABLES))
        self.steps.append(_done(variables, "-m", "licet", "migrate"))

    def _node(self, number: int, variables: Mapping[str, str], broken: str) -> Node:
        return super()._node(number, {**variables, "PYTHONPATH": str(self._previous)}, broken)

    def _break_until_the_end(self, nemesis: Nemesis, database: Database, writer: Writer) -> None:
        for node in [*self._nodes]:
            self._break(nemesis)
            self._replace(node, writer)
        self._break(nemesis)
        self.steps.append(self._finish(database.variables(-1), writer))
        self._break(nemesis)
        time.sleep(self.options.calm_s)

    def _break(self, nemesis: Nemesis) -> None:
        for _ in range(self._turns):
            self._rest()
            nemesis.turn()
        self._rest()

    def _replace(self, node: Node, writer: Writer) -> None:
        """Stop one node as an administrator does, and start it with this version."""
        begun_us = now_us()
        node.terminate()
        node.restore("PYTHONPATH")
        node.start()
        node.wait_until_ready()
        writer.write(Fault(kind=REPLACED, begun_us=begun_us, ended_us=now_us(), nodes=(node.number,)))

    def _finish(self, variables: Mapping[str, str], writer: Writer) -> str:
        """Take the last step once no old server counts as running; a killed one still does for a while."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            begun_us = now_us()
            done = _ran(variables, "-m", "licet", "migrate", "--finish")
            if not done.returncode:
                # A client that asks while the tables are locked gets no answer, or a late one.
                writer.write(Fault(kind="finished", begun_us=begun_us, ended_us=now_us()))
                return str(done.stdout)
            if OLDER_NODES not in done.stderr or time.monotonic() > until_s:
                raise RuntimeError(done.stderr)
            time.sleep(FINISH_AGAIN_S)


def _done(variables: Mapping[str, str], *arguments: str) -> str:
    done = _ran(variables, *arguments)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return str(done.stdout)


def _ran(variables: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[Any]":
    others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
    command: Sequence[str] = (sys.executable, *arguments)
    return subprocess.run(
        command, env={**others, **variables}, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
