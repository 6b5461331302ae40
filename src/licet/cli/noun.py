"""Makes the group of commands of a noun: `licet pool add`, `licet pool list`.

It defines only their look: what a verb does is in the noun's own module.
"""

from collections.abc import Callable
from functools import partial
from inspect import Parameter, Signature, cleandoc
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])


NAMED = "licet.named"  # key in the context's `meta`, which the whole call shares: the options of the verb


class PlainCommand(TyperCommand):
    """A verb. Its help is laid out by the width of the terminal, and not by the lines of the source."""

    def __init__(self, *arguments: Any, help: str | None = None, **options: Any) -> None:  # noqa: A002 - typer's
        super().__init__(*arguments, help=_unfolded(help), **options)

    def get_params(self, ctx: Any) -> Any:
        """The options, as the help shows them."""
        return _plain(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run it, and note its tenant and data for the advice in an error."""
        ctx.meta[NAMED] = {name: ctx.params[name] for name in ("tenant", "data") if name in ctx.params}
        return super().invoke(ctx)


class PlainGroup(TyperGroup):
    """A noun."""

    def __init__(self, *arguments: Any, help: str | None = None, **options: Any) -> None:  # noqa: A002 - typer's
        super().__init__(*arguments, help=_unfolded(help), **options)

    def get_params(self, ctx: Any) -> Any:
        """The options, as the help shows them."""
        return _plain(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run its verb, or itself, and note its own tenant and data for the advice in an error."""
        named = {name: ctx.params[name] for name in ("tenant", "data") if name in ctx.params}
        if named:
            ctx.meta[NAMED] = named
        return super().invoke(ctx)


def _plain(params: Any) -> Any:
    """The help shows no value for a flag, and for an argument its name instead of a type."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
        if bounds := _bounds(param):
            vars(param)["_get_number_range_help_str"] = lambda bounds=bounds: bounds
        if isinstance(param, TyperArgument):
            # typer has no setting for either.
            vars(param)["display_type_rich"] = _no_type
            vars(param)["_usage_display_name"] = partial(_usage_name, param)
    return params


def _unfolded(text: str | None) -> str | None:
    """Each paragraph as one line."""
    return text and "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))


def _bounds(param: Any) -> str:
    """Of a number, in words."""
    least, most = getattr(param, "min", None), getattr(param, "max", None)
    if least is None or getattr(param, "count", False):
        return ""
    return f"{least} or more" if most is None else f"{least} to {most:,}"


def _no_type(ctx: Any) -> None:  # noqa: ARG001 - as typer calls it
    return None


def _usage_name(argument: Any) -> str:
    """`NAME`, or `[SID]` where it is optional."""
    name = argument.display_name_raw + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def argument(name: str, annotation: object) -> Parameter:
    """What a verb takes by its position."""
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


def option(name: str, annotation: object, default: object = None) -> Parameter:
    """What a verb takes as an option; one without a default has to be given."""
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def takes(verb: Function, *parameters: Parameter) -> Function:
    """The verb with these arguments and options: typer reads them from its signature."""
    vars(verb)["__signature__"] = Signature(parameters)
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return verb


class Noun(typer.Typer):
    """A noun, to which `verb` adds its verbs. Without a verb it shows its help."""

    def __init__(self, text: str) -> None:
        super().__init__(
            help=text,
            cls=PlainGroup,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
        )

    def verb(self, name: str) -> Callable[[Function], Function]:
        """Make the function this verb; its docstring is the help."""
        return self.command(name, cls=PlainCommand)
