"""Options of pools on the command line: what is printed and refused, who waits, what a plan shows."""

from pathlib import Path

import pytest
from sqlalchemy import insert, update

from licet.options import Share
from licet.store import schema
from support.cli.cli_site import TENANT, CommandLine

AGREED = "change --reserve or --max"


def wait_in_line(
    cli: CommandLine, *, number: int, ms: int, client: str = "TestClientId", level: int = 0
) -> None:
    """A client stands in line until `ms` from now."""
    store = cli.store()
    tenant = store.tenant(TENANT)
    assert tenant is not None
    pool = tenant.pool_named("full")
    assert pool is not None
    key = tenant.clients[client].key
    now_ms = store.clock.now_ms()
    place = {"pool_id": pool.id, "tenant_id": tenant.id, "holder": f"client:{key}", "client_key": key}
    place |= {"level": level, "number": number, "since_ms": now_ms - 90_000, "until_ms": now_ms + ms}
    with store.transaction() as transaction:
        transaction.connection.execute(insert(schema.queue_place).values(place))
    store.close()


def test_options_are_set_shown_and_cleared(cli: CommandLine) -> None:
    cli.out("group", "add", "sales", "--user", "TC")
    set_them = "--exclude client:TestClientId --reserve 2:group:sales --reserve 1:user:TC --max 3:group:sales"
    cli.out("pool", "set", "full", *set_them.split(), "--priority=-5:group:sales", "--queue-hold", "1m")
    shown = cli.json("pool", "show", "full")
    assert shown["reserve"] == ["2:group:sales", "1:user:TC"]
    assert (shown["priority"], shown["queue_hold_s"]) == (["-5:group:sales"], 60)
    assert shown["options"] == ["exclude", "reserve", "max"]
    lines = [line.split() for line in cli.out("pool", "show", "full").splitlines()]
    assert ["reserve", "2:group:sales", "1:user:TC"] in lines
    assert "exclude reserve max\n" in cli.out("pool", "list")
    cli.out("pool", "set", "full", "--reserve", "1:user:TC")  # in the place of both
    pool = cli.tenant().pool_named("full")
    assert pool is not None
    assert pool.reserve == (Share(who="user:TC", seats=1),)
    cleared = "--no-exclude --no-reserve --no-max --no-priority"
    assert cli.out("pool", "set", "full", *cleared.split()) == "Pool full changed.\n"
    assert cli.json("pool", "show", "full")["options"] == []


def test_a_pool_is_added_with_options(cli: CommandLine) -> None:
    cli.out("pool", "add", "named", "--seats", "1", "--named", "TC", "--queue", "3")
    shown = cli.json("pool", "show", "named")
    assert (shown["named"], shown["queue"]) == (["TC"], 3)


@pytest.mark.parametrize(
    ("line", "exit_code", "told"),
    [
        (
            "--reserve 4:user:TC --max 3:user:TC",
            2,
            f"pool full: reserve has 4 seats for user:TC, and max lets it have 3 at most; {AGREED}",
        ),
        (
            "--reserve 6:user:TC",
            2,
            "pool full: reserve is 6 seats in all, and seats gives 5; change --reserve or --seats",
        ),
        (
            "--reserve 2:user:TC --max-per-user 1",
            2,
            "pool full: reserve has 2 seats for user:TC, and max_per_user lets it have 1 at most",
        ),
        (
            "--exclude user:XX",
            1,
            "exclude of pool full: there is no user XX in tenant Jim_Test; there is: TC",
        ),
        (
            "--reserve 1:group:x",
            1,
            "reserve of pool full: there is no group x in tenant Jim_Test; there is none",
        ),
        ("--exclude user:TC --exclude user:TC", 2, "pool full: exclude has a rule for user:TC twice"),
        (
            "--exclude TC",
            2,
            "--exclude: a rule is for user:INITIALS, client:CLIENT_ID or group:NAME; this is not",
        ),
        (
            "--max user:TC",
            2,
            "--max: seats, a colon and for whom is allowed, like 2:group:sales; not 'user:TC'",
        ),
        ("--max 0:user:TC", 2, "--max: seats for user:TC: 1 to 1,000,000, and not 0"),
        ("--priority 10:user:TC", 2, "--priority: level for user:TC: -9 to 9, and not 10"),
        ("--queue 1001", 2, "pool full: queue is 0 to 1,000, not 1,001"),
        ("--queue-hold 4s", 2, "--queue-hold: 5s to 5m, and not 4s"),
        ("--max-per-user 0", 2, "pool full: max_per_user is 1 to 1,000,000, not 0"),
        ("--exclude user:TC --no-exclude", 2, "--exclude and --no-exclude exclude each other"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(
    cli: CommandLine, line: str, exit_code: int, told: str
) -> None:
    """Both that contradict each other are named; nothing is changed."""
    assert cli.error("pool", "set", "full", *line.split(), exit_code=exit_code).startswith(told)
    assert cli.json("pool", "show", "full")["options"] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("scope set all --pools", "--pools is empty; give a value, like named,full"),
        ("scope add orders --pools", "--pools is empty; give a value, like named,full"),
        ("pool set full --seats", "--seats is empty; give a value, like 5, or all"),
        ("pool set full --overdraft", "--overdraft is empty; give a value, like 5, or all"),
        (
            "pool set full --alerts",
            "--alerts is empty; give a value, like '80 90 100 denied expires', or none",
        ),
        ("user set TC --cost-centre", "--cost-centre is empty; give a value"),
    ],
)
def test_an_empty_value_takes_no_seats_pools_or_alerts_away(cli: CommandLine, line: str, told: str) -> None:
    """It is a variable of a script that is not set: a scope without pools would need no seat (L1)."""
    before = cli.out("export")
    for value in ("", " "):
        assert cli.error(*line.split(), value, exit_code=2) == told
    assert cli.out("export") == before


def test_a_rule_that_is_given_twice_is_refused_without_advice_about_a_pool_that_is_not_there(
    cli: CommandLine,
) -> None:
    """It is corrected in the line itself, of a new pool too."""
    rules = ("--seats", "1", "--exclude", "user:TC", "--exclude", "user:TC")
    assert (
        cli.error("pool", "add", "new", *rules, exit_code=2)
        == "pool new: exclude has a rule for user:TC twice"
    )


def test_a_scope_draws_on_pools_in_order(cli: CommandLine) -> None:
    cli.out("pool", "add", "named", "--seats", "1", "--named", "TC")
    assert cli.out("scope", "set", "all", "--pools", "named,full") == "Scope all changed.\n"
    assert cli.json("scope", "show", "all")["pools"] == ["named", "full"]
    assert cli.json("pool", "show", "full")["scopes"] == ["all"]
    cli.grant("TestClientId")
    told = "1 session ends at once: TestClientId. Do this? Nobody can be asked here; say --yes"
    assert cli.error("scope", "set", "all", "--pool", "full", exit_code=2) == told
    cli.out("scope", "set", "all", "--pool", "full", "--yes")
    assert cli.json("scope", "show", "all")["pools"] == ["full"]
    refused = cli.error("scope", "set", "all", "--pools", "a,b,c,d,e", exit_code=2)
    assert refused.startswith("--pools: a scope draws on 4 pools at most, each once")


def test_options_wait_for_the_end_of_an_upgrade(cli: CommandLine) -> None:
    """The line says which command ends it."""
    store = cli.store()
    with store.transaction() as transaction:
        transaction.connection.execute(update(schema.setup).values(options_allowed=False))
    store.close()
    told = cli.error("pool", "set", "full", "--queue", "5")
    assert told.endswith("finish the upgrade first: licet migrate --finish")


def test_who_waits_is_listed_in_line_and_loses_a_place(cli: CommandLine) -> None:
    """Lapsed places are none."""
    cli.out("pool", "set", "full", "--queue", "20")
    cli.out("client", "add", "Other", "--user", "TC")
    cli.out("client", "add", "Gone", "--user", "TC")
    wait_in_line(cli, number=1, ms=30_000)
    wait_in_line(cli, number=2, ms=30_000, client="Other", level=5)
    wait_in_line(cli, number=3, ms=-1, client="Gone")
    listed = cli.json("queue", "list")
    assert [(it["place"], it["client_id"], it["user"], it["level"]) for it in listed] == [
        (1, "Other", "TC", 5),
        (2, "TestClientId", "TC", 0),
    ]
    lines = cli.out("queue", "list", "--pool", "full").splitlines()
    assert lines[0].split() == ["pool", "place", "client", "user", "level", "since", "until"]
    ask = "Take away the place of Other in the queue of pool full? Nobody can be asked here; say --yes"
    assert cli.error("queue", "remove", "Other", "--pool", "full", exit_code=2) == ask
    removed = cli.out("queue", "remove", "Other", "--pool", "full", "--yes")
    assert removed == "Place of Other taken away.\n"
    assert cli.out("queue", "remove", "Other", "--pool", "full", "--yes") == "Nothing to change.\n"
    assert [it["client_id"] for it in cli.json("queue", "list")] == ["TestClientId"]
    assert "remove place" in cli.out("journal", "--only", "event")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list", "--pool", "x"), "there is no pool x in tenant Jim_Test; there is: full"),
        (("remove", "TestClientId", "--pool", "x", "--yes"), "there is no pool x in tenant Jim_Test"),
        (("remove", "x", "--pool", "full", "--yes"), "there is no client x in tenant Jim_Test"),
    ],
)
def test_a_queue_of_what_is_not_there_is_refused(cli: CommandLine, words: tuple[str, ...], told: str) -> None:
    assert cli.error("queue", *words).startswith(told)


def test_a_plan_has_a_line_for_each_rule(cli: CommandLine, tmp_path: Path) -> None:
    """What comes is marked with +, what goes with -; a second run changes nothing."""
    cli.out("pool", "set", "full", "--exclude", "user:TC", "--max", "2:user:TC")
    file = tmp_path / "set-up.toml"
    text = cli.out("export").replace('exclude = ["user:TC"]', 'exclude = ["client:TestClientId"]')
    text = text.replace("seats = 2}", "seats = 3}").replace("seats = 5", "seats = 6")
    file.write_text(text, encoding="utf-8")
    lines = cli.out("apply", str(file)).splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "~ Jim_Test pool full seats 5 -> 6",
        "exclude - user:TC",
        "exclude + client:TestClientId",
        "max - 2:user:TC",
        "max + 3:user:TC",
        "1 change made.",
    ]
    assert cli.out("apply", str(file)) == "Nothing to change.\n"
    assert cli.out("export") == file.read_text(encoding="utf-8")


def test_a_file_whose_lines_contradict_each_other_is_refused_with_both(
    cli: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "set-up.toml"
    rules = 'seats = 5\nreserve = [{for = "user:TC", seats = 2}]\nmax = [{for = "user:TC", seats = 1}]'
    file.write_text(cli.out("export").replace("seats = 5", rules), encoding="utf-8")
    at = file.read_text(encoding="utf-8").splitlines().index("seats = 5") + 1
    result = cli.run("apply", str(file), exit_code=2)
    assert result.stderr.splitlines()[1].strip() == (
        f"tenant.Jim_Test.pool.full.reserve: reserve has 2 seats for user:TC (line {at + 1}), and max lets it"
        f" have 1 at most (line {at + 2})"
    )
