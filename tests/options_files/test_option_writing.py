"""What an options file says, added to a set-up file."""

import tomllib

import pytest

from licet.options_files.outcomes import Fate
from licet.options_files.writing import written
from support.cli.options_files import translated

BASE = """\
# kept under version control

[tenant.Sales]
session_ttl = "20m" # as sold

[tenant.Sales.pool.full]
seats = 5
exclude = ["user:TC"]
max = [{for = "user:BO", seats = 2}]

[tenant.Sales.pool.light]
seats = 5

[tenant.Sales.group.sales]
users = ["TC"]
clients = ["App"]

[tenant.Other.pool.full]
seats = 1
"""


def with_options(text: str, base: str = BASE, *, source: str = "sales.opt") -> str:
    """The set-up file with what this options file says."""
    done = translated(text)
    left_out = [it for it in done.outcomes if it.fate is Fate.LEFT_OUT]
    return written(base, "Sales", done.changes, left_out, source)


def test_all_else_of_the_file_stays_as_it_is() -> None:
    assert with_options("# nothing\n") == BASE
    after = with_options("LINGER light 60\n")
    assert after.replace('hold = "1m"\n', "") == BASE


def test_lists_are_added_to_and_a_rule_for_one_name_takes_the_place_of_the_one_before() -> None:
    after = tomllib.loads(
        with_options(
            "EXCLUDE full USER anne\nMAX 1 full USER bob\nMAX 3 full USER anne\nRESERVE 1 light USER anne\n"
        )
    )["tenant"]["Sales"]
    assert after["pool"]["full"] == {
        "seats": 5,
        "exclude": ["user:TC", "user:AN"],
        "max": [{"for": "user:BO", "seats": 1}, {"for": "user:AN", "seats": 3}],
    }
    assert after["pool"]["light"] == {"seats": 5, "reserve": [{"for": "user:AN", "seats": 1}]}


def test_a_group_has_the_users_of_the_options_file_and_keeps_its_clients() -> None:
    after = tomllib.loads(with_options("GROUP sales bob anne\nGROUP new TC\n"))["tenant"]["Sales"]
    assert after["group"] == {
        "sales": {"users": ["AN", "BO"], "clients": ["App"]},
        "new": {"users": ["TC"]},
    }


def test_a_comment_beside_a_value_that_changes_stays() -> None:
    assert 'session_ttl = "2h" # as sold' in with_options("TIMEOUTALL 7200\n")


def test_what_is_added_twice_is_there_once() -> None:
    text = "EXCLUDE full USER anne\nMAX 1 full USER bob\nGROUP g anne\nREPORTLOG x\nTIMEOUTALL 7200\n"
    once = with_options(text)
    assert with_options(text, once) == once


def test_what_was_left_out_stands_above_as_a_comment_until_the_file_is_added_again() -> None:
    once = with_options("REPORTLOG x\nRESERVE 1 full HOST y\n")
    assert once.startswith("# Left out of sales.opt, as it has no counterpart:\n#   line 1: REPORTLOG x\n")
    assert "#   line 2: RESERVE 1 full HOST y\n" in once
    assert with_options("REPORTLOG x\n", once).count("REPORTLOG") == 1
    assert with_options("# none\n", once) == BASE
    assert with_options("NOLOG IN\n", once, source="other.opt").count("# Left out of") == 2


@pytest.mark.parametrize("source", ["a\nb.opt", "a\x1b[31m.opt", "x" * 3000])
def test_a_comment_is_one_line_whatever_the_file_is_called(source: str) -> None:
    after = with_options("REPORTLOG x" + "y" * 3000, source=source)
    head = after.removesuffix(BASE)
    assert all(
        line.startswith("#") and line.isprintable() and len(line) < 300 for line in head.splitlines() if line
    )
    assert tomllib.loads(after) == tomllib.loads(BASE)


SCATTERED = """\
[tenant.Sales.pool.full]
seats = 5

[tenant.Other.pool.full]
seats = 1

[tenant.Sales]
session_ttl = "20m"

[tenant.Other.user.TC]

[tenant.Sales.pool.light]
seats = 5
"""
INLINE = "tenant = {Sales = {pool = {full = {seats = 5}, light = {seats = 5}}}}\n"
DOTTED = "tenant.Sales.pool.full.seats = 5\ntenant.Sales.pool.light.seats = 5\n"


@pytest.mark.parametrize("base", [SCATTERED, INLINE, DOTTED])
def test_a_file_that_is_written_in_another_way_says_the_same_and_what_is_added(base: str) -> None:
    text = "GROUP sales anne\nEXCLUDE light GROUP sales\nRESERVE 2 full USER bob\nTIMEOUTALL 7200\n"
    before, after = tomllib.loads(base)["tenant"], tomllib.loads(with_options(text, base))["tenant"]
    wanted = before["Sales"]
    wanted["session_ttl"] = "2h"
    wanted["group"] = {"sales": {"users": ["AN"]}}
    wanted["pool"]["light"]["exclude"] = ["group:sales"]
    wanted["pool"]["full"]["reserve"] = [{"for": "user:BO", "seats": 2}]
    assert after == before
