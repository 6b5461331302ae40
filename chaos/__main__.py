"""Runs the fault harness: `python -m chaos run`, `upgrade`, `check FILE...` and `attack`.

Exit codes: 0 without findings, 1 with findings, 2 for wrong use.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.attacks.figures import HEAD, line_of
from chaos.attacks.forged import forged
from chaos.attacks.servers import clones, primaries, rows
from chaos.campaign import PART, make_many
from chaos.checks.checker import check
from chaos.history import read_history
from chaos.report import summary
from chaos.run import Options, Run
from chaos.site.previous import NoHistory, unpack
from chaos.upgrade import Upgrade

ATTACKS = {"forged": forged, "clones": clones, "primaries": primaries, "rows": rows}


def main() -> int:
    """Carry out the command; returns the exit code."""
    options = _parser().parse_args()
    if options.verb == "check":
        return _check(options.files)
    if options.verb == "attack":
        return _attack(options.only or list(ATTACKS), options.seconds)
    return _upgrade(options) if options.verb == "upgrade" else _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="make a history under faults, and check it")
    run.add_argument("--seed", type=int, default=0, help="of all random choices; 0 chooses one")
    run.add_argument("--minutes", type=float, default=3.0, help="how long there are faults")
    run.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    run.add_argument("--nodes", type=int, default=3)
    run.add_argument("--loads", type=int, default=1, help="processes of the load")
    run.add_argument(
        "--operations",
        type=int,
        default=0,
        help="run so many operations in parts, however long it takes; continues in --keep",
    )
    run.add_argument("--between", type=int, default=0, help="operations after each fault, at least")
    run.add_argument("--part", type=int, default=PART, help="operations of each part")
    run.add_argument(
        "--renewals", action="store_true", help="a load of mostly renewals, at one node for each tenant"
    )
    run.add_argument("--options", action="store_true", help="only tenants whose pools have options")
    run.add_argument("--copies", type=int, default=1, help="tenants of each kind that is not signed")
    run.add_argument(
        "--forked", action="store_true", help="fork nodes instead of starting programs, which takes less time"
    )
    run.add_argument("--share", type=float, default=1.0, help="the share of the clients that take part")
    run.add_argument(
        "--fault", action="append", default=[], help="a kind of fault, repeatable; without it all"
    )
    run.add_argument("--broken", default="", help="a defect of chaos.site.mistakes in every node")
    run.add_argument("--keep", type=Path, help="the directory in which the history is kept")
    upgrade = verbs.add_parser(
        "upgrade", help="upgrade from the previous version, node by node, under faults"
    )
    upgrade.add_argument("--seed", type=int, default=0)
    upgrade.add_argument("--store", choices=("sqlite", "postgres"), default="postgres")
    upgrade.add_argument(
        "--nodes", type=int, default=2, help="on SQLite, 1 runs the two versions one after the other"
    )
    upgrade.add_argument("--turns", type=int, default=2, help="how many faults strike before each step")
    upgrade.add_argument("--share", type=float, default=1.0, help="the share of the clients that take part")
    upgrade.add_argument("--keep", type=Path, help="the directory in which the history is kept")
    attack = verbs.add_parser("attack", help="try to get more people to work than seats are signed")
    attack.add_argument("--seconds", type=float, default=60.0, help="for each attack")
    attack.add_argument("--only", choices=tuple(ATTACKS), action="append", default=[])
    checking = verbs.add_parser("check", help="check a history that was kept")
    checking.add_argument("files", type=Path, nargs="+")
    return parser


def _run(asked: argparse.Namespace) -> int:
    options = Options(
        seed=asked.seed or random.randrange(1, 1 << 32),
        seconds=asked.minutes * 60,
        store=asked.store,
        nodes=asked.nodes,
        loads=asked.loads,
        share=asked.share,
        faults=tuple(asked.fault),
        broken=asked.broken,
        copies=asked.copies,
        renewals=asked.renewals,
        with_options=asked.options,
        is_forked=asked.forked,
        between=asked.between,
    )
    print(f"seed {options.seed}", flush=True)
    directory = asked.keep or Path(tempfile.mkdtemp(prefix="licet-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    if asked.operations:
        return make_many(options, directory, asked.operations, asked.part)
    run = Run(options, directory)
    is_whole = True
    try:
        run.run()
    except TimeoutError as fault:  # Licet did not recover from a fault by itself.
        print(f"The run ended early: {fault}")
        is_whole = False
    code = _check(run.files()) or int(not is_whole)
    if code or asked.keep:
        print(f"The history stays in {directory}; again: python -m chaos check {directory}/*.history")
    else:
        shutil.rmtree(directory)
    return code


def _upgrade(asked: argparse.Namespace) -> int:
    options = Options(
        seed=asked.seed or random.randrange(1, 1 << 32),
        seconds=0,
        store=asked.store,
        nodes=asked.nodes,
        share=asked.share,
        calm_s=10,
        expiries=1,
    )
    print(f"seed {options.seed}", flush=True)
    directory = asked.keep or Path(tempfile.mkdtemp(prefix="licet-upgrade-"))
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="licet-previous-") as previous:
        try:
            run = Upgrade(options, directory, unpack(Path(previous)), asked.turns)
        except NoHistory as fault:
            print(fault)
            return 2
        run.run()
    print("".join(run.steps))
    code = _check(run.files())
    if not code and not asked.keep:
        shutil.rmtree(directory)
    return code


def _attack(names: list[str], seconds: float) -> int:
    print(HEAD, flush=True)
    is_kept = True
    for name in names:
        with tempfile.TemporaryDirectory(prefix="licet-attack-") as directory:
            for figures in ATTACKS[name](Path(directory), seconds):
                print(line_of(figures), flush=True)
                is_kept &= figures.is_kept
    return 0 if is_kept else 1


def _check(files: list[Path]) -> int:
    report = check(read_history(files))
    print(summary(report))
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
