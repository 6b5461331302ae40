"""A refusal comes with the line of the command that helps; the rooms below the command line know none."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from licet.admin.api.advice import _OF_FINDINGS as API_OF_FINDINGS
from licet.admin.api.advice import advice_of as api_advice_of
from licet.cli.errors import _ADVICE, KEYRING_ADVICE, advice
from licet.cli.run.check_advice import _ADVICE as OF_FINDINGS
from licet.cli.run.check_advice import advice_of
from licet.refusal import Code, Subject
from licet.setup.check import Finding, FindingCode
from licet.store.errors import SetupError, unknown
from support.cli.cli_site import PASSWORD, CommandLine
from support.cli.command_line import run
from support.paths import ROOT

SOURCE = ROOT / "src" / "licet"
# The rooms that the command line, the admin API and the dashboard share.
SHARED = (
    "accounts",
    "alerts",
    "credentials",
    "journal",
    "lanes",
    "ledger",
    "reports",
    "setup",
    "store",
    "telemetry",
    "web",
    "formats.py",
    "model.py",
    "refusal.py",
)
COMMAND = re.compile(r"\blicet [a-z]+\b|(?<![\w-])--[a-z][a-z-]+")
PROSE = re.compile(r"\blicet (fingerprint|and|is|or)\b")
FOREIGN = "store/postgres/backup.py"  # its options are those of pg_dump and pg_restore


def modules(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        at = SOURCE / room
        yield from [at] if at.is_file() else sorted(at.rglob("*.py"))


def texts(module: Path) -> Iterator[str]:
    """The string literals of a module, without its docstrings."""
    tree = ast.parse(module.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_text_for_the_command_line_stands_below_it() -> None:
    """A refusal is read on a page and by programs too, where `licet pool set` is no help."""
    found = {
        (str(module.relative_to(SOURCE)), text)
        for module in modules(*SHARED)
        for text in texts(module)
        if str(module.relative_to(SOURCE)) != FOREIGN or not text.startswith("--")
        if COMMAND.search(PROSE.sub("", text))
    }
    assert found == set()


def test_nothing_looks_for_words_in_the_text_of_an_exception() -> None:
    """What a face has to know is data: no `"expires" in str(fault)`, no `str(fault).partition("; ")`."""
    found = [
        f"{module.relative_to(SOURCE)}:{node.lineno}"
        for module in modules("admin", "cli")
        for node in searches(ast.parse(module.read_text()))
    ]
    assert found == []


def searches(tree: ast.Module) -> Iterator[ast.expr]:
    """Where the text of a caught exception is taken apart."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        for node in ast.walk(handler):
            match node:
                case ast.Compare(comparators=[right]) if is_text_of(right, handler.name):
                    yield node
                case ast.Call(func=ast.Attribute(value=value)) if is_text_of(value, handler.name):
                    yield node
                case ast.Call(func=ast.Attribute(), args=arguments) if any(
                    is_text_of(argument, handler.name)
                    for argument in arguments
                    if "re." in ast.unparse(node.func)
                ):
                    yield node
                case _:
                    pass


def is_text_of(node: ast.expr, name: str) -> bool:
    return ast.unparse(node) == f"str({name})"


PLACES = ("name", "client", "tenant", "pool", "user", "secret", "key", "group")


def lines() -> list[str]:
    every = (*_ADVICE.values(), *KEYRING_ADVICE.values(), *OF_FINDINGS.values())
    found = [re.findall(r"licet (?:(?!, |; | shows ).)*", text) for text in every]
    return [line for of_one in found for line in of_one]


@pytest.mark.parametrize("line", sorted(set(lines())))
def test_each_line_of_advice_can_be_run(line: str) -> None:
    """Its verb is one, and so are its options, with those that lead it to a tenant and its data."""
    whole = line.format(to=" --tenant X --data X", at=" --data X", **dict.fromkeys(PLACES, "X"))
    words = shlex.split(whole)[1:]
    is_deep = words[:2] in (["admin", "key"], ["client", "key"], ["client", "secret"])
    verb = words[: 3 if is_deep else 1 if words[0] == "migrate" else 2]
    usage = run(*verb, "--help").stdout
    assert all(option in usage for option in words if option.startswith("--")), usage


@pytest.mark.parametrize(
    ("line", "exit_code", "ends"),
    [
        ("pool add full --seats 1", 1, "there is a pool full already; change it with: licet pool set full"),
        ("scope add view", 1, "there is a scope view already; change it with: licet scope set view"),
        ("user add TC --no-password", 1, "already; change it with: licet user set TC"),
        ("client add TestClientId --user TC", 1, "already; change it with: licet client set TestClientId"),
        ("tenant add Jim_Test --seats 1", 1, "already; change it with: licet tenant set Jim_Test"),
        ("pool remove full --yes", 1, "give it another pool first: licet scope set SCOPE --pool POOL"),
        ("scope remove all --yes", 1, "scope all is built in and stays"),
        ("user remove TC --yes", 1, "give it another first: licet client set CLIENT_ID --user INITIALS"),
        ("pool set x --seats 1", 1, "there is no pool x in tenant Jim_Test; there is: full"),
        (
            "client secret remove TestClientId x --yes",
            1,
            "none yet; add one: licet client secret add TestClientId",
        ),
        (
            "client key remove TestClientId x --yes",
            1,
            "none yet; add one: licet client key add TestClientId FILE",
        ),
        ("webhook test wh_0", 1, "there is no webhook wh_0; licet webhook list shows those there are"),
        ("admin remove nobody --yes", 1, "no administrator nobody; licet admin list shows those there are"),
        ("admin key remove nobody --yes", 1, "no API key nobody; licet admin key list shows those there are"),
        ("pool set full --seats -1", 2, "from 0 to 1,000,000, or all; this is not: '-1'"),
        ("pool set full --hold soon", 2, "this is not: 'soon'"),
    ],
)
def test_a_refusal_ends_with_what_to_do_next(cli: CommandLine, line: str, exit_code: int, ends: str) -> None:
    """One line on stderr; where the sentence is enough, there is no more."""
    assert cli.error(*shlex.split(line), exit_code=exit_code).endswith(ends)


def test_the_last_owner_and_a_disabled_webhook_come_with_their_line(cli: CommandLine) -> None:
    cli.run("admin", "add", "ada", "--role", "owner", "--password-stdin", stdin=PASSWORD)
    told = cli.error("admin", "remove", "ada", "--yes")
    assert told.endswith("make another one first: licet admin add NAME --role owner")
    cli.run("webhook", "add", "https://example.com/alerts")
    (webhook,) = cli.json("webhook", "list")
    name = webhook["id"] if "id" in webhook else webhook["webhook"]
    cli.run("webhook", "set", name, "--disable")
    assert cli.error("webhook", "test", name).endswith(f"enable it first: licet webhook set {name} --enable")


def test_a_name_with_braces_in_it_is_no_template() -> None:
    """What somebody calls a client is reported as it is."""
    braces = "{0} {client} {name.__class__}"
    there = SetupError("x", code=Code.ALREADY_THERE, subject=Subject("client", braces))
    assert advice(there) == f"; change it with: licet client set '{braces}'"


def test_where_names_are_told_there_is_no_more_advice() -> None:
    assert advice(unknown(Subject("pool", "x", "T"), ["full"])) == ""
    assert advice(unknown(Subject("pool", "x", "T"), [])) == "; add one: licet pool add NAME --seats 5"
    assert advice(SetupError("x", code=Code.CHANGED_MEANWHILE)) == ""


# What the check finds

SHARED_ADVICE = {  # is the same for everybody, or is found by the command line alone
    FindingCode.LICENCE_NOT_COUNTED,
    FindingCode.CONTRADICTION,
    FindingCode.PEPPERS_DIFFER,
    FindingCode.SIGNING_KEY_MISSING,
    FindingCode.SIGNING_KEYS_DIFFER,
    FindingCode.VERSIONS_DIFFER,
    FindingCode.URLS_DIFFER,
    FindingCode.CLOCK_WRONG,
    FindingCode.NODE_SILENT,
    FindingCode.STORE_NOT_WRITABLE,
    FindingCode.DISK_NEARLY_FULL,
    FindingCode.SESSIONS_AHEAD,
    FindingCode.FILE_READABLE,
    FindingCode.KEYRING_UNUSABLE,
    FindingCode.CERTIFICATE_UNUSABLE,
    FindingCode.CERTIFICATE_EXPIRES,
    FindingCode.SETTINGS_WRONG,
    FindingCode.SCHEMA_OUTDATED,
    FindingCode.SCHEMA_UNKNOWN,
    FindingCode.TABLES_DAMAGED,
    FindingCode.CONNECTION_INSECURE,
}
NAMES = {"pool": "p{x}", "client": "c 1", "user": "TC", "secret": "s", "key": "k", "group": "g"}


def test_each_finding_comes_with_advice_on_each_face() -> None:
    """In the table of that face, if it is not the same for all."""
    assert set(OF_FINDINGS) == set(API_OF_FINDINGS) == set(FindingCode) - SHARED_ADVICE


@pytest.mark.parametrize("code", sorted(set(FindingCode) - SHARED_ADVICE))
def test_advice_on_a_finding_is_whole(code: FindingCode) -> None:
    """Names are put in as they are, and one that looks like a template is none."""
    found = Finding(is_wrong=True, code=code, tenant="T", target="", problem="", names=NAMES)
    line, operation = advice_of(found, names_tenant=True), api_advice_of(found)
    assert "{" not in line.replace("p{x}", "") + operation.replace("p{x}", "")
    assert ("p{x}" in line) == ("{pool}" in OF_FINDINGS[code])
    assert code is FindingCode.UPGRADE_UNFINISHED or "licet " not in operation


def test_advice_that_is_the_same_for_all_is_the_finding_s() -> None:
    found = Finding(
        is_wrong=True, code=FindingCode.CLOCK_WRONG, tenant="", target="", problem="", advice="set it right"
    )
    assert advice_of(found, names_tenant=True) == api_advice_of(found) == "set it right"


def test_keys_that_are_lost_and_too_many_come_with_their_line(cli: CommandLine) -> None:
    kept = cli.secrets_file.read_bytes()
    cli.secrets_file.write_bytes(b"{}")
    lost = "put back a copy of it, or remove it and make new keys: licet key new"
    assert cli.error("key", "list", exit_code=3).endswith(lost)
    found = json.loads(cli.run("check", "--json", exit_code=1).stdout)["findings"]
    (damaged,) = [it for it in found if it["code"] == "keyring_unusable"]
    assert (damaged["problem"], damaged["advice"]) == (f"{cli.secrets_file} is damaged", lost)
    cli.secrets_file.write_bytes(kept)


def test_a_line_about_a_name_that_begins_with_a_hyphen_can_be_pasted(cli: CommandLine) -> None:
    """It would be read as an option: so names come last, after `--`."""
    cli.run("client", "add", "--user", "TC", "--", "-x")
    told = cli.error("client", "add", "--user", "TC", "--tenant", "Jim_Test", "--", "-x")
    assert told.endswith("; change it with: licet client set --tenant Jim_Test -- -x")
    listed = cli.run("client", "secret", "list", "--tenant", "Jim_Test", "--", "-x")
    line = listed.stderr.strip().rpartition(": licet ")[2]
    assert line == "client secret add --tenant Jim_Test -- -x"
    cli.run(*shlex.split(line))
    finding = Finding(
        is_wrong=True,
        problem="",
        target="",
        code=FindingCode.SECRET_EXPIRED,
        tenant="T",
        names={"client": "-x", "secret": "s1"},
    )
    assert advice_of(finding, names_tenant=True) == "licet client secret remove --tenant T -- -x s1"
