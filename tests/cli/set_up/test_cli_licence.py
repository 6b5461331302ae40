"""`licet trust` and `licet licence`: from the vendor's files to the seats of a pool."""

from contextlib import closing
from pathlib import Path

import pytest

from licet.alerts.evaluation import look
from licet.clock import SystemClock
from licet.licences.armour import armoured
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import Desk
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


def test_a_licence_is_installed_once_its_vendor_is_trusted(desk: Desk, vendor: str, licence: str) -> None:
    """Then the pool has its seats, and the list shows it."""
    assert "of no vendor that is trusted here" in desk.error("licence", "install", licence)
    assert desk.out("trust", "add", vendor) == "Vendor acme is trusted for jim2-api.\n"
    said = desk.out("licence", "install", licence)
    assert said.splitlines() == [
        "Licence C-1, serial 1, installed: 2 seats of full, without end.",
        "Pool full counts 2 seats now, without end.",
    ]
    [pool] = desk.tenant().pools.values()
    assert pool.signed is not None
    assert pool.signed.steps[-1].signed == 2
    [row] = desk.json("licence", "list")
    assert (row["licence"], row["serial"], row["state"]) == ("C-1", 1, "valid")
    assert desk.out("licence", "install", licence) == "All of it was installed already.\n"
    assert [it["vendor"] for it in desk.json("trust", "list")] == ["acme"]
    [shown] = desk.json("licence", "show", "C-1")
    assert shown["pools"]["full"]["seats"] == 2
    assert "2 seats" in desk.out("licence", "show", "C-1")


def test_what_would_end_is_said_before_and_needs_a_yes(desk: Desk, vendor: str, licence: str) -> None:
    """`check` says it, and changes nothing."""
    for client_id in ("c1", "c2", "c3"):
        desk.out("client", "add", client_id, "--user", "TC")
        desk.grant(client_id, "all")
    desk.out("trust", "add", vendor)
    checked = desk.out("licence", "check", licence)
    assert "can be installed: 2 seats of full, without end." in checked
    assert "1 session ends at once: c3." in checked
    assert desk.json("licence", "list") == []
    assert "say --yes" in desk.error("licence", "install", licence, exit_code=2)
    assert desk.json("licence", "list") == []
    assert desk.out("licence", "install", licence, "--yes").endswith("\n1 session ended.\n")


def test_removing_a_licence_and_trust_asks(desk: Desk, vendor: str, licence: str) -> None:
    """A licence that was removed is not installed again."""
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    assert "say --yes" in desk.error("licence", "remove", "C-1", "1", exit_code=2)
    assert desk.out("licence", "remove", "C-1", "1", "--yes") == "Licence C-1, serial 1, removed.\n"
    assert "was removed here" in desk.error("licence", "install", licence)
    assert [it["state"] for it in desk.json("licence", "list")] == ["removed"]
    assert "say --yes" in desk.error("trust", "remove", "acme", "jim2-api", exit_code=2)
    assert desk.out("trust", "remove", "acme", "jim2-api", "--yes") == "Vendor acme is trusted no more.\n"
    assert desk.run("trust", "list").stderr == "No vendor is trusted.\n"


def test_what_is_not_there_is_said(desk: Desk) -> None:
    """In one line, each with its own words."""
    assert desk.error("licence", "show", "C-9") == "there is no licence C-9"
    assert "no serial 1 of a licence C-9" in desk.error("licence", "remove", "C-9", "1", "--yes")
    assert "no vendor acme of product x" in desk.error("trust", "remove", "acme", "x", "--yes")
    assert desk.run("licence", "list").stderr == "No licence is installed.\n"


def test_a_file_may_come_by_standard_input(desk: Desk, vendor: str, licence: str) -> None:
    """As with other files."""
    desk.out("trust", "add", "-", stdin=Path(vendor).read_text(encoding="utf-8"))
    desk.out("licence", "install", "-", stdin=Path(licence).read_text(encoding="utf-8"))
    assert len(desk.json("licence", "list")) == 1


def test_a_licence_that_is_not_counted_says_so(desk: Desk, vendor: str, licence: str) -> None:
    """Also where it is shown."""
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    desk.out("trust", "remove", "acme", "jim2-api", "--yes")
    assert [it["state"].partition(":")[0] for it in desk.json("licence", "list")] == ["not counted"]
    assert "not counted" in desk.out("licence", "show", "C-1")
    assert desk.json("licence", "show", "C-1")[0]["licence"] == "C-1"
    with closing(SqliteStore(desk.store_file, SystemClock())) as store:
        look(store)
    assert [it["alert"] for it in desk.json("alerts")] == ["licence C-1 gives no seats"]


def test_a_pool_is_made_unsigned_when_its_licences_are_removed(desk: Desk, vendor: str, licence: str) -> None:
    """It has the seats that are set then; before that it is refused, and what to do is said."""
    assert desk.out("pool", "set", "full", "--unsigned") == "Nothing to change.\n"
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    assert desk.error("pool", "set", "full", "--unsigned").startswith(
        "pool full is in licence C-1; remove it first: licet licence remove"
    )
    desk.grant("TestClientId")
    desk.out("licence", "remove", "C-1", "1", "--yes")
    told = desk.run("pool", "set", "full", "--unsigned", "--seats", "all")
    assert told.stdout == "Pool full changed.\n"
    assert told.stderr == "It is in no licence, and no number of seats is set: it has none.\n"
    assert desk.out("pool", "set", "full", "--seats", "3") == "Pool full changed.\n"
    shown = desk.json("pool", "show", "full")
    assert (shown["seats"], shown["effective_seats"], shown["signed_seats"]) == (3, 3, None)


def test_what_is_set_beyond_what_is_signed_is_said(desk: Desk, vendor: str, licence: str) -> None:
    """The list has the number that counts; overdraft is a column of its own."""
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    told = desk.run("pool", "set", "full", "--seats", "40", "--overdraft", "3").stderr
    assert told == "40 seats are set, and 2 are signed: it has 2; an overdraft of 3 is set, and 0 signed.\n"
    heads, row = desk.out("pool", "list").splitlines()
    assert heads.split()[:6] == ["pool", "seats", "in", "use", "overdraft", "over"]
    assert row.split()[:5] == ["full", "2", "0", "0", "0"]
    desk.out("pool", "set", "full", "--seats", "all", "--overdraft", "all")
    shown = desk.json("pool", "show", "full")
    assert (shown["seats"], shown["overdraft"], shown["effective_seats"]) == (None, None, 2)
    assert desk.json("tenant", "list")[0]["seats"] == 2


def test_a_licence_whose_id_another_vendor_uses_is_removed_by_its_vendor(
    desk: Desk, vendor: str, licence: str, tmp_path: Path
) -> None:
    """Neither of the two by chance."""
    other = TestVendor("b")
    file, beside = tmp_path / "b.json", tmp_path / "b.licence"
    file.write_text(vendor_file(other), encoding="utf-8")
    pools = {"more": {"seats": 1, "scopes": ["all"]}}
    beside.write_text(armoured(other.sign(other.claims(licence="C-1", pools=pools))), encoding="utf-8")
    desk.out("pool", "add", "more", "--seats", "1")
    for path, one in ((vendor, licence), (str(file), str(beside))):
        desk.out("trust", "add", path)
        desk.out("licence", "install", one)
    told = desk.error("licence", "remove", "C-1", "1", "--yes")
    assert told.startswith("licence C-1 is of more than one vendor or product: acme for jim2-api, b for")
    assert told.endswith("say which vendor and product")
    desk.out("licence", "remove", "C-1", "1", "--vendor", "b", "--yes")
    assert {it["vendor"]: it["state"] for it in desk.json("licence", "list")} == {
        "acme": "valid",
        "b": "removed",
    }


def test_a_serial_that_a_later_one_has_replaced_says_so(desk: Desk, vendor: str, licence: str) -> None:
    """It is not valid any more, though it has not ended."""
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    desk.out("licence", "install", "-", stdin=armoured(text_of("full", "all", serial=2, seats=3)))
    assert [it["state"] for it in desk.json("licence", "list")] == ["superseded by serial 2", "valid"]
    shown = [(it["state"], it["superseded_by"]) for it in desk.json("licence", "show", "C-1")]
    assert shown == [("superseded", 2), ("valid", None)]
    assert "superseded by serial 2" in desk.out("licence", "show", "C-1")


def test_a_file_that_is_refused_is_in_the_journal(desk: Desk, vendor: str, licence: str) -> None:
    """Found by the licence that it says to be, with what became of that before."""
    desk.out("trust", "add", vendor)
    desk.out("licence", "install", licence)
    desk.error("licence", "install", "-", stdin=armoured(text_of("full", "all", seats=9)))
    found = [(it["action"], it["target"]) for it in desk.json("journal", "--licence", "C-1")]
    assert found == [("refuse", "licence C-1"), ("install", "licence C-1")]


def test_a_limit_of_the_set_up_is_said_with_how_to_lift_it(desk: Desk, vendor: str, tmp_path: Path) -> None:
    """The lesser of both counts: who installs more seats would look for them in vain."""
    licence = tmp_path / "c2.licence"
    licence.write_text(armoured(text_of("full", "all", seats=25)), encoding="utf-8")
    desk.out("trust", "add", vendor)
    limited = "Pool full is limited to 5 seats by its set-up; to use all: licet pool set full --seats all"
    assert limited in desk.out("licence", "check", str(licence)).splitlines()
    assert limited in desk.out("licence", "install", str(licence)).splitlines()
    desk.out("pool", "set", "full", "--seats", "all")
    assert "limited" not in desk.out("licence", "check", str(licence))


def test_a_terminal_of_eighty_columns_folds_no_number_nor_its_heading(desk: Desk) -> None:
    """But what is text; and a pool that gives no seat is one of none."""
    desk.out("tenant", "set", "Jim_Test", "--licence-required")
    with terminal("pool", "list", "--data", str(desk.data)) as screen:
        screen.read_until("overdraft")
        assert screen.ended() == 0
    assert desk.json("pool", "list")[0]["effective_seats"] == desk.json("tenant", "list")[0]["seats"] == 0
