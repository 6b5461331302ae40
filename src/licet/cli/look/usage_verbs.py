"""Puts `licet usage` and its verbs together: each has a file of its own."""

import typer

from licet.cli.look.usage import usage
from licet.cli.look.usage_export import export
from licet.cli.look.usage_reports import harvest, true_up
from licet.cli.look.usage_statement import statement
from licet.cli.look.usage_what_if import what_if
from licet.cli.noun import PlainCommand, PlainGroup

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
app.callback(cls=PlainGroup, invoke_without_command=True)(usage)
app.command("true-up", cls=PlainCommand)(true_up)
app.command("what-if", cls=PlainCommand)(what_if)
app.command("harvest", cls=PlainCommand)(harvest)
app.command("statement", cls=PlainCommand)(statement)
app.command("export", cls=PlainCommand)(export)
