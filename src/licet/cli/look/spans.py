"""Defines the options that say which span of time a report is of, and reads them."""

from collections.abc import Callable
from datetime import date, tzinfo
from typing import Annotated, Any

import typer

from licet.cli.errors import WrongUse
from licet.formats import begin_ms, end_ms, read_moment
from licet.model import InvalidValue
from licet.refusal import Code
from licet.reports.spans import USUAL_OF_PEAKS, USUAL_OF_SUMS, USUAL_OF_WHAT_IF, Reach, first_ms
from licet.units import HOUR_MS

DAYS_MAX = 3660  # ten years: more is not useful


def _days(usual: str) -> Any:
    text = f"The last N days, including today; by default {usual}."
    return typer.Option("--days", min=1, max=DAYS_MAX, metavar="N", help=text)


Days = Annotated[int | None, _days(f"{USUAL_OF_PEAKS.days}, or {USUAL_OF_SUMS.days} for costs")]
DaysOfSums = Annotated[int | None, _days(f"{USUAL_OF_SUMS.days}")]
DaysOfWhatIf = Annotated[int | None, _days(f"{USUAL_OF_WHAT_IF.days}")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="The beginning, such as 2026-06-01 or 2026-06-01T08:00."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="The end; a date means its end. By default now."),
]


def only_of_a_verb(ctx: typer.Context) -> bool:
    """Whether a verb of a group follows, to which all options then belong.

    Raises WrongUse where an option stands before it.
    """
    verb = ctx.invoked_subcommand
    if verb is None:
        return False
    sources = (ctx.get_parameter_source(name) for name in ctx.params)
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise WrongUse(f"options stand after the verb: {ctx.command_path} {verb} ...")
    return True


def span_of(
    days: int | None, from_: str | None, until: str | None, now_ms: int, usual: Reach
) -> tuple[int, int]:
    """The begin and end of the span; where none is said, it is the `usual` one.

    Raises WrongUse.
    """
    if days is not None and (from_ or until):
        raise WrongUse("--days, or --from and --until, not both")
    if until and not from_:
        raise WrongUse("--until needs --from")
    if from_:
        from_ms = _instant("--from", from_, begin_ms)
        until_ms = min(_instant("--until", until, end_ms), now_ms) if until else now_ms
    else:
        from_ms, until_ms = first_ms(days or usual.days, now_ms, None), now_ms
    if from_ms >= now_ms:
        raise WrongUse(f"--from is in the future: {from_}")
    if from_ms >= until_ms:
        raise WrongUse(f"--until is not after --from: {until}")
    if from_ms < 0 or until_ms - from_ms > (DAYS_MAX + 1) * 24 * HOUR_MS:
        raise WrongUse(f"at most {DAYS_MAX} days from --from on")
    return from_ms, until_ms


def _instant(option: str, text: str, read: Callable[[date, tzinfo | None], int]) -> int:
    """The instant of a date or a time by this machine's clock. Raises WrongUse."""
    try:
        return read(read_moment(text), None)
    except InvalidValue as wrong:
        if wrong.code is not Code.MALFORMED:
            raise WrongUse(f"{option}: {wrong}") from None
        raise WrongUse(f"{option} is a time like 2026-06-01 or 2026-06-01T08:00, not {text[:40]!r}") from None
