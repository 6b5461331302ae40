"""`licet why`: what would happen if a client asked now."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from licet.options import Group, Priority, Share
from support.cli.cli_reports_site import Site
from support.cli.cli_site import CommandLine, new_data
from support.examples import FULL, grant, jim_test


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """`Jim_Test` with one seat, for one client at a time."""
    site = Site(tmp_path, jim_test(pools=(replace(FULL, seats=1),)))
    yield site
    site.store.close()


def test_a_client_that_would_be_granted_is_said_to_be_with_exit_code_0(site: Site) -> None:
    """Each rule has its line."""
    first, *lines = site.run("why", "TestClientId").stdout.splitlines()
    assert first == "TestClientId of user TC would get a seat in pool full."
    assert lines == [
        "  + client     enabled, of user TC",
        "  + scope      all: a seat of pool full",
        "  + suspended  not suspended",
        "pool full",
        "  + licence    1 seat",
        "  + exclude    no rule excludes it",
        "  + include    everybody is included",
        "  + own seat   its holder has no seat",
        "  + max        no limit",
        "  + queue      no queue",
        "  + room       0 of 1 seat in use",
    ]


def test_a_client_that_would_be_denied_ends_it_with_exit_code_1(site: Site) -> None:
    """And when it may ask again; nothing is in the journal."""
    site.do(grant(2, 1))
    lines = site.run("why", "TestClientId", exit_code=1).stdout.splitlines()
    assert lines[0] == "TestClientId of user TC would be denied: all_in_use."
    assert lines[-2] == "  - room       1 of 1 seat in use"
    assert lines[-1].startswith("It may ask again in ")
    assert "denied" not in site.run("journal").stdout


def test_the_rules_that_apply_to_a_client_are_listed_whoever_has_seats(tmp_path: Path) -> None:
    """Of each pool of its scopes, with what does not count; exit code 0, also of who is excluded."""
    pool = replace(
        FULL,
        exclude=("group:sales",),
        max=(Share(who="user:TC", seats=2),),
        priority=(Priority(who="user:C1", level=5),),
    )
    sales = Group(name="sales", users=frozenset({"TC"}))
    site = Site(tmp_path, jim_test(pools=(pool,), groups=(sales,)))
    lines = [line.split() for line in site.run("why", "TestClientId", "--rules").stdout.splitlines()]
    assert lines == [
        ["pool", "rule", "for", "what", "counts"],
        ["full", "exclude", "group:sales", "gets", "no", "seat", "yes"],
        ["full", "max", "user:TC", "has", "2", "seats", "at", "most", "no"],
    ]
    [said] = json.loads(site.run("why", "Client1", "--rules", "--json").stdout)
    assert (said["pool"], said["scopes"]) == ("full", ["all"])
    assert said["rules"] == [{"option": "priority", "who": "user:C1", "text": "level 5", "counts": True}]
    assert "No rule of a pool applies to Client2" in site.run("why", "Client2", "--rules").stderr
    assert site.run("why", "Client2", "--rules", "--scope", "all", exit_code=2).stdout == ""
    assert "Nobody" in site.run("why", "Nobody", "--rules", exit_code=1).stderr
    site.store.close()


def test_as_json_it_has_all_steps(site: Site) -> None:
    """For programs: the words of the rules do not change."""
    site.do(grant(2, 1))
    said = json.loads(site.run("why", "TestClientId", "--scope", "view all", "--json", exit_code=1).stdout)
    assert (said["granted"], said["reason"], said["scope"]) == (False, "all_in_use", "view all")
    assert said["steps"][-1] == {
        "rule": "room",
        "passed": False,
        "text": "1 of 1 seat in use",
        "pool": "full",
    }


def test_a_client_or_scope_that_does_not_exist_is_refused(site: Site) -> None:
    """The names that there are, are named."""
    wrong = site.run("why", "Nobody", exit_code=1)
    assert "there is no client Nobody" in wrong.stderr
    assert not wrong.stdout
    said = site.run("why", "TestClientId", "--scope", "none", exit_code=1).stdout
    headline, *steps = said.splitlines()
    why = "a scope that was asked for does not exist here"
    assert headline == f"TestClientId of user TC would get no token: {why}."
    assert steps[-1].endswith("A scope that was asked for does not exist here.")


def test_a_client_that_is_disabled_is_told_why_it_would_get_no_token(tmp_path: Path) -> None:
    """No rule of a pool denies it: nothing is asked of a pool."""
    cli = CommandLine(new_data(tmp_path / "data"))
    cli.run("client", "disable", "TestClientId", "--yes")
    said = cli.run("why", "TestClientId", exit_code=1).stdout
    assert said.splitlines()[0] == "TestClientId of user TC would get no token: the client is disabled."
