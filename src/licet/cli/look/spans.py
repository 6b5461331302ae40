"""Defines the options that say which span of time a report is of, and reads them."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from licet.cli.errors import WrongUse
from licet.cli.terminal import local
from licet.units import HOUR_MS

DAYS = 7
DAYS_OF_REPORT = 31  # of a report that compares days, or replays them
DAYS_MAX = 3660  # ten years: more is not useful


def _days(usual: str) -> Any:
    return typer.Option(
        "--days", min=1, max=DAYS_MAX, metavar="N", help=f"The last N days, including today: {usual}."
    )


Days = Annotated[int | None, _days(f"{DAYS}, or {DAYS_OF_REPORT} for costs")]
DaysOfReport = Annotated[int | None, _days(f"{DAYS_OF_REPORT}")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="The beginning, such as 2026-06-01 or 2026-06-01T08:00."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="The end; by default now.")]


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
    days: int | None, from_: str | None, until: str | None, now_ms: int, *, usual: int = DAYS
) -> tuple[int, int]:
    """The begin and end of the span; where none is said, it has the `usual` number of days.

    Raises WrongUse.
    """
    if days is not None and (from_ or until):
        raise WrongUse("--days, or --from and --until, not both")
    if until and not from_:
        raise WrongUse("--until needs --from")
    if from_:
        from_ms, until_ms = moment_of("--from", from_), moment_of("--until", until) if until else now_ms
    else:
        midnight = local(now_ms).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        from_ms, until_ms = _ms(midnight - timedelta(days=(days or usual) - 1)), now_ms
    if from_ms >= now_ms:
        raise WrongUse(f"--from is in the future: {from_}")
    if from_ms >= until_ms:
        raise WrongUse(f"--until is not after --from: {until}")
    if from_ms < 0 or until_ms - from_ms > (DAYS_MAX + 1) * 24 * HOUR_MS:
        raise WrongUse(f"at most {DAYS_MAX} days from --from on")
    return from_ms, until_ms


def moment_of(option: str, text: str) -> int:
    """An instant by this machine's clock. Raises WrongUse."""
    try:
        return _ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise WrongUse(f"{option} is a time like 2026-06-01 or 2026-06-01T08:00, not {text[:40]!r}") from None


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
