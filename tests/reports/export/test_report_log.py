"""The export as RLM's report log: a parser made after RLM's published description reads every line of it.

The description is the chapter "Reportlog File Format" of RLM's license administration manual: fields are
separated by spaces, texts that may have spaces are quoted, handles are hexadecimal.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from licet.ledger.commands import Sweep
from licet.model import EndReason, Pool
from licet.options import Group, Share
from licet.reports.export.exported import exported
from licet.reports.export.report_log import COLUMNS, rlm, rows
from support.examples import client, end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site
from support.store.working_days import WorkingDays

_WHO = ("user", "host", "isv_def")
# The fields of the detailed format, of version 11.0 of the log.
FIELDS = {
    "OUT": (
        *("product", "version", "pool", *_WHO, "count", "cur_use", "cur_resuse", "server_handle"),
        *("share_handle", "process_id", "project", "requested_product", "requested_version", "date", "time"),
        *("client_machine_os_info", "argv0", "roam_days", "roam_handle"),
    ),
    "IN": (
        *("why", "product", "version", *_WHO, "count", "cur_use", "cur_resuse", "server_handle"),
        *("date", "time"),
    ),
    "DENY": ("product", "version", *_WHO, "count", "why", "last_attempt", "date", "time"),
    "INUSE": ("product", "version", "pool", *_WHO, "count", "server_handle", "process_id", "date", "time"),
    "PRODUCT": (
        *("name", "version", "pool", "count", "reservations", "soft_limit", "hostid", "contract", "customer"),
        *("issuer", "line_item", "options", "share", "max_share", "type", "named_user_count", "meter_type"),
        *("meter_counter", "meter_initial_decrement", "meter_period", "meter_period_decrement"),
    ),
}
_MOMENT = {"OUT": r"\d\d:\d\d:\d\d\.\d{4}", "IN": r"\d\d:\d\d:\d\d\.\d{4}", "DENY": r"\d\d:\d\d:\d\d\.\d{4}"}


def parse(lines: list[str]) -> list[dict[str, str]]:
    """The records of a log; a line that the description does not know is a failure."""
    assert re.fullmatch(r"RLM Report Log Format 2, version \d+\.\d+", lines[0])
    assert re.fullmatch(r"ISV: \S+, RLM version \d+\.\d+ BL\d+", lines[1])
    start = next(at for at, line in enumerate(lines) if line.startswith("START "))
    assert re.fullmatch(r"START \S+ \d\d/\d\d/\d{4} \d\d:\d\d", lines[start])
    assert lines[start + 1].startswith("LICENSE FILE ")
    assert re.fullmatch(r"END \d\d/\d\d/\d{4} \d\d:\d\d", lines[-1])
    return [_record(line) for line in lines[start + 2 : -1]]


def _record(line: str) -> dict[str, str]:
    kind, *values = shlex.split(line)
    found = dict(zip(FIELDS[kind], values, strict=True))
    if kind != "PRODUCT":
        assert re.fullmatch(r"\d\d/\d\d", found["date"]), line
        assert re.fullmatch(_MOMENT.get(kind, r"\d\d:\d\d:\d\d"), found["time"]), line
        assert found["count"] == "1", line
    return {"kind": kind, **found}


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


def log_of(site: Site, from_ms: int = NOON_MS) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """The export of a site since an instant, as a parser of RLM's logs reads it, and as rows."""
    with site.store.reading() as connection:
        found = exported(connection, site.tenant, from_ms, site.now_ms, now_ms=site.now_ms)
    lines = list(rlm(found.tenant, found.pools, found.log, found.from_ms, found.until_ms))
    return parse(lines), [dict(zip(COLUMNS, row, strict=True)) for row in rows(found.log)]


def test_checkouts_check_ins_and_denials_are_read_by_a_parser_of_rlms_format(place: Place) -> None:
    """Of days of work: each IN has its OUT, the use adds up, and last attempts are the true denials."""
    clients = tuple(client(key, f"Client {key}", f"{key:02}") for key in range(1, 13))
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=5)], clients=clients))
    WorkingDays(site, clients=len(clients), days=1).play()
    site.do(Sweep(sessions_max=1000))
    parsed, table = log_of(site)
    (product,) = [it for it in parsed if it["kind"] == "PRODUCT"]
    assert (product["name"], product["count"]) == ("full", "5")
    live: dict[str, str] = {}
    for it in parsed:
        if it["kind"] == "OUT":
            live[it["server_handle"]] = it["host"]
            assert int(it["cur_use"]) == len(set(live.values())) <= 5
        elif it["kind"] == "IN":
            assert live.pop(it["server_handle"]) == it["host"]
            assert it["why"] in {"1", "11"}
            assert int(it["cur_use"]) == len(set(live.values()))
    (pool,) = site.usage(NOON_MS, site.now_ms).pools
    kinds = [it["kind"] for it in parsed]
    assert kinds.count("OUT") == pool.sessions.grants
    denied = [it for it in parsed if it["kind"] == "DENY"]
    assert {it["why"] for it in denied} == {"-22"}
    assert len(denied) == pool.denied
    assert sum(int(it["last_attempt"]) for it in denied) == pool.true_denials.turned_away > 0
    assert {it["host"] for it in denied} <= {f"Client_{key}" for key in range(1, 13)}
    assert [row["event"] for row in table] == kinds[1:]


def test_what_is_there_at_the_begin_and_at_the_end_is_in_use(place: Place) -> None:
    """INUSE; sessions that share a seat have one share_handle, and an administrator's ending is a removal."""
    site = Site(place, jim_test())
    site.do(grant(1, 1), grant(1, 2))
    site.clock.advance(seconds=600)
    from_ms = site.now_ms
    site.clock.advance(seconds=60)
    site.do(grant(2, 3), end(1, EndReason.ADMINISTRATOR))
    parsed, table = log_of(site, from_ms)
    assert [it["kind"] for it in parsed[1:]] == ["INUSE", "INUSE", "IN", "OUT", "INUSE", "INUSE"]
    assert [row["share_handle"] for row in table[:3]] == ["1", "1", "1"]
    assert table[2]["why"] == 3
    assert [row["in_use"] for row in table] == [1, 1, 1, 2, 2, 2]


def test_a_denial_that_no_seat_avoids_has_its_own_status(place: Place) -> None:
    """-3: the licence has expired; it is no true denial of seats, and the last attempt of its own."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=5, expires_at_ms=NOON_MS)]))
    site.do(grant(1, 1))
    parsed, _ = log_of(site)
    assert [(it["why"], it["last_attempt"]) for it in parsed if it["kind"] == "DENY"] == [("-3", "1")]


def test_a_denial_by_an_option_of_a_pool_has_the_status_of_that_option(place: Place) -> None:
    """-11 excluded, -13 not included, -14 over the limit, as RLM's table of status values has them."""
    pool = Pool(
        id=1,
        name="full",
        seats=5,
        exclude=("client:Client1",),
        include=("client:TestClientId", "client:Client1", "client:Client3"),
        max=(Share(who="group:few", seats=1),),
    )
    few = Group(name="few", clients=frozenset({"TestClientId", "Client3"}))
    site = Site(place, jim_test(pools=[pool], groups=[few]))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3), grant(4, 4))
    parsed, _ = log_of(site)
    denied = {it["host"]: (it["why"], it["last_attempt"]) for it in parsed if it["kind"] == "DENY"}
    assert denied == {"Client1": ("-11", "1"), "Client2": ("-13", "1"), "Client3": ("-14", "1")}
