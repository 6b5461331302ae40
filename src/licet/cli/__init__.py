"""The command line: one module for each noun, with its verbs, in folders by purpose.

A verb's module is imported only when the verb is used. It imports the set-up, the reports and the database
only when the verb does its work, as help and the completion of names need none of them. Errors become one
line and an exit code in one place, here: a verb only raises.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command

from licet.cli.noun import NAMED, PlainCommand, PlainGroup


class Verb(NamedTuple):
    """A verb and its place: `target` is a `Typer` or a function in the module `licet.cli.<module>`."""

    name: str
    module: str
    target: str
    help: str


_PANELS = {
    "Run": (
        Verb("demo", "run.demo", "demo", "Run a temporary server with a tenant, clients and 5 seats."),
        Verb("init", "run.init", "init", "Make a data directory, and its first tenant."),
        Verb("serve", "run.serve", "serve", "Run the server."),
        Verb("migrate", "run.migrate", "migrate", "Bring the tables of a store to this version."),
        Verb("backup", "run.backup", "backup", "Copy the store into a file, while servers run."),
        Verb("restore", "run.restore", "restore", "Replace the store with such a copy."),
        Verb("check", "run.check", "check", "Find mistakes in a set-up."),
    ),
    "Look": (
        Verb("seats", "look.seats", "seats", "Who holds which seat, since when and until when."),
        Verb("why", "look.why", "why", "Why a client would get a seat now, or not; asks for none."),
        Verb("top", "look.top", "top", "The same, live; ends sessions."),
        Verb("usage", "look.usage_verbs", "app", "Peaks, denials, seat-hours; true-up, idle seats."),
        Verb("journal", "look.journal", "journal", "What happened, and who did what."),
        Verb("alerts", "look.alerts", "alerts", "Alerts that are raised now, such as of nearly full pools."),
        Verb("session", "look.session", "app", "List sessions, and end them."),
        Verb("token", "look.token", "token", "Get a token like a client."),
    ),
    "Set up": (
        Verb("tenant", "set_up.tenant", "app", "Customer databases."),
        Verb("pool", "set_up.pool", "app", "Pools of seats, and how many seats they have."),
        Verb("scope", "set_up.scope", "app", "What a token may do, and which pool its seat comes from."),
        Verb("user", "set_up.user", "app", "Persons and services, and their passwords."),
        Verb("client", "set_up.client", "app", "OAuth clients, their secrets and public keys."),
        Verb("group", "set_up.group", "app", "Users and clients that the options of a pool can name."),
        Verb("queue", "set_up.queue", "app", "Who waits for a seat."),
        Verb("trust", "set_up.licence", "trust_app", "Vendors whose licences count here."),
        Verb("licence", "set_up.licence", "app", "Licences that vendors have signed: check, install, list."),
        Verb("admin", "set_up.admin", "app", "Who may sign in at the dashboard, and API keys of programs."),
        Verb("webhook", "set_up.webhook", "app", "Where alerts are sent, and whether they arrived."),
        Verb("key", "set_up.key", "app", "The keys that sign tokens."),
        Verb("apply", "set_up.setup_file", "apply", "Make the store match a declarative TOML file."),
        Verb("export", "set_up.setup_file", "export", "Write the set-up as such a file, without secrets."),
        Verb(
            "import-options",
            "set_up.options_file",
            "import_options",
            "Convert an options file of FlexNet or RLM.",
        ),
    ),
    "Sell": (
        Verb("vendor", "vendor.verbs", "app", "Sign licences for your customers. Needs no store, no server."),
    ),
}


class _Lazy(TyperCommand):
    """A placeholder for a verb; its callback imports the real one."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which takes over from here."""
        assert self.callback is not None
        return self.callback().make_context(info_name, args, parent, **extra)


class _Root(PlainGroup):
    """The command line as a whole: here errors become messages."""

    def _main_shell_completion(self, *arguments: Any, **named: Any) -> None:
        """Answer a shell that completes a line, if it is one."""
        if os.environ.get("_LICET_COMPLETE") == "complete_bash":
            from licet.cli.bash_words import have_whole_words

            have_whole_words()
        super()._main_shell_completion(*arguments, **named)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the options before the verb."""
        with _errors_reported():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _errors_reported(ctx.meta):
            return super().invoke(ctx)


@contextmanager
def _errors_reported(call: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
    """Print an error to stderr, and end with its exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as fault:
        from licet.cli.errors import exit_code, text_of
        from licet.cli.output import note

        code = exit_code(fault)
        if code is None:  # A bug: show its traceback.
            raise
        if text := text_of(fault, **call.get(NAMED, {})):
            note(text)
        raise typer.Exit(code) from None


def _loader(verb: Verb) -> Callable[[], Any]:
    def load() -> Any:
        target = getattr(importlib.import_module(f"licet.cli.{verb.module}"), verb.target)
        if isinstance(target, typer.Typer):
            return get_command(target)
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(verb.name, cls=PlainCommand)(target)
        return get_command(alone)

    return load


def _say_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"licet {version('licet')}")
        raise typer.Exit


def _main(
    ctx: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_say_version),
    ] = False,
) -> None:
    """Licet, an OAuth 2.0 authorization server whose tokens hold the seats of a licence.

    To try it: [bold]licet demo[/]. For production: [bold]licet init[/], then [bold]licet serve[/].
    Help for a verb: [bold]licet pool add --help[/].
    """
    if ctx.invoked_subcommand is None:
        ctx.get_help()  # Rich prints it.


def _build() -> typer.Typer:
    root = typer.Typer(
        name="licet",
        cls=_Root,
        callback=_main,
        invoke_without_command=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,  # they would show the values of variables
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 refused or not found, 2 wrong use, 3 store unreachable.",
    )
    for panel, verbs in _PANELS.items():
        for verb in verbs:
            root.command(verb.name, cls=_Lazy, help=verb.help, rich_help_panel=panel)(_loader(verb))
    return root


app = _build()
