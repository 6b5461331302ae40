"""`python -m bench VERB`: the command line behind `make bench` and its relatives."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.counted import callgrind, options, overhead, sessions, signed
from bench.counted.callgrind import NoValgrind
from bench.counted.counting import calibrate, count
from bench.counted.guard import LOSS_MAX, Baseline, report
from bench.counted.neighbour_counts import count_neighbours
from bench.counted.work import KINDS as REQUESTS
from bench.measured.stores import KINDS, kinds
from bench.measured.tenants import CLIENTS_MANY
from bench.pages import page
from bench.pages.made import made, simulate_anew
from bench.timed import flood, neighbours, passwords_flood, scale, start
from bench.timed.flames import NoPySpy, draw
from bench.timed.run import Options, run
from bench.timed.scenarios import ROUNDS_MAX, SCENARIOS
from bench.timed.wrk import NoWrk

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the verb of the command line."""
    # An installed Licet has compiled modules; without this, each start of a server would compile them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(prog="bench")
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_run(verbs)
    _add_page(verbs)
    _add_scale(verbs)
    _add_sessions(verbs)
    _add_options(verbs)
    _add_simulate(verbs)
    _add_guard(verbs)
    _add_instructions(verbs)
    _add_overhead(verbs)
    _add_neighbours(verbs)
    _add_flood(verbs)
    _add_passwords(verbs)
    _add_flames(verbs)
    _add_start(verbs)
    asked = parser.parse_args()
    try:
        asked.do(asked)
    except (NoWrk, NoValgrind, NoPySpy) as fault:
        sys.exit(str(fault))


def _add_run(verbs: Any) -> None:
    parser = verbs.add_parser("run", help="measure the floor, Licet and the peers in turn")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, default=[], help="default: all")
    parser.add_argument("--connections", type=int, action="append", default=[], help="default: 1, 32 and 256")
    parser.add_argument("--clients", type=int, action="append", default=[], help="default: 1 and 10,000")
    parser.add_argument("--store", action="append", choices=KINDS, default=[], help="default: all")
    parser.add_argument(
        "--peer", action="append", default=[], help="name of a peer; default: all that are installed"
    )
    parser.add_argument(
        "--quick", action="store_true", help="32 connections, 10,000 clients, short, no peers"
    )
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-floods", action="store_true", help="without good clients beside floods")
    parser.add_argument("--no-python", action="store_true", help="without the system's Python")
    parser.add_argument(
        "--rounds", type=int, choices=range(1, ROUNDS_MAX), default=3, help="rounds that count"
    )
    parser.add_argument("--peer-connections", type=int, action="append", default=[], help="default: 32")
    parser.add_argument("--seconds", type=int, default=2, help="length of a round")
    parser.add_argument("--before", type=Path, help="result of an interrupted run to continue")
    parser.set_defaults(do=_run)


def _run(asked: argparse.Namespace) -> None:
    if asked.quick:
        asked.connections, asked.clients, asked.seconds, asked.rounds, asked.no_peers = (
            [32],
            [CLIENTS_MANY],
            1,
            1,
            True,
        )
    clients = asked.clients or [1, CLIENTS_MANY]
    options = Options(
        scenarios=asked.scenario or list(SCENARIOS),
        connections=asked.connections or [1, 32, 256],
        clients=clients,
        stores=tuple(asked.store) or KINDS,
        rounds=asked.rounds,
        seconds=asked.seconds,
        many=max(*clients, 2),
        peers=[] if asked.no_peers else asked.peer or ["all"],
        peer_connections=asked.peer_connections or [page.CONNECTIONS],
        before=str(asked.before or ""),
        floods=() if asked.no_floods else (1, 1.0) if asked.quick else (5, 2.0),
        python=not asked.no_python,
    )
    path = _new_result("run")
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        missed = run(options, Path(scratch), path)
    print(f"Kept. Into docs/explanation/performance.md: make bench-page WITH='--run {path}'")
    if missed:
        sys.exit("\n".join(missed))


def _add_page(verbs: Any) -> None:
    parser = verbs.add_parser("page", help="make the pages from the kept results")
    parser.add_argument("--run", type=Path, help="new result of `run` to keep")
    parser.add_argument("--scale", type=Path, help="new result of `scale` to keep")
    parser.add_argument(
        "--sessions",
        type=Path,
        action="append",
        help="new result of `sessions` to keep, or one for each store",
    )
    parser.add_argument("--neighbours", type=Path, help="new result of `neighbours` to keep")
    parser.set_defaults(do=_page)


def _page(asked: argparse.Namespace) -> None:
    for name in ("run", "scale", "neighbours"):
        if (path := getattr(asked, name)) is not None:
            (RESULTS / f"kept-{name}.json").write_text(path.read_text("utf-8"), "utf-8")
    if asked.sessions:
        found = sessions.merged([json.loads(path.read_text("utf-8")) for path in asked.sessions])
        (RESULTS / "kept-sessions.json").write_text(json.dumps(found, indent=1), "utf-8")
    simulate_anew(RESULTS)
    changed = page.write(made(RESULTS))
    print("\n".join(map(str, changed)) or "nothing has changed")


def _add_scale(verbs: Any) -> None:
    parser = verbs.add_parser("scale", help="how the cost of a grant grows with the data")
    parser.add_argument("--curve", action="append", choices=[*scale.CURVES, "nodes"], default=[])
    parser.add_argument("--store", action="append", choices=KINDS, default=[], help="default: all")
    parser.add_argument(
        "--sessions",
        type=int,
        action="append",
        default=[],
        help="number of live sessions; default: 1,000 to 1,000,000",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--seconds", type=int, default=3, help="length of a server's round")
    parser.add_argument("--before", type=Path, help="result of which the other curves are kept")
    parser.set_defaults(do=_scale)


def _scale(asked: argparse.Namespace) -> None:
    curves = asked.curve or [*scale.CURVES, "nodes"]
    length = scale.Length(asked.rounds, asked.seconds, tuple(asked.sessions))
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        found = scale.measure(curves, tuple(asked.store) or KINDS, length, Path(scratch))
    if asked.before is not None:
        found = scale.with_curves_of(found, json.loads(asked.before.read_text(encoding="utf-8")))
    path = _new_result("scale")
    path.write_text(json.dumps(found, indent=1))
    print(f"Kept. Into docs/explanation/scale.md: make bench-page WITH='--scale {path}'")


def _add_sessions(verbs: Any) -> None:
    parser = verbs.add_parser("sessions", help="each kind of request with ten million live sessions")
    parser.add_argument("--store", action="append", choices=KINDS, default=[], help="default: all")
    parser.add_argument(
        "--sessions",
        type=int,
        action="append",
        default=[],
        help="number of live sessions; default: 1,000, 1,000,000 and 10,000,000",
    )
    parser.add_argument("--rounds", type=int, default=20, help="rounds that count")
    parser.set_defaults(do=_sessions)


def _sessions(asked: argparse.Namespace) -> None:
    path, found = _new_result("sessions"), dict[str, Any]()
    with (
        tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch,
        kinds(Path(scratch), tuple(asked.store) or KINDS) as stores,
    ):
        for found in sessions.measure(
            stores, sorted(asked.sessions) or sessions.COUNTS, asked.rounds, Path(scratch)
        ):
            path.write_text(json.dumps(found, indent=1))
    print("\n".join(sessions.report(found)))
    print(f"Kept. Into docs/explanation/scale.md: make bench-page WITH='--sessions {path}'")
    if missed := list(sessions.missed(found)):
        sys.exit("\n".join(missed))


def _add_options(verbs: Any) -> None:
    parser = verbs.add_parser("options", help="a pool with many seats and rules, against a small one without")
    parser.add_argument("--store", action="append", choices=KINDS, default=[], help="default: all")
    parser.add_argument("--seats", type=int, default=options.SEATS, help="seats of the pool with rules")
    parser.add_argument(
        "--batch", type=int, action="append", default=[], help="grants in a batch; default: 1 and 14"
    )
    parser.add_argument("--rounds", type=int, default=200, help="rounds that count")
    parser.add_argument("--per-client", action="store_true", help="also with a limit for each client")
    parser.set_defaults(do=_options)


def _options(asked: argparse.Namespace) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch,
        kinds(Path(scratch), tuple(asked.store) or KINDS) as there,
    ):
        for kind in there:
            for batch in asked.batch or options.BATCHES:
                print(f"{kind.name}, {batch} at once, {asked.seats:,} seats:", flush=True)
                asks = {"batch": batch, "seats": asked.seats, "per_client": asked.per_client}
                times = options.measure(kind, rounds=asked.rounds, **asks)
                print("\n".join(options.report_times(times)), flush=True)
                if kind.name == KINDS[0]:
                    print("\n".join(options.report_counts(options.count(kind, **asks))), flush=True)


def _add_simulate(verbs: Any) -> None:
    parser = verbs.add_parser(
        "simulate", help="simulate a shard of a hundred million sessions from the kept results"
    )
    parser.set_defaults(do=_simulate)


def _simulate(asked: argparse.Namespace) -> None:
    del asked
    if not simulate_anew(RESULTS):
        print("The simulation that is kept is of the figures that are kept.")
    print("Into docs/explanation/scale.md: make bench-page")


def _add_guard(verbs: Any) -> None:
    parser = verbs.add_parser("guard", help="count the work of a request, and compare it with the baseline")
    parser.add_argument("--renew", action="store_true", help="write the counts as the new baseline")
    parser.set_defaults(do=_guard)


def _guard(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        counts = count(Path(scratch)) | count_neighbours()
        of_signed = signed.count_both(Path(scratch))
    baseline, calibration = Baseline(), calibrate()
    if asked.renew:
        baseline.renew(counts, calibration)
        baseline = Baseline()
    compared = baseline.compare(counts, calibration)
    print("\n".join([*report(baseline, counts, compared), "", *signed.report(of_signed)]))
    if any(it.is_loss for it in compared):
        sys.exit(f"A request takes more than {LOSS_MAX:.0%} more than it did.")
    if missed := [*signed.missed(of_signed)]:
        sys.exit("\n".join(missed))


def _add_instructions(verbs: Any) -> None:
    parser = verbs.add_parser("instructions", help="count the processor's instructions with valgrind")
    parser.set_defaults(do=_instructions)


def _instructions(asked: argparse.Namespace) -> None:
    del asked
    for kind, instructions in callgrind.count():
        print(f"{kind:12}{instructions:14,.0f} instructions of the processor a request", flush=True)


def _add_overhead(verbs: Any) -> None:
    parser = verbs.add_parser("overhead", help="the share of the journal and of the metrics in a request")
    parser.add_argument("--kind", choices=REQUESTS, default="grant")
    parser.add_argument(
        "--valgrind", action="store_true", help="also in processor instructions; takes minutes"
    )
    parser.set_defaults(do=_overhead)


def _overhead(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        found = overhead.measure(asked.kind, lambda: Path(tempfile.mkdtemp(dir=scratch)))
    print("\n".join(overhead.report(found)))
    if asked.valgrind:
        whole = callgrind.count_one(asked.kind)
        for parts in (("metrics",), ("journal",), overhead.PARTS):
            share = 1 - callgrind.count_one(asked.kind, parts) / whole
            print(
                f"{' and '.join(parts)}: {share:.1%} of {whole:,.0f} instructions of the processor",
                flush=True,
            )


def _add_neighbours(verbs: Any) -> None:
    parser = verbs.add_parser("neighbours", help="what a guard costs an API, and LicetAuth a program")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=int, default=2, help="length of an API's round")
    parser.add_argument("--counting", action="store_true", help="only what it costs a guard to count seats")
    parser.set_defaults(do=_neighbours)


def _neighbours(asked: argparse.Namespace) -> None:
    length = neighbours.Length(asked.rounds, asked.seconds)
    path = _new_result("neighbours")
    with (
        tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch,
        kinds(Path(scratch), KINDS[:1]) as (kind,),
    ):
        measure = neighbours.measure_counting if asked.counting else neighbours.measure
        found = measure(kind, length, Path(scratch))
    print("\n".join(neighbours.report(found)))
    if not asked.counting:
        path.write_text(json.dumps(found, indent=1))
        print(f"Kept. Into docs/explanation/performance.md: make bench-page WITH='--neighbours {path}'")
    if lost := list(neighbours.missed(found)):
        sys.exit("\n".join(lost))


def _add_flood(verbs: Any) -> None:
    parser = verbs.add_parser("flood", help="the rate of good clients during a flood of wrong secrets")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=2, help="length of a round")
    parser.set_defaults(do=_flood)


def _flood(asked: argparse.Namespace) -> None:
    length, is_lost = flood.Length(asked.rounds, asked.seconds), False
    with (
        tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch,
        kinds(Path(scratch), KINDS[:1]) as (kind,),
    ):
        for name, pairs in flood.measure(kind, length, Path(scratch)):
            print(flood.report(name, pairs), flush=True)
            is_lost |= name == flood.LIMITED and flood.ratio(pairs) < flood.KEPT_LEAST
    if is_lost:
        sys.exit(f"Good clients keep less than {flood.KEPT_LEAST} of their rate beside a flood.")


def _add_passwords(verbs: Any) -> None:
    parser = verbs.add_parser("passwords", help="how long a password waits during a flood of wrong ones")
    parser.set_defaults(do=_passwords)


def _passwords(_: argparse.Namespace) -> None:
    is_late = False
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        for name, waits in passwords_flood.measure(Path(scratch)):
            print(passwords_flood.report(name, waits), flush=True)
            is_late |= passwords_flood.is_late(waits.first_s, waits.refused)
    if is_late:
        sys.exit(f"A password waits for {passwords_flood.WANTED_S} s or more, or is refused, beside a flood.")


def _add_flames(verbs: Any) -> None:
    parser = verbs.add_parser("flames", help="draw flame graphs of a server under load, with py-spy")
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, default=[], help="default: grant and introspect"
    )
    parser.add_argument("--store", choices=KINDS, default=KINDS[0])
    parser.set_defaults(do=_flames)


def _flames(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        for path in draw(asked.store, asked.scenario or ["grant", "introspect"], page.CHARTS, Path(scratch)):
            print(path, flush=True)


def _add_start(verbs: Any) -> None:
    parser = verbs.add_parser("start", help="the time of a start, and the memory of an idle server")
    parser.add_argument("--store", action="append", choices=KINDS, default=[], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--imports", metavar="MODULE", help="only the time to import this module, by package")
    parser.set_defaults(do=_start)


def _start(asked: argparse.Namespace) -> None:
    if asked.imports:
        print("\n".join(start.imports(asked.imports)))
        return
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch,
        kinds(Path(scratch), tuple(asked.store) or KINDS) as stores,
    ):
        for kind in stores:
            starts = list(start.measure(kind, asked.rounds))
            print("\n".join(start.report(kind.name, starts)), flush=True)
            found[kind.name] = start.as_json(starts)
    _new_result("start").write_text(json.dumps(found, indent=1))


def _new_result(name: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"


if __name__ == "__main__":
    main()
