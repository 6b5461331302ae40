"""`licet import-options`: an options file of FlexNet or RLM becomes part of a set-up file."""

import json
import shlex
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from licet.lanes.commit import commit
from licet.ledger.commands import Denied, Grant, Granted
from licet.model import NoSeatReason
from licet.options import Share
from support.cli.cli_site import PASSWORD, TENANT, CommandLine, new_data
from support.cli.command_line import run

FLEXNET = """\
# Options of the sales department
GROUP sales anne \\
      tc
EXCLUDE full USER bob
RESERVE 2 full GROUP sales
MAX 3 full USER anne
MAX 1 full USER ALL_USERS
TIMEOUTALL 7200
REPORTLOG +/var/log/flexnet/report.rl
"""
RLM = """\
group Sales ANNE tc
exclude FULL user bob
reserve 2 full group sales
rotate daily
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with users for anne and bob."""
    data = new_data(tmp_path_factory.mktemp("options") / "licet-data")
    for initials, name in (("AN", "Anne"), ("BO", "Bob")):
        CommandLine(data).run(
            "user", "add", initials, "--name", name, "--password-stdin", stdin=f"{PASSWORD}\n"
        )
    return data


def options_file(directory: Path, text: str = FLEXNET) -> str:
    """An options file, and its path."""
    file = directory / "sales.opt"
    file.write_text(text)
    return str(file)


def users_file(directory: Path) -> str:
    """Who the login names are."""
    file = directory / "users"
    file.write_text("# login=initials\nanne=AN\n\n bob = BO\ntc=TC\n")
    return str(file)


def imported(cli: CommandLine, directory: Path, *more: str, text: str = FLEXNET) -> Path:
    """The set-up file with this options file."""
    output = directory / "setup.toml"
    named = ["--users", users_file(directory), "-o", str(output)]
    cli.run("import-options", options_file(directory, text), *named, *more)
    return output


def test_an_options_file_is_applied_as_a_whole(cli: CommandLine, tmp_path: Path) -> None:
    """From the file of another licence server to a denial."""
    output = imported(cli, tmp_path, "--leave-out", "REPORTLOG")
    cli.run("apply", str(output), "--yes")
    tenant = cli.tenant()
    (pool,) = tenant.pools.values()
    assert pool.seats == 5  # as before
    assert pool.exclude == ("user:BO",)
    assert pool.reserve == (Share(who="group:sales", seats=2),)
    assert pool.max == (Share(who="user:AN", seats=3),)
    assert pool.max_per_user == 1
    assert tenant.session_ttl_s == 7200
    assert tenant.groups["sales"].users == {"AN", "TC"}
    cli.run("client", "add", "OfBob", "--user", "BO")
    assert grant(cli, "OfBob") == NoSeatReason.EXCLUDED
    assert grant(cli, "TestClientId") is None


def grant(cli: CommandLine, client_id: str) -> NoSeatReason | None:
    """Why a client gets no seat, if it gets none."""
    store = cli.store()
    try:
        tenant = store.tenant(TENANT)
        assert tenant is not None
        (pool,) = tenant.pools.values()
        (outcome,) = commit(
            store,
            [
                Grant(
                    tenant_id=tenant.id,
                    client_key=tenant.clients[client_id].key,
                    sid=client_id.encode().ljust(20, b"s"),
                    scope="all",
                    pool_id=pool.id,
                    address="192.0.2.1",
                )
            ],
        )
    finally:
        store.close()
    if isinstance(outcome, Denied):
        return outcome.reason
    assert isinstance(outcome, Granted), outcome
    return None


def test_a_file_that_is_imported_and_applied_twice_changes_nothing_more(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.run("apply", str(imported(cli, tmp_path, "--leave-out", "all")), "--yes")
    again = cli.run("apply", str(imported(cli, tmp_path, "--leave-out", "all")))
    assert "Nothing to change." in again.stdout


def test_a_file_of_rlm_is_recognised(cli: CommandLine, tmp_path: Path) -> None:
    output = imported(cli, tmp_path, "--leave-out", "rotate", text=RLM)
    cli.run("apply", str(output), "--yes")
    (pool,) = cli.tenant().pools.values()
    assert pool.exclude == ("user:BO",)
    assert pool.reserve == (Share(who="group:Sales", seats=2),)


def test_a_line_without_counterpart_refuses_the_file_and_says_why(cli: CommandLine, tmp_path: Path) -> None:
    """Not half of it is written."""
    output = tmp_path / "setup.toml"
    output.write_text("as before")
    refused = cli.run(
        *("import-options", options_file(tmp_path), "--users", users_file(tmp_path), "-o", str(output)),
        exit_code=1,
    )
    assert not refused.stdout
    line, why, refusal = refused.stderr.splitlines()
    assert line == "sales.opt, line 9: REPORTLOG +/var/log/flexnet/report.rl"
    assert why == "    all use is in the journal anyway; licet usage export writes it as a report log of RLM"
    assert refusal.startswith("licet: 1 line of sales.opt has no counterpart; nothing was written.")
    assert refusal.endswith("do without: --leave-out REPORTLOG")
    assert output.read_text() == "as before"


def test_what_is_left_out_is_told_and_stands_in_the_file(cli: CommandLine, tmp_path: Path) -> None:
    output = tmp_path / "setup.toml"
    text = FLEXNET + "EXCLUDE full HOST mainline\n"
    named = ("--users", users_file(tmp_path), "-o", str(output))
    some = cli.run(
        "import-options", options_file(tmp_path, text), *named, "--leave-out", "REPORTLOG", exit_code=1
    )
    assert "do without: --leave-out EXCLUDE" in some.stderr
    done = cli.run("import-options", options_file(tmp_path, text), *named, "--leave-out", "all")
    assert "sales.opt, line 10: EXCLUDE full HOST mainline" in done.stderr
    assert done.stdout == f"sales.opt (FlexNet): 6 options kept, 2 left out, written to {output}.\n"
    assert "#   line 10: EXCLUDE full HOST mainline\n" in output.read_text()


@pytest.mark.parametrize("line", ["RESRVE 1 full USER anne", "RESERVE 1 full", "TIMEOUTALL 60"])
def test_a_wrong_line_refuses_the_file_whatever_is_left_out(
    cli: CommandLine, tmp_path: Path, line: str
) -> None:
    """Also two lines that contradict each other."""
    output = tmp_path / "setup.toml"
    refused = cli.run(
        *("import-options", options_file(tmp_path, f"{FLEXNET}{line}\n"), "--users", users_file(tmp_path)),
        *("--leave-out", "all", "-o", str(output)),
        exit_code=2,
    )
    assert f"line 10: {line}" in refused.stderr
    assert "nothing was written. Correct line" in refused.stderr
    assert not output.exists()


def test_the_lines_that_are_wrong_are_found_among_all_that_are_told(cli: CommandLine, tmp_path: Path) -> None:
    """Most that is told of a file that comes from elsewhere has no counterpart, and may be left out."""
    text = f"{FLEXNET}GROUP sales bob # and his own\nMAXX 1\n" + "NOLOG IN\n" * 3
    named = ("--users", users_file(tmp_path), "--leave-out", "all")
    refused = cli.run("import-options", options_file(tmp_path, text), *named, exit_code=2)
    assert "line 10: GROUP sales bob # and his own\n    a comment has a line of its own" in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith("Correct line 10 and line 11, as told above")
    whose = ("--format", "flexnet")
    many = cli.run("import-options", options_file(tmp_path, "MAXX 1\n" * 12), *named, *whose, exit_code=2)
    assert many.stderr.splitlines()[-1].endswith("line 9, line 10 and 2 more, as told above")


def test_of_a_very_long_line_the_beginning_is_told(cli: CommandLine, tmp_path: Path) -> None:
    """All of it would fill the screen, and hide the other lines; programs get it whole."""
    text = "GROUP all " + " ".join(f"user{number}" for number in range(400)) + "\nMAX 1 full GROUP all\n"
    told = cli.run("import-options", options_file(tmp_path, text), exit_code=1).stderr.splitlines()
    assert told[0].endswith(" ...")
    assert max(map(len, told)) < 300
    shown = cli.run("import-options", options_file(tmp_path, text), "--json", exit_code=1).stdout
    assert "user399" in json.loads(shown)[0]["text"]


def test_a_set_up_file_is_added_to_without_a_store(tmp_path: Path) -> None:
    """Its comments, and its other tenants, stay."""
    setup = tmp_path / "licet-setup.toml"
    before = (
        "# ours\n[tenant.A.pool.full]\nseats = 5 # bought\n[tenant.A.user.AN]\n"
        "[tenant.B.pool.full]\nseats = 1\n"
    )
    setup.write_text(before)
    setup.chmod(0o640)
    file = options_file(tmp_path, "MAX 2 compile USER anne\n")
    named = ("--user", "anne=AN", "--pool", "compile=full")
    error = run("import-options", file, "--into", str(setup), *named, exit_code=2).stderr
    assert "has 2 tenants; say --tenant NAME" in error
    run("import-options", file, "--into", str(setup), "--tenant", "A", "-o", str(setup), *named)
    after = setup.read_text()
    assert tomllib.loads(after)["tenant"]["A"]["pool"]["full"]["max"] == [{"for": "user:AN", "seats": 2}]
    assert after.replace('max = [{for = "user:AN", seats = 2}]\n', "") == before
    assert stat.S_IMODE(setup.stat().st_mode) == 0o640


def test_a_set_up_that_would_not_be_applied_is_not_written(tmp_path: Path) -> None:
    """Also where the set-up file contradicts itself before."""
    setup = tmp_path / "licet-setup.toml"
    setup.write_text(
        '[tenant.A.pool.full]\nseats = 5\nexclude = ["user:AN"]\ninclude = ["user:AN"]\n[tenant.A.user.AN]\n'
    )
    before = setup.read_text()
    file = options_file(tmp_path, "MAX 2 full USER AN\n")
    error = run("import-options", file, "--into", str(setup), "-o", str(setup), exit_code=2).stderr
    assert "exclude has user:AN" in error
    assert setup.read_text() == before


def test_the_set_up_is_printed_where_no_file_is_named(cli: CommandLine, tmp_path: Path) -> None:
    done = cli.run("import-options", "-", stdin="LINGER full 90\n")
    pool = tomllib.loads(done.stdout)["tenant"][TENANT]["pool"]["full"]
    assert (pool["hold"], pool["seats"]) == ("90s", 5)
    assert "begins with the last token" in done.stderr
    assert "1 option kept" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="it has no devices among its files")
def test_a_hyphen_is_standard_output(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = ("--users", users_file(tmp_path), "--leave-out", "all", "-o", "-")
    assert "[tenant." in cli.run("import-options", options_file(tmp_path), *named).stdout
    assert "[tenant." in cli.run("export", "-o", "-").stdout
    assert not (tmp_path / "-").exists()


def test_a_device_is_written_to_and_a_link_is_followed(cli: CommandLine, tmp_path: Path) -> None:
    """`-o /dev/null` only lists the lines; as root it must not put a file there."""
    file = options_file(tmp_path, "LINGER full 90\n")
    cli.run("import-options", file, "-o", "/dev/null")
    assert Path("/dev/null").is_char_device()
    setup, link = tmp_path / "setup.toml", tmp_path / "link.toml"
    link.symlink_to(setup)
    cli.run("import-options", file, "-o", str(link))
    assert link.is_symlink()
    assert 'hold = "90s"' in setup.read_text()


def test_every_line_is_listed_as_json(cli: CommandLine, tmp_path: Path) -> None:
    file = options_file(tmp_path, "# here\nGROUP sales \\\nTC\nMAX 2 full GROUP sales\n")
    assert cli.json("import-options", file) == [
        {"first": 1, "last": 1, "text": "", "fate": "nothing", "why": ""},
        {"first": 2, "last": 3, "text": "GROUP sales TC", "fate": "kept", "why": "group sales: TC"},
        {
            "first": 4,
            "last": 4,
            "text": "MAX 2 full GROUP sales",
            "fate": "kept",
            "why": "pool full: max 2 for group:sales",
        },
    ]


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("INCLUDE full USER TC\nINCLUDEALL USER TC\n", (), "say --format flexnet or --format rlm"),
        ("nothing of the sort\n", (), "nor one of RLM (line 1: RLM has no option 'nothing'); say --format"),
        ("GROUP sales \a", (), "line 1: GROUP sales \\x07\n    it has a character"),
        ("x" * 2_000_000, (), "1048576 bytes at most"),
        ("LINGER full 60\n", ("--pool", "compile=nowhere"), "has no pool nowhere"),
        ("LINGER full 60\n", ("--pool", "full"), "are written compile=full"),
        ("LINGER full 60\n", ("--user", "a=TC", "--user", "a=AN"), "'a' is to be TC and AN"),
        ("LINGER full 60\n", ("--user", "=TC"), "are written anne=AN"),
        ("LINGER full 60\n", ("--users", "/nowhere"), "/nowhere cannot be read"),
        ("LINGER full 60\n", ("--into", "/nowhere"), "/nowhere cannot be read"),
        ("LINGER full 60\n", ("-o", "/nowhere/setup.toml"), "cannot be written"),
        ("LINGER full 60\n", ("--users", "-", "--into", "-"), "only one file can be standard input"),
    ],
)
def test_a_mistake_in_the_use_is_told(
    cli: CommandLine, tmp_path: Path, text: str, options: tuple[str, ...], told: str
) -> None:
    error = cli.run("import-options", options_file(tmp_path, text), *options, exit_code=2).stderr
    assert told in error


def test_a_file_that_is_not_there_is_told(cli: CommandLine) -> None:
    assert "cannot be read" in cli.error("import-options", "nowhere.opt", exit_code=2)


def test_the_next_step_is_told(cli: CommandLine, tmp_path: Path) -> None:
    output = tmp_path / "a set-up.toml"
    named = ("--users", users_file(tmp_path), "--leave-out", "all", "-o", str(output))
    told = cli.run("import-options", options_file(tmp_path), *named).stderr.splitlines()[-1]
    assert told.startswith(f"To see what it changes: licet apply {shlex.quote(str(output))} ")
    assert "changes to make" in cli.run(*shlex.split(told.partition("licet ")[2])).stdout


def test_a_set_up_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As editors of Windows write it."""
    base = tmp_path / "setup.toml"
    base.write_bytes(b"\xef\xbb\xbf[tenant.T.pool.full]\nseats = 1\n")
    arguments = ("import-options", options_file(tmp_path, "LINGER full 60\n"), "--into", str(base))
    assert tomllib.loads(run(*arguments).stdout)["tenant"]["T"]["pool"]["full"]["hold"] == "1m"


def test_an_error_never_takes_over_the_terminal(cli: CommandLine) -> None:
    assert "\x1b" not in cli.error("import-options", "\x1b]0;owned\x07", exit_code=2)
