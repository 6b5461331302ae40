"""A value that cannot be read is refused with the name of its option: a duration, an instant, a count."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from licet.cli import app
from support.cli.cli_site import CommandLine, new_data
from support.licences.vendor_site import VendorSite

READ = {"N", "CODE", "TIME", "DURATION", "DATE"}
KEY = '{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
# What each verb needs besides, to come as far as to the value.
NEEDED = {
    "client add": "X --user TC --secret",
    "client set": "TestClientId",
    "client key add": "TestClientId {key}",
    "client secret add": "TestClientId",
    "client secret rotate": "TestClientId",
    "admin key add": "x",
    "tenant add": "X --seats 1",
    "tenant set": "Jim_Test",
    "pool add": "x --seats 1",
    "pool set": "full",
    "session end": "--all --yes",
    "usage": "",
    "usage true-up": "",
    "usage harvest": "",
    "usage what-if": "",
    "usage export": "",
    "usage statement": "",
    "journal": "",
    "key rotate": "",
    "webhook deliveries": "",
    "serve": "",
    "demo": "",
    "init": "--tenant X",
    "vendor sign": "--key {vendor} --customer C-1 --tenant Jim_Test --pool full=25",
}
BESIDE = {"--until": ("--from", "2026-01-01")}


def options(group: Any, *names: str) -> Iterator[tuple[str, str]]:
    """Every option that takes a duration, an instant or a count, with its verb."""
    for name, command in group.commands.items():
        true = command.callback() if not names else command  # of the root: imports the verb
        if isinstance(true, TyperGroup):
            yield from options(true, *names, name)
        if not isinstance(true, TyperGroup) or true.invoke_without_command:
            verb = " ".join((*names, name))
            yield from ((verb, it.opts[0]) for it in true.params if it.metavar in READ)


FOUND = sorted(options(get_command(app)))


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A data directory that nothing here changes."""
    cli = CommandLine(new_data(tmp_path_factory.mktemp("values") / "licet-data"))
    (cli.data / "key.jwk").write_text(KEY, encoding="ascii")
    VendorSite(cli.data)
    return cli


@pytest.mark.parametrize(("verb", "option"), FOUND)
def test_a_value_that_cannot_be_read_names_its_option(cli: CommandLine, verb: str, option: str) -> None:
    """In one line: a command may have several of them."""
    places = {"key": cli.data / "key.jwk", "vendor": cli.data / "vendor"}
    needed = NEEDED[verb].format_map(places).split()
    if option in needed:
        needed = [it for it in needed if it not in {option, "1"}]
    told = cli.error(*verb.split(), *needed, *BESIDE.get(option, ()), option, "20x", exit_code=2)
    in_a_template = option.removeprefix("--").replace("-", "_")  # as `vendor sign` has it from either
    assert option in told or told.startswith(in_a_template), told


def test_each_kind_of_value_is_among_them() -> None:
    """The options are found by what the help calls their values."""
    assert {
        ("tenant set", "--session-ttl"),
        ("pool set", "--hold"),
        ("pool set", "--expires"),
        ("pool set", "--seats"),
        ("client secret rotate", "--overlap"),
        ("session end", "--cool-down"),
        ("key rotate", "--signs-after"),
        ("usage", "--from"),
    } <= set(FOUND)
