"""`licet journal`: what happened and who did what, newest first."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.journal.refusals import Failure, FailureKey, RefusedRequest, write_refusals
from licet.model import Pool
from licet.setup.change import changing
from support.cli.cli_reports_site import Site
from support.cli.command_line import run, terminal
from support.examples import end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import NOON_MS
from support.store.report_site import Site as ReportSite
from support.store.store_site import folded


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """`Jim_Test` with one seat, which one client has, and another is denied."""
    site = Site(tmp_path, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    site.do(grant(1, 1))
    site.clock.advance(seconds=1)
    site.do(grant(2, 2))
    site.clock.advance(seconds=1)
    site.do(end(1))
    site.clock.advance(seconds=1)
    with changing(site.store, "ada") as change:
        change.tenant("Jim_Test").set_pool("full", seats=2)
    yield site
    site.store.close()


def lines(site: Site, *arguments: str) -> list[list[str]]:
    """What it prints, less the headings, as words."""
    return [line.split() for line in site.run("journal", *arguments).stdout.splitlines()[1:]]


def test_everything_that_happened_is_told_the_newest_first(site: Site) -> None:
    """L11."""
    told = [" ".join(line[1:]) for line in lines(site)]
    assert told == [
        "set ada pool full 1 seats 1 -> 2",
        "ended logoff TestClientId (TC) pool full 1 from 192.0.2.1",
        "denied all_in_use Client1 (C1) pool full 1 1 of 1 in use, from 192.0.2.1",
        "granted TestClientId (TC) pool full 1 from 192.0.2.1",
    ]


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("--only", "denied"), ["denied"]),
        (("--only", "granted", "--only", "ended"), ["ended", "granted"]),
        (("--client", "Client1"), ["denied"]),
        (("--user", "TC"), ["ended", "granted"]),
        (("--by", "ada"), ["set"]),
        (("--days", "1", "-n", "2"), ["set", "ended"]),
        (("--tenant", "Jim_Test", "--pool", "full", "--only", "denied"), ["denied"]),
    ],
)
def test_it_can_be_narrowed(site: Site, arguments: tuple[str, ...], kinds: list[str]) -> None:
    assert [line[1] for line in lines(site, *arguments)] == kinds


@pytest.fixture
def on_each_store(
    make_place: Callable[[int], Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReportSite]:
    """`Jim_Test` with one seat at noon, in a store that the command line finds."""
    place = make_place(NOON_MS)
    site = ReportSite(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    if place.url:
        monkeypatch.setenv("LICET_STORE", place.url)
    yield site
    place.close()


def test_the_lines_are_in_the_order_of_the_times_that_they_show(
    on_each_store: ReportSite, tmp_path: Path
) -> None:
    """Denials of one minute stand above a grant between the first and the last of them."""
    site = on_each_store
    site.do(grant(1, 1))
    site.clock.advance(seconds=10)
    site.do(grant(2, 2))
    site.clock.advance(seconds=10)
    site.do(end(1))
    site.clock.advance(seconds=10)
    site.do(grant(3, 3))
    site.clock.advance(seconds=10)
    site.do(grant(2, 4))
    entries = json.loads(run("journal", "--data", str(tmp_path), "--json").stdout)
    assert [(it["client_id"], it["kind"], it["times"]) for it in entries] == [
        ("Client1", "denied", 2),
        ("Client2", "granted", 1),
        ("TestClientId", "ended", 1),
        ("TestClientId", "granted", 1),
    ]
    told = run("journal", "--data", str(tmp_path)).stdout.splitlines()[1:]
    times = [line.split()[0] for line in told]
    assert times == sorted(times, reverse=True)
    assert [line.split()[1] for line in told] == ["denied", "granted", "ended", "granted"]


def test_the_newest_lines_are_those_with_the_newest_times(on_each_store: ReportSite, tmp_path: Path) -> None:
    """Whether folded or not: a client that was denied all minute long is the newest once it is again."""
    site = on_each_store

    def newest(count: int) -> list[tuple[str, int]]:
        done = run("journal", "--data", str(tmp_path), "-n", str(count), "--json")
        return [(it["client_id"], it["times"]) for it in json.loads(done.stdout)]

    site.do(grant(1, 1))
    for number in range(2, 6):
        site.clock.advance(seconds=1)
        site.do(grant(number, number))
    site.clock.advance(seconds=1)
    site.do(grant(2, 6), grant(3, 7))
    expected = [("Client2", 2), ("Client1", 2), ("Client4", 1), ("Client3", 1), ("TestClientId", 1)]
    assert [newest(count) for count in range(1, 6)] == [expected[:count] for count in range(1, 6)]
    folded(site.store)
    assert [newest(count) for count in range(1, 6)] == [expected[:count] for count in range(1, 6)]
    site.clock.advance(seconds=60)
    site.do(grant(5, 8))
    assert newest(3) == [("Client4", 1), *expected[:2]]


def test_several_tenants_are_named(site: Site) -> None:
    with changing(site.store, "ada") as change:
        change.add_tenant("Other", seats=1)
    assert site.run("journal").stdout.split()[:2] == ["when", "tenant"]
    assert site.run("journal", "--tenant", "Other").stdout.split()[:2] == ["when", "what"]


def test_json_has_all_there_is(site: Site) -> None:
    [denial] = json.loads(site.run("journal", "--only", "denied", "--json").stdout)
    assert denial["last_at"].endswith("Z")
    assert (denial["client_id"], denial["user"], denial["seats"], denial["in_use"]) == ("Client1", "C1", 1, 1)


def test_more_than_a_page_is_read_on(site: Site) -> None:
    with changing(site.store, "ada") as change:
        tenant = change.tenant("Jim_Test")
        for number in range(10, 99):
            for letter in "abcdef":
                tenant.add_user(f"{letter}{number}")
    assert len(lines(site, "-n", "520", "--only", "event")) == 520


def test_where_nothing_happened_it_says_so(site: Site) -> None:
    result = site.run("journal", "--client", "Nobody")
    assert (result.stdout, "Nothing like this happened" in result.stderr) == ("", True)
    assert json.loads(site.run("journal", "--client", "Nobody", "--json").stdout) == []


def test_a_name_cannot_take_over_the_terminal(tmp_path: Path) -> None:
    """Who worked at a command line is what its environment said."""
    site = Site(tmp_path, jim_test())
    with changing(site.store, "\x9b31mred") as change:
        change.tenant("Jim_Test").set_user("TC", name="Red")
    with terminal("journal", "--data", str(tmp_path)) as screen:
        assert screen.ended() == 0
    site.store.close()
    assert "\x9b31m" not in screen.text


def test_a_store_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    assert "licet init" in run("journal", "--data", str(tmp_path), exit_code=3).stderr


def test_a_tenant_that_is_not_there_is_exit_code_1(site: Site) -> None:
    assert "Jim_Test" in site.run("journal", "--tenant", "Jim_Tset", exit_code=1).stderr


def failed(site: Site, request_id: str = "", **changed: Any) -> None:
    """An authentication failed, as the server writes it."""
    at_ms = site.clock.now_ms()
    key = FailureKey(1, at_ms // 60_000, "client", "wrong_secret", "Client1")._replace(**changed)
    request = RefusedRequest(
        request_id, key.tenant_id, at_ms, "failed", key.cause, "", key.who, key.name, "C1", "192.0.2.7"
    )
    failures = {key: Failure("C1" if key.name else "", 3, at_ms, at_ms, "192.0.2.7")}
    write_refusals(site.store, failures, [request] if request_id else [])


def test_failed_authentications_are_told_with_their_cause(site: Site) -> None:
    """Also those of nobody known, and of administrators."""
    failed(site)
    site.clock.advance(seconds=1)
    failed(site, tenant_id=0, cause="unknown_tenant", name="")
    site.clock.advance(seconds=1)
    failed(site, tenant_id=0, who="administrator", name="ada")
    told = [" ".join(line[1:]) for line in lines(site, "--only", "failed")]
    assert told == [
        "failed wrong_secret administrator ada (C1) 3 from 192.0.2.7",
        "failed unknown_tenant unknown 3 from 192.0.2.7",
        "Jim_Test failed wrong_secret Client1 (C1) 3 from 192.0.2.7",
    ]
    assert [line[1] for line in lines(site, "--tenant", "Jim_Test", "-n", "2")] == ["failed", "set"]
    assert len(lines(site, "--reason", "unknown_tenant")) == 1
    assert len(lines(site, "--client", "Client1", "--only", "failed")) == 1
    assert len(lines(site, "--pool", "full", "--only", "failed")) == 0


def test_a_request_id_shows_what_became_of_the_request(site: Site) -> None:
    """And where it is not kept, that the log may have it."""
    failed(site, "43e14aae-23")
    told = site.run("journal", "--request-id", "43e14aae-23").stdout
    labels = [line.split()[0] for line in told.splitlines()]
    assert labels == ["at", "what", "why", "tenant", "who", "from"]
    assert "wrong_secret" in told
    as_json = json.loads(site.run("journal", "--request-id", "43e14aae-23", "--json").stdout)
    assert (as_json["name"], as_json["reason"], as_json["tenant"]) == ("Client1", "wrong_secret", "Jim_Test")
    nothing = site.run("journal", "--request-id", "43e14aae-99", exit_code=1)
    assert nothing.stderr.strip() == "licet: this id is not among the refusals that are kept; look in the log"
