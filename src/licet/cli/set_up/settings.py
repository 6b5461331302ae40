"""Makes command-line options of an object's settings, reads their values, and formats them for output.

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
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from licet.cli import completing
from licet.cli.noun import option, takes
from licet.cli.options import exclusive, of_option, read_end
from licet.cli.output import Absent, Duration, Record, Shown, ends
from licet.model import InvalidValue, Value
from licet.refusal import Code
from licet.setup import kinds
from licet.setup.kinds import Kind
from licet.setup.noun import Noun, Setting, Settings, defaults_of
from licet.setup.options import kinds as option_kinds

Given = Mapping[str, Any]  # what was given, by field; an option that was not given is not among it
Verb = TypeVar("Verb", bound=Callable[..., None])

BY_VERBS = frozenset({"enabled", "keys"})  # by field: `enable`, `disable` and `key add` set them
_METAVARS: Mapping[type[Kind] | str, str] = {
    kinds.Line: "NAME",
    kinds.OptionalLine: "NAME",
    kinds.Whole: "N",
    kinds.Limit: "N",
    kinds.Number: "CODE",
    kinds.Duration: "TIME",
    kinds.ShortDuration: "TIME",
    kinds.End: "DATE",
    kinds.Choice: "WORD",
    kinds.Choices: "WORD",
    kinds.Alerts: "LIST",
    kinds.TimeZone: "ZONE",
    option_kinds.Bound: "N",
    option_kinds.Whos: "WHO",
    option_kinds.Shares: "N:WHO",
    option_kinds.Levels: "N:WHO",
    option_kinds.InOrder: "POOLS",
    # Names of what a tenant has
    "pool": "POOL",
    "scope": "SCOPE",
    "user": "INITIALS",
    "client": "CLIENT_ID",
}
_COMPLETING: Mapping[Any, Any] = {
    "pool": completing.pools,
    "scope": completing.scopes,
    "user": completing.users,
    "client": completing.clients,
    option_kinds.Whos: completing.whos,
    option_kinds.Shares: completing.whos_behind_a_number,
    option_kinds.Levels: completing.whos_behind_a_number,
}


def sets(
    noun: Noun, *, needed: Collection[str] = (), without: Collection[str] = (), both_ways: bool = True
) -> Callable[[Verb], Verb]:
    """A verb that sets what a noun has: an option for each setting, `without` some, by field.

    Unless it is `both_ways`, there is none that takes a setting back: what is new has nothing to be taken.
    """
    settings = [setting for setting in noun.settings if setting.field not in {*without, *BY_VERBS}]
    with_off = [setting for setting in settings if setting.off and both_ways]

    def with_options(verb: Verb) -> Verb:
        own = inspect.signature(verb, eval_str=True).parameters.values()
        options = []
        for setting in settings:
            options.append(_option(setting, is_needed=setting.field in needed))
            options += [_off_option(setting)] if setting in with_off else []

        @wraps(verb)
        def run(**arguments: Any) -> None:
            given = {setting.field: arguments.pop(setting.field) for setting in settings}
            given = {field: value for field, value in given.items() if value is not None}
            for setting in with_off:
                if arguments.pop(_off(setting)):
                    exclusive((f"--{_called(setting)}", setting.field in given), (f"--{setting.off}", True))
                    is_flag = isinstance(setting.kind, kinds.Flag)
                    given[setting.field] = False if is_flag else defaults_of(noun).get(setting.field)
            verb(**arguments, settings=given)

        parameters = [[parameter] if parameter.name != "settings" else options for parameter in own]
        return takes(run, *chain.from_iterable(parameters))  # type: ignore[return-value]  # typer calls it

    return with_options


def read(noun: Noun, given: Given, data: Path | None, tenant: str | None) -> Settings:
    """The settings that were given, by the clocks of the tenant.

    Raises InvalidValue, NotFound, StoreUnavailable.
    """
    return {
        setting.field: _read(setting, given[setting.field], data, tenant)
        for setting in noun.settings
        if setting.field in given
    }


def shown(noun: Noun, value: Value, zone: tzinfo) -> Record:
    """What is set of a value, by the names of the admin API."""
    return {
        setting.wire.removesuffix("_ms"): _shown(setting, getattr(value, setting.field), zone)
        for setting in noun.settings
    }


def _called(setting: Setting) -> str:
    return setting.option or setting.name.replace("_", "-")


def _off(setting: Setting) -> str:
    return f"no_{setting.field}"


def _option(setting: Setting, *, is_needed: bool) -> inspect.Parameter:
    kind, of = setting.kind, getattr(setting.kind, "of", "")
    shown = typer.Option(
        f"--{_called(setting)}",
        metavar=_METAVARS.get(type(kind)) or _METAVARS.get(of),
        help=_help(setting),
        autocompletion=_COMPLETING.get(type(kind)) or _COMPLETING.get(of),
    )
    if is_needed:
        return option(setting.field, Annotated[_type(kind), shown], inspect.Parameter.empty)
    return option(setting.field, Annotated[_type(kind) | None, shown])


def _off_option(setting: Setting) -> inspect.Parameter:
    shown = typer.Option(f"--{setting.off}", help=setting.off_help)
    return option(_off(setting), Annotated[bool, shown], default=False)


def _type(kind: Kind) -> Any:
    """As what typer reads it."""
    match kind:
        case kinds.Flag():
            return bool
        case kinds.Whole() | kinds.Number() if not isinstance(kind, kinds.Limit):
            return int
        case kinds.Choice():
            return kind.of
        case kinds.Choices():
            return list[kind.of]  # type: ignore[name-defined]  # it is what the kind says
        case kinds.Names() | option_kinds.Several() if not isinstance(kind, option_kinds.InOrder):
            return list[str]
        case _:
            return str


def _help(setting: Setting) -> str:
    """What it is, and how it is written."""
    kind, text = setting.kind, setting.help.rstrip(".")
    if isinstance(kind, kinds.Choice | kinds.Number | kinds.Choices):
        *first, last = map(str, kind.of)
        text = f"{text}: {', '.join(first)} or {last}"
    if isinstance(kind, option_kinds.Whos | option_kinds.Shares | option_kinds.Levels):
        return f"{text}, like {kind.hint}; repeatable."
    if isinstance(kind, kinds.Choices | kinds.Names | option_kinds.Listed):
        return f"{text}; repeatable."
    if isinstance(kind, option_kinds.Bound):
        return f"{text}."
    return f"{text}, like {kind.hint}." if kind.hint else f"{text}."


def _read(setting: Setting, given: Any, data: Path | None, tenant: str | None) -> Any:
    if isinstance(given, list):
        if isinstance(setting.kind, option_kinds.Several):
            with of_option(f"--{_called(setting)}"):
                return setting.kind.of_texts(given)
        return frozenset(given)
    if not isinstance(given, str) or isinstance(setting.kind, kinds.Choice):
        return given  # typer has read it
    if not given.strip():
        raise _nothing_given(setting)
    if isinstance(setting.kind, kinds.End):
        return read_end(f"--{_called(setting)}", given, data, tenant)
    with of_option(f"--{_called(setting)}", given if isinstance(setting.kind, kinds.Limit) else ""):
        return setting.kind.read(given, UTC)


def _nothing_given(setting: Setting) -> InvalidValue:
    """Refuse an option with an empty text: most often a variable of a script that is not set.

    On a page, an empty field is none, or all; here no scope loses its pools, and no pool its seats, by that.
    """
    like = f", like {setting.kind.hint}" if setting.kind.hint else ""
    text = f"--{_called(setting)} is empty; give a value{like}"
    return InvalidValue(text, code=Code.MALFORMED)


def _shown(setting: Setting, value: Any, zone: tzinfo) -> Shown:
    kind = setting.kind
    match kind:
        case kinds.Duration():
            shown: Shown = Duration(value)
        case kinds.End():
            shown = ends(value, zone, "expired")
        case kinds.Alerts() | option_kinds.InOrder():
            shown = list(value)
        case option_kinds.Several():
            shown = kind.fact(value)
        case kinds.Names() | kinds.Limit() | option_kinds.Bound() if value is None:
            shown = Absent(kind.nothing)
        case kinds.Names() | kinds.Choice() | kinds.Choices():
            shown = kind.fact(value)
        case _:
            shown = kind.shown(value)
    return shown
