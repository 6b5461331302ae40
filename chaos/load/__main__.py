"""Runs one process of the load, with many clients: `python -m chaos.load SPEC`.

It runs until it reads `quiet` from its standard input; then it lets its requests end, introspects every
session that its clients have, and exits. Several times a second it prints the number of its operations.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop

from chaos.history import Writer
from chaos.load.clients import Load
from chaos.load.process import Spec

REPORT_EVERY_S = 0.25


async def _serve(spec: Spec) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with Writer(Path(spec.history)) as writer:
        load = Load(spec, writer)
        running = asyncio.create_task(load.run())
        reporting = asyncio.create_task(_report(load))
        await reader.readline()  # `quiet`, or the end of the process that started it
        load.target.over.set()
        await running
        reporting.cancel()
        _print_count(load)


async def _report(load: Load) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        _print_count(load)


def _print_count(load: Load) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(load.target.count) + b"\n")
    sys.stdout.flush()


def main() -> None:
    """Run the load of a specification, whose file is the only argument."""
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(spec))


if __name__ == "__main__":
    main()
