"""Good clients beside a flood, as a part of `run`: wrong secrets on each store, and wrong passwords.

There are bounds for the rate that good clients keep, and for the time that a password may wait. A run that
misses one fails after everything else was measured and written.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.measured.stores import Kind
from bench.timed import flood, passwords_flood


def measure(kinds: Sequence[Kind], length: flood.Length, directory: Path) -> Iterator[tuple[str, Any]]:
    """Measure each part; yield its name, `secrets STORE` or `passwords`, and its result."""
    for kind in kinds:
        found = []
        for name, pairs in flood.measure(kind, length, directory):
            print(f"{kind.name}: {flood.report(name, pairs)}", flush=True)
            ratios = sorted(pair.flooded / pair.live for pair in pairs)
            found.append(
                {
                    "flood": name,
                    "beside_live": median(pair.live for pair in pairs),
                    "beside_flood": median(pair.flooded for pair in pairs),
                    "kept": median(ratios),
                    "kept_least": ratios[0],
                    "kept_most": ratios[-1],
                }
            )
        yield f"secrets {kind.name}", found
    found = []
    for name, waits in passwords_flood.measure(directory):
        print(passwords_flood.report(name, waits), flush=True)
        found.append({"flood": name, **waits._asdict()})
    yield "passwords", found


def names(kinds: Sequence[Kind]) -> list[str]:
    """The names of the parts."""
    return [*(f"secrets {kind.name}" for kind in kinds), "passwords"]


def missed(floods: Mapping[str, Any]) -> Iterator[str]:
    """The bounds that were missed, in sentences. Secrets have a bound only with the default limits."""
    for part, found in floods.items():
        for of_one in found:
            if of_one["flood"] == flood.LIMITED and of_one["kept"] < flood.KEPT_LEAST:
                yield f"{part}: good clients keep {of_one['kept']:.2f}, and {flood.KEPT_LEAST} is the least."
            if part == "passwords" and passwords_flood.is_late(of_one["first_s"], of_one["refused"]):
                waited_s, refused = max(of_one["first_s"]), of_one["refused"]
                yield (
                    f"{of_one['flood']}: a password waited {waited_s:.1f} s, {refused} were refused;"
                    f" {passwords_flood.WANTED_S} s and none are the most."
                )


def table(floods: Mapping[str, Any], stores: Mapping[str, str]) -> Iterator[str]:
    """This part of the page, in lines; `stores` are the titles of the stores."""
    yield (
        f"Good clients beside a flood. {flood.CONNECTIONS} connections of one address send wrong secrets as"
        " fast as they are answered, and as many good clients of another address refresh. They keep this"
        " share of the rate that they have beside as many requests to `/health/live`;"
        f" {flood.KEPT_LEAST} is the least that passes while the limits on failed attempts are as they are:"
    )
    yield ""
    yield "| wrong secrets | store | refreshes a second | beside `/health/live` | kept |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for kind, store in stores.items():
        for of_one in floods.get(f"secrets {kind}", ()):
            rates = f"{of_one['beside_flood']:,.0f} | {of_one['beside_live']:,.0f}"
            kept = f"{of_one['kept']:.2f} ({of_one['kept_least']:.2f} to {of_one['kept_most']:.2f})"
            yield f"| {of_one['flood']} | {store} | {rates} | {kept} |"
    if found := floods.get("passwords"):
        yield ""
        yield (
            f"And a password that is checked for the first time, while {passwords_flood.AT_ONCE} wrong ones"
            f" are sent at a time; {passwords_flood.WANTED_S:.0f} s is the most that passes:"
        )
        yield ""
        yield "| wrong passwords | slowest first grant | slowest second grant | refused |"
        yield "| --- | ---: | ---: | ---: |"
        for of_one in found:
            first, again = (1000 * max(of_one[name]) for name in ("first_s", "again_s"))
            yield f"| {of_one['flood']} | {first:,.0f} ms | {again:,.0f} ms | {of_one['refused']} |"
