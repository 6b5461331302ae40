"""Makes the options of a noun's settings, reads what was given to them, and shows a value by them.

    @app.verb("set")
    @sets(POOL)
    def set_(name: Name, *, settings: Given, tenant: TenantName = None, ...) -> None:
        changes = read(POOL, settings, data, tenant)

`sets` puts an option for each setting in the place of `settings`, which is then what was given to them, by
field. What cannot be read is refused with the name of its option.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, tzinfo
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from licet.cli.options import of_option, read_end
from licet.cli.output import Duration as ShownDuration
from licet.cli.output import Record, Shown, ends
from licet.model import Value
from licet.setup.kinds import Alerts, Choice, Duration, End, Flag, Kind, Number, Reference, TimeZone, Whole
from licet.setup.noun import Noun, Setting, Settings

Given = Mapping[str, Any]  # what was given, by field; an option that was not given is not among it
Verb = TypeVar("Verb", bound=Callable[..., None])

_METAVARS: Mapping[type[Kind], str] = {
    Whole: "N",
    Number: "CODE",
    Duration: "TIME",
    End: "DATE",
    Choice: "WORD",
    Reference: "NAME",
    Alerts: "LIST",
    TimeZone: "ZONE",
}


def sets(
    noun: Noun, *, needed: Collection[str] = (), without: Collection[str] = ()
) -> Callable[[Verb], Verb]:
    """A verb that sets what a noun has: an option for each setting, `without` some, by field."""
    settings = [setting for setting in noun.settings if setting.field not in without]

    def with_options(verb: Verb) -> Verb:
        own = inspect.signature(verb, eval_str=True)
        options = [_option(setting, is_needed=setting.field in needed) for setting in settings]
        parameters: list[inspect.Parameter] = []
        for parameter in own.parameters.values():
            parameters += options if parameter.name == "settings" else [parameter]

        @wraps(verb)
        def run(**arguments: Any) -> None:
            given = {it.field: arguments.pop(it.field) for it in settings}
            verb(**arguments, settings={name: it for name, it in given.items() if it is not None})

        vars(run)["__signature__"] = own.replace(parameters=parameters)
        run.__annotations__ = {it.name: it.annotation for it in parameters}
        return run  # type: ignore[return-value]  # typer calls it, by its new signature

    return with_options


def read(noun: Noun, given: Given, data: Path | None, tenant: str | None) -> Settings:
    """The settings that were given, by the clocks of the tenant.

    Raises InvalidValue, NotFound, StoreUnavailable.
    """
    return {it.field: _read(it, given[it.field], data, tenant) for it in noun.settings if it.field in given}


def shown(noun: Noun, value: Value, zone: tzinfo) -> Record:
    """What is set of a value, by the names of the admin API."""
    return {it.wire.removesuffix("_ms"): _shown(it, getattr(value, it.field), zone) for it in noun.settings}


def _option(setting: Setting, *, is_needed: bool) -> inspect.Parameter:
    kind, name = setting.kind, setting.name.replace("_", "-")
    named = f"--{name}/--{setting.off}" if isinstance(kind, Flag) else f"--{name}"
    option = typer.Option(named, metavar=_METAVARS.get(type(kind)), help=_help(setting))
    of: Any = int if isinstance(kind, Whole | Number) else str
    if isinstance(kind, Choice | Flag):
        of = kind.of if isinstance(kind, Choice) else bool
    return inspect.Parameter(
        setting.field,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[of if is_needed else of | None, option],
        default=inspect.Parameter.empty if is_needed else None,
    )


def _help(setting: Setting) -> str:
    """What it is, and how it is written."""
    kind, text = setting.kind, setting.help.rstrip(".")
    if isinstance(kind, Choice | Number):
        *first, last = map(str, kind.of)
        return f"{text}: {', '.join(first)} or {last}."
    return f"{text}, like {kind.hint}." if kind.hint else setting.help


def _read(setting: Setting, given: Any, data: Path | None, tenant: str | None) -> Any:
    if not isinstance(given, str) or isinstance(setting.kind, Choice):
        return given  # typer has read it
    option = f"--{setting.name.replace('_', '-')}"
    if isinstance(setting.kind, End):
        return read_end(option, given, data, tenant)
    with of_option(option):
        return setting.kind.read(given, UTC)


def _shown(setting: Setting, value: Any, zone: tzinfo) -> Shown:
    match setting.kind:
        case Duration():
            return ShownDuration(value)
        case End():
            return ends(value, zone, "expired")
        case Choice():
            return str(value.value)
        case Alerts():
            return list(value)
        case _:
            shown: Shown = setting.kind.shown(value)
            return shown
