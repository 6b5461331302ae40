"""`licet trust` and `licet licence`: from the vendor's files to the seats of a pool."""

from contextlib import closing
from pathlib import Path

import pytest

from licet.alerts.evaluation import look
from licet.clock import SystemClock
from licet.licences.armour import armoured
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import CommandLine
from support.cli.command_line import terminal
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.licences.vendors import TestVendor


@pytest.fixture
def vendor(tmp_path: Path) -> str:
    """The vendor's file."""
    path = tmp_path / "vendor.json"
    path.write_text(vendor_file(the_vendor()), encoding="utf-8")
    return str(path)


@pytest.fixture
def licence(tmp_path: Path) -> str:
    """A licence of two seats."""
    path = tmp_path / "c1.licence"
    path.write_text(armoured(text_of("full", "all", seats=2)), encoding="utf-8")
    return str(path)


def test_a_licence_is_installed_once_its_vendor_is_trusted(
    cli: CommandLine, vendor: str, licence: str
) -> None:
    """Then the pool has its seats, and the list shows it."""
    assert "of no vendor that is trusted here" in cli.error("licence", "install", licence)
    assert cli.out("trust", "add", vendor) == "Vendor acme is trusted for jim2-api.\n"
    said = cli.out("licence", "install", licence)
    assert said.splitlines() == [
        "Licence C-1, serial 1, installed: 2 seats of full, without end.",
        "Pool full counts 2 seats now, without end.",
    ]
    [pool] = cli.tenant().pools.values()
    assert pool.signed is not None
    assert pool.signed.steps[-1].signed == 2
    [row] = cli.json("licence", "list")
    assert (row["licence"], row["serial"], row["state"]) == ("C-1", 1, "valid")
    assert cli.out("licence", "install", licence) == "All of it was installed already.\n"
    assert [it["vendor"] for it in cli.json("trust", "list")] == ["acme"]
    [shown] = cli.json("licence", "show", "C-1")
    assert shown["pools"]["full"]["seats"] == 2
    assert "2 seats" in cli.out("licence", "show", "C-1")


def test_what_would_end_is_said_before_and_needs_a_yes(cli: CommandLine, vendor: str, licence: str) -> None:
    """`check` says it, and changes nothing."""
    for client_id in ("c1", "c2", "c3"):
        cli.out("client", "add", client_id, "--user", "TC")
        cli.grant(client_id, "all")
    cli.out("trust", "add", vendor)
    checked = cli.out("licence", "check", licence)
    assert "can be installed: 2 seats of full, without end." in checked
    assert "1 session ends at once: c3." in checked
    assert cli.json("licence", "list") == []
    assert "say --yes" in cli.error("licence", "install", licence, exit_code=2)
    assert cli.json("licence", "list") == []
    assert cli.out("licence", "install", licence, "--yes").endswith("\n1 session ended.\n")


def test_removing_a_licence_and_trust_asks(cli: CommandLine, vendor: str, licence: str) -> None:
    """A licence that was removed is not installed again."""
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    assert "say --yes" in cli.error("licence", "remove", "C-1", "1", exit_code=2)
    assert cli.out("licence", "remove", "C-1", "1", "--yes") == "Licence C-1, serial 1, removed.\n"
    assert "was removed here" in cli.error("licence", "install", licence)
    assert [it["state"] for it in cli.json("licence", "list")] == ["removed"]
    assert "say --yes" in cli.error("trust", "remove", "acme", "jim2-api", exit_code=2)
    assert cli.out("trust", "remove", "acme", "jim2-api", "--yes") == "Vendor acme is trusted no more.\n"
    assert cli.run("trust", "list").stderr == "No vendor is trusted.\n"


def test_what_is_not_there_is_said(cli: CommandLine) -> None:
    """In one line, each with its own words."""
    assert cli.error("licence", "show", "C-9") == "there is no licence C-9"
    assert "no serial 1 of a licence C-9" in cli.error("licence", "remove", "C-9", "1", "--yes")
    assert "no vendor acme of product x" in cli.error("trust", "remove", "acme", "x", "--yes")
    assert cli.run("licence", "list").stderr == "No licence is installed.\n"


def test_a_file_may_come_by_standard_input(cli: CommandLine, vendor: str, licence: str) -> None:
    """As with other files."""
    cli.out("trust", "add", "-", stdin=Path(vendor).read_text(encoding="utf-8"))
    cli.out("licence", "install", "-", stdin=Path(licence).read_text(encoding="utf-8"))
    assert len(cli.json("licence", "list")) == 1


def test_a_licence_that_is_not_counted_says_so(cli: CommandLine, vendor: str, licence: str) -> None:
    """Also where it is shown."""
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    cli.out("trust", "remove", "acme", "jim2-api", "--yes")
    assert [it["state"].partition(":")[0] for it in cli.json("licence", "list")] == ["not counted"]
    assert "not counted" in cli.out("licence", "show", "C-1")
    assert cli.json("licence", "show", "C-1")[0]["licence"] == "C-1"
    with closing(SqliteStore(cli.store_file, SystemClock())) as store:
        look(store)
    assert [it["alert"] for it in cli.json("alerts")] == ["licence C-1 gives no seats"]


def test_a_pool_is_made_unsigned_when_its_licences_are_removed(
    cli: CommandLine, vendor: str, licence: str
) -> None:
    """It has the seats that are set then; before that it is refused, and what to do is said."""
    assert cli.out("pool", "set", "full", "--unsigned") == "Nothing to change.\n"
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    assert cli.error("pool", "set", "full", "--unsigned").startswith(
        "pool full is in licence C-1; remove it first: licet licence remove"
    )
    cli.grant("TestClientId")
    cli.out("licence", "remove", "C-1", "1", "--yes")
    told = cli.run("pool", "set", "full", "--unsigned", "--seats", "all")
    assert told.stdout == "Pool full changed.\n"
    assert told.stderr == "It is in no licence, and no number of seats is set: it has none.\n"
    assert cli.out("pool", "set", "full", "--seats", "3") == "Pool full changed.\n"
    shown = cli.json("pool", "show", "full")
    assert (shown["seats"], shown["effective_seats"], shown["signed_seats"]) == (3, 3, None)


def test_what_is_set_beyond_what_is_signed_is_said(cli: CommandLine, vendor: str, licence: str) -> None:
    """The list has the number that counts; overdraft is a column of its own."""
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    told = cli.run("pool", "set", "full", "--seats", "40", "--overdraft", "3").stderr
    assert told == "40 seats are set, and 2 are signed: it has 2; an overdraft of 3 is set, and 0 signed.\n"
    heads, row = cli.out("pool", "list").splitlines()
    assert heads.split()[:6] == ["pool", "seats", "in", "use", "overdraft", "over"]
    assert row.split()[:5] == ["full", "2", "0", "0", "0"]
    cli.out("pool", "set", "full", "--seats", "all", "--overdraft", "all")
    shown = cli.json("pool", "show", "full")
    assert (shown["seats"], shown["overdraft"], shown["effective_seats"]) == (None, None, 2)
    assert cli.json("tenant", "list")[0]["seats"] == 2


def test_a_licence_whose_id_another_vendor_uses_is_removed_by_its_vendor(
    cli: CommandLine, vendor: str, licence: str, tmp_path: Path
) -> None:
    """Neither of the two by chance."""
    other = TestVendor("b")
    file, beside = tmp_path / "b.json", tmp_path / "b.licence"
    file.write_text(vendor_file(other), encoding="utf-8")
    pools = {"more": {"seats": 1, "scopes": ["all"]}}
    beside.write_text(armoured(other.sign(other.claims(licence="C-1", pools=pools))), encoding="utf-8")
    cli.out("pool", "add", "more", "--seats", "1")
    for path, one in ((vendor, licence), (str(file), str(beside))):
        cli.out("trust", "add", path)
        cli.out("licence", "install", one)
    told = cli.error("licence", "remove", "C-1", "1", "--yes")
    assert told.startswith("licence C-1 is of more than one vendor or product: acme for jim2-api, b for")
    assert told.endswith("say which vendor and product")
    cli.out("licence", "remove", "C-1", "1", "--vendor", "b", "--yes")
    assert {it["vendor"]: it["state"] for it in cli.json("licence", "list")} == {
        "acme": "valid",
        "b": "removed",
    }


def test_a_serial_that_a_later_one_has_replaced_says_so(cli: CommandLine, vendor: str, licence: str) -> None:
    """It is not valid any more, though it has not ended."""
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    cli.out("licence", "install", "-", stdin=armoured(text_of("full", "all", serial=2, seats=3)))
    assert [it["state"] for it in cli.json("licence", "list")] == ["superseded by serial 2", "valid"]
    shown = [(it["state"], it["superseded_by"]) for it in cli.json("licence", "show", "C-1")]
    assert shown == [("superseded", 2), ("valid", None)]
    assert "superseded by serial 2" in cli.out("licence", "show", "C-1")


def test_a_file_that_is_refused_is_in_the_journal(cli: CommandLine, vendor: str, licence: str) -> None:
    """Found by the licence that it says to be, with what became of that before."""
    cli.out("trust", "add", vendor)
    cli.out("licence", "install", licence)
    cli.error("licence", "install", "-", stdin=armoured(text_of("full", "all", seats=9)))
    found = [(it["action"], it["target"]) for it in cli.json("journal", "--licence", "C-1")]
    assert found == [("refuse", "licence C-1"), ("install", "licence C-1")]


def test_a_limit_of_the_set_up_is_said_with_how_to_lift_it(
    cli: CommandLine, vendor: str, tmp_path: Path
) -> None:
    """The lesser of both counts: who installs more seats would look for them in vain."""
    licence = tmp_path / "c2.licence"
    licence.write_text(armoured(text_of("full", "all", seats=25)), encoding="utf-8")
    cli.out("trust", "add", vendor)
    limited = "Pool full is limited to 5 seats by its set-up; to use all: licet pool set full --seats all"
    assert limited in cli.out("licence", "check", str(licence)).splitlines()
    assert limited in cli.out("licence", "install", str(licence)).splitlines()
    cli.out("pool", "set", "full", "--seats", "all")
    assert "limited" not in cli.out("licence", "check", str(licence))


def test_a_terminal_of_eighty_columns_folds_no_number_nor_its_heading(cli: CommandLine) -> None:
    """But what is text; and a pool that gives no seat is one of none."""
    cli.out("tenant", "set", "Jim_Test", "--licence-required")
    with terminal("pool", "list", "--data", str(cli.data)) as screen:
        screen.read_until("overdraft")
        assert screen.ended() == 0
    assert cli.json("pool", "list")[0]["effective_seats"] == cli.json("tenant", "list")[0]["seats"] == 0
