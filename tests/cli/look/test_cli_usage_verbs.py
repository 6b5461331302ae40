"""`licet usage true-up` and its other verbs: what they print, and what they refuse."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from licet.model import Pool
from support.cli.cli_reports_site import Site
from support.cli.command_line import run
from support.examples import client, end, grant, jim_test


def report(site: Site, verb: str, *arguments: str) -> str:
    """What a verb of `licet usage` prints."""
    return run("usage", verb, "--data", str(site.data), *arguments).stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A pool of one seat; an hour ago two wanted it while it was in use, and one of them got it later."""
    site = Site(
        tmp_path_factory.mktemp("usage"), jim_test(pools=[Pool(id=1, name="full", seats=1)]), ago_s=3600
    )
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    site.clock.advance(seconds=300)
    site.do(end(1), grant(2, 4))
    site.clock.advance(seconds=60)
    site.do(end(4))
    yield site
    site.store.close()


def test_a_true_up_is_a_line_a_day(site: Site) -> None:
    """With the sentence of the pool first."""
    text = report(site, "true-up", "--days", "2")
    assert "full (not signed): peak 1, no overdraft, 1 true denial" in text


def test_the_csv_of_a_true_up_has_the_days_of_all_pools(site: Site) -> None:
    """On standard output."""
    rows = list(csv.DictReader(io.StringIO(report(site, "true-up", "--csv", "-"))))
    assert len(rows) == 30
    assert sum(int(row["true_denials"]) for row in rows) == 1
    assert {row["overdraft_hours"] for row in rows} == {"0.0"}


def test_json_has_all_of_a_true_up(site: Site) -> None:
    """Durations in seconds."""
    (pool,) = json.loads(report(site, "true-up", "--json"))["pools"]
    assert (pool["peak"], pool["overdraft_s"], pool["true_denials"]) == (1, 0, 1)


def test_a_harvest_says_who_held_no_seat(site: Site) -> None:
    """Those that held one are listed."""
    text = report(site, "harvest")
    assert "full: 1 seat, peak 1, 1 true denial" in text
    enough = "3 seats would have been enough to turn nobody away; with the seats of today no shorter"
    assert enough in text
    assert "5 clients held no seat: Client2, Client3, Client4, Client5, Client6" in text


def test_an_option_before_the_verb_is_refused(site: Site) -> None:
    """It would count for nothing."""
    done = site.run("usage", "--days", "7", "true-up", exit_code=2)
    assert "options stand after the verb: licet usage true-up ..." in done.stderr


USUAL = {"true-up": 30, "harvest": 30, "what-if": 7, "export": 30}


@pytest.mark.parametrize("verb", USUAL)
def test_a_report_that_has_an_end_alone_asks_for_its_beginning(site: Site, verb: str) -> None:
    """Nobody said --days; and what its help calls the usual number of days is its own."""
    refused = run("usage", verb, "--data", str(site.data), "--until", "2026-11-01", exit_code=2)
    assert refused.stderr == "licet: --until needs --from\n"
    words = run("usage", verb, "--help").stdout.replace("│", " ").split()
    assert f"The last N days, including today; by default {USUAL[verb]}." in " ".join(words)


@pytest.mark.parametrize("verb", ["true-up", "harvest", "what-if", "--by=group"])
def test_a_report_has_by_default_the_days_that_its_help_says(site: Site, verb: str) -> None:
    """Today is the last of them, and the first begins at midnight by the clock of this machine."""
    found = json.loads(report(site, verb, "--json"))
    begins, ends = (datetime.fromisoformat(found[name]).astimezone() for name in ("from", "until"))
    assert (ends.date() - begins.date()).days + 1 == USUAL.get(verb, 30)
    assert (begins.hour, begins.minute) == (0, 0)


def test_what_if_has_what_was_recorded_its_replay_and_the_other_set_up(site: Site) -> None:
    """With one seat more nobody is turned away; the error of the replay stands below."""
    recorded, today, other, error = report(site, "what-if", "--seats", "3", "--days", "2").splitlines()[1:]
    assert recorded.split() == ["recorded", "1", "2", "1", "1"]
    assert today.split()[2:] == ["1", "0s", "20m", "1", "2", "1", "1"]
    assert other.split()[2:] == ["3", "0s", "20m", "3", "0", "0", "0"]
    assert error == (
        "replayed, today's set-up misses the recorded peak by 0.0%,"
        " and misses the recorded true denials by 0.0%"
    )


def test_what_if_says_where_nothing_was_recorded_that_there_is_nothing_to_check_against(site: Site) -> None:
    """No part of nothing: it said 300 per cent."""
    nothing = "no seats were recorded in this period, so nothing to check against"
    span = ("--from", "2023-01-01", "--until", "2023-01-02")
    assert report(site, "what-if", "--seats", "3", *span).splitlines()[-1] == nothing
    found = json.loads(report(site, "what-if", "--json", *span))
    assert (found["peak_error"], found["turned_away_error"]) == (None, None)


def test_what_if_takes_the_options_of_a_pool(site: Site) -> None:
    """With the words of `pool set`; names that there are not are refused as there."""
    excluded = ("--exclude", "client:Client1", "--seats", "3", "--days", "2")
    *_, other, _ = report(site, "what-if", *excluded).splitlines()
    assert other.split()[-1] != "0"
    done = run("usage", "what-if", "--data", str(site.data), "--max", "1:user:ZZ", exit_code=1)
    assert "max of pool full: there is no user ZZ" in done.stderr


def test_what_if_refuses_a_pool_that_is_not_there(site: Site) -> None:
    """It names those that are."""
    done = run("usage", "what-if", "--data", str(site.data), "--pool", "none", exit_code=1)
    assert "there is no pool none" in done.stderr
    done = run("usage", "what-if", "--data", str(site.data), "--hold", "2d", exit_code=2)
    assert "--hold is 0 s to 1d; this is not: '2d'" in done.stderr


def test_an_export_is_a_report_log_a_table_or_json(site: Site, tmp_path: Path) -> None:
    """In a file, or as the output."""
    lines = report(site, "export", "--days", "2").splitlines()
    assert lines[0] == "RLM Report Log Format 2, version 11.0"
    kinds = [line.split()[0] for line in lines if line.split() and line.split()[0] in {"OUT", "IN", "DENY"}]
    assert sorted(kinds) == ["DENY", "DENY", "IN", "IN", "OUT", "OUT"]
    file = tmp_path / "june.csv"
    report(site, "export", "--format", "csv", "--output", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [row["last_attempt"] for row in rows if row["event"] == "DENY"] == ["0", "1"]
    found = json.loads(report(site, "export", "--format", "json"))
    assert [row["event"] for row in found] == [row["event"] for row in rows]


def costs_of(site: Site, *arguments: str) -> str:
    """What `licet usage` prints of costs by cost centre of the last two days."""
    options = ("--data", str(site.data), "--days", "2", "--by", "cost-centre", *arguments)
    return run("usage", *options).stdout


def test_costs_are_split_by_cost_centre_to_the_cent(site: Site) -> None:
    """On a page, as CSV and as JSON: the same figures, and who has none is a part."""
    run("user", "set", "C1", "--cost-centre", "4711", "--data", str(site.data))
    (pool,) = json.loads(costs_of(site, "--price", "120", "--json"))["pools"]
    assert {part["name"] for part in pool["parts"]} == {None, "4711"}
    assert round(sum(part["cost"] for part in pool["parts"]), 2) == pool["cost"] == 120
    rows = list(csv.DictReader(io.StringIO(costs_of(site, "--price", "120", "--csv", "-"))))
    assert [float(row["cost"]) for row in rows] == [part["cost"] for part in pool["parts"]]
    text = costs_of(site, "--price", "120")
    assert "held, which cost 120.00" in text
    assert "4711" in text
    assert "(no cost centre)" in text
    assert "cost" not in costs_of(site).replace("cost centre", "")


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """Whoever names a client or a cost centre must not run anything on the machine of who opens the file."""
    clients = (client(1, "=cmd()", "TC"), client(2, "Client1", "C1"))
    site = Site(tmp_path_factory.mktemp("formulas"), jim_test(clients=clients), ago_s=600)
    run("user", "set", "TC", "--cost-centre", "+4711", "--data", str(site.data))
    site.store.refresh_tenants()
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=300)
    export = report(site, "export", "--format", "csv")
    file = tmp_path / "costs.csv"
    costs_of(site, "--csv", str(file))
    costs = file.read_text(encoding="utf-8")
    assert {row["client"] for row in csv.DictReader(io.StringIO(export))} == {"'=cmd()", "Client1"}
    for text in (costs, costs_of(site, "--csv", "-")):
        assert {row["name"] for row in csv.DictReader(io.StringIO(text))} == {"'+4711", ""}
    assert '"client": "=cmd()"' in report(site, "export", "--format", "json")
    site.store.close()


def test_costs_by_group_of_who_is_in_none(site: Site) -> None:
    """One part, which has all of it."""
    text = run("usage", "--data", str(site.data), "--by", "group").stdout
    assert "(no group)" in text
    assert "100.0%" in text


def test_costs_have_the_hours_of_all_seats_to_a_tenth_too(site: Site) -> None:
    """Of a pool that was added a moment ago, more would be held than there were."""
    text = run("usage", "--data", str(site.data), "--by", "group").stdout
    assert re.search(r"^full: \d+\.\d of \d+\.\d seat-hours held$", text, re.MULTILINE)


def test_costs_by_group_count_who_is_in_two_for_each_in_equal_parts(site: Site) -> None:
    """TestClientId held a seat for five minutes, Client1, of two groups, for one."""
    data = ("--data", str(site.data))
    run("group", "add", "sales", "--user", "TC", "--client", "Client1", *data)
    run("group", "add", "support", "--client", "Client1", *data)
    (pool,) = json.loads(run("usage", "--by", "group", "--days", "2", "--json", *data).stdout)["pools"]
    assert {part["name"]: part["held_s"] for part in pool["parts"]} == {"sales": 330, "support": 30}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--price", "5"), "--price is for --by group and --by cost-centre"),
        (("--by", "group", "--price", "-1"), "it has to be at least 0; this is not: '-1'"),
        (("--by", "group", "--svg", "x"), "--by group and pictures (--svg, --png) exclude each other"),
        (("--by", "week"), "'week' is not one of"),
    ],
)
def test_what_costs_cannot_be_asked_for(site: Site, arguments: tuple[str, ...], told: str) -> None:
    """A price without a split, below nothing, as a picture."""
    said = " ".join(run("usage", "--data", str(site.data), *arguments, exit_code=2).stderr.split())
    assert told in said
