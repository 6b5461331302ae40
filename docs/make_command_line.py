"""Prints docs/reference/command-line.md from the command line itself.

.venv/bin/python docs/make_command_line.py > docs/reference/command-line.md
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from licet.cli import app

_MARKUP = re.compile(r"\[bold\](.*?)\[/\]")
_EXAMPLE = re.compile(r"Example: `(.*)`")
_GIVEN = frozenset({"help", "version", "install_completion", "show_completion"})

_HEAD = """# Command line

<!-- Made by `python docs/make_command_line.py`; edit src/licet/cli instead. -->

`licet --help` lists the verbs, `licet VERB --help` the arguments and options of one.

Most verbs work on a data directory: that of `--data`, of `LICET_DATA`, or `licet-data` in the current
directory. They open the store themselves and need no server; a running server sees a change within a second.
Verbs about one tenant take its name from `--tenant` or `LICET_TENANT`; the only tenant needs no name.
`licet token` is a client: it calls a server over HTTP and opens no store. `licet vendor` is for vendors, and
works on files only.

On a terminal a list is a table with times like `in 12 min`; piped, it has full values, and times in ISO 8601,
UTC. `--json` prints all fields. A list goes to standard output, remarks about it to standard error.

A password, secret or passphrase comes from a prompt, or from standard input with `--password-stdin`,
`--secret-stdin` or `--passphrase-stdin`, never from an argument. A verb that removes something, or ends
sessions, says how many and whose, and asks first; without a terminal, use `--yes`.

`licet --install-completion` makes your shell [complete](../how-to/complete-names-in-a-shell.md) verbs,
options, and the names of tenants, pools, scopes, users and clients.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | refused, or not found |
| 2 | wrong use: an invalid option, name or setting |
| 3 | the store, or for `licet token` the server, cannot be reached |

| verb | what it does |
| --- | --- |
"""


def page() -> str:
    """The whole page, as Markdown."""
    verbs = list(_verbs(get_command(app), ("licet",)))
    index = "".join(
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_text(help_)} |\n" for name, help_, _ in verbs
    )
    return _HEAD + index + "".join(f"\n{_section(name, verb)}" for name, _, verb in verbs)


def _verbs(group: Any, names: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    """Every verb with its full name and its short help; a noun stands before its verbs."""
    for name, command in group.commands.items():
        path = (*names, name)
        short = (command.help or "").partition("\n")[0]
        # A verb of the root is a stand-in until its callback has imported it.
        true = command.callback() if names == ("licet",) else command
        yield " ".join(path), short, true
        if isinstance(true, TyperGroup):
            yield from _verbs(true, path)


def _section(name: str, command: Any) -> str:
    lines = [f"## {name}", ""]
    verbs = ""
    if isinstance(command, TyperGroup):
        verbs = ", ".join(f"[`{verb}`](#{name.replace(' ', '-')}-{verb})" for verb in command.commands)
        if not command.invoke_without_command:
            return "\n".join([*lines, _text(command.help), "", f"Its verbs: {verbs}.", ""])
    arguments = [_usage(it) for it in command.params if it.param_type_name == "argument"]
    examples = []
    for paragraph in (command.help or "").split("\n\n"):
        text = _text(" ".join(paragraph.split()))
        if example := _EXAMPLE.fullmatch(text):
            examples += ["```sh", example[1], "```", ""]
        else:
            lines += [text, ""]
    lines += ["```text", " ".join([name, *arguments, "[OPTIONS]"]), "```", ""]
    if rows := [_row(it) for it in command.params if it.name not in _GIVEN]:
        lines += ["| argument or option | what it is |", "| --- | --- |", *rows, ""]
    lines += ["Example:", "", *examples] if examples else []
    return "\n".join([*lines, *([f"Its verbs: {verbs}.", ""] if verbs else [])])


def _usage(argument: Any) -> str:
    name = _metavar(argument)
    return name if argument.required else f"[{name.strip('[]')}]"


def _row(param: Any) -> str:
    name = _metavar(param)
    if param.param_type_name == "option":
        name = ", ".join(param.opts) + (f" {name}" if name else "")
    words = [_text(param.help)]
    if param.required:
        words.append("Required.")
    if param.envvar:
        words.append(f"Variable: `{param.envvar}`.")
    return f"| `{_in_table(name)}` | {_in_table(' '.join(words))} |"


def _metavar(param: Any) -> str:
    return str(param.metavar or "")


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def _text(text: str | None) -> str:
    """Help as Markdown."""
    return _MARKUP.sub(r"`\1`", text or "")


if __name__ == "__main__":
    sys.stdout.write(page())
