"""What of a refusal is logged, and how often: by the limit alone, and by servers that are flooded."""

import gc
import json
from base64 import b64encode
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import httpx
import pytest

from licet.protocol.errors import OAuthError
from licet.server.public import _protocol
from licet.settings.model import Settings
from licet.telemetry.measures import Measures
from licet.web.log_rate_limit import KINDS_MAX, LINES_MAX, Kind, LogRateLimit
from licet.web.public import PublicApp
from support.server.running import PATIENCE_S, RunningServer
from support.waiting import until
from support.web.exchanges import Whole, never_newer

if TYPE_CHECKING:
    from collections.abc import Callable

GRANT = {"grant_type": "client_credentials"}
UNKNOWN = Kind("info", "refused", 404, "invalid_request")
WRONG = Kind("info", "refused", 401, "invalid_client")
FLOOD = 10 * LINES_MAX


class Limit:
    """A limit with a clock and a timer of the test, and a log that is kept."""

    def __init__(self, lines_max: int = 2) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.now_s = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.limit = LogRateLimit(
            self,
            lines_max=lines_max,
            now_s=lambda: self.now_s,
            later=lambda seconds, report: self.due.append((self.now_s + seconds, report)),
        )

    def info(self, event: str, **fields: Any) -> None:
        """One line."""
        self.lines.append((event, fields))

    warning = error = exception = info

    def at(self, now_s: float, kind: Kind = UNKNOWN) -> bool:
        """Whether a line may be written then; timers that are due go off before."""
        self.now_s = now_s
        due, self.due = self.due, []
        for at_s, report in due:
            if at_s <= now_s:
                report()
            else:
                self.due.append((at_s, report))
        return self.limit.admits(kind)


def suppressed(lines: int, kind: Kind = UNKNOWN) -> tuple[str, dict[str, Any]]:
    """The line that says so."""
    fields = {"of": kind.event, "status": kind.status, "error": kind.error, "lines": lines}
    return "lines_suppressed", fields


def test_a_refusal_leaves_nothing_to_the_garbage_collector() -> None:
    """An error that is kept with its traceback is a cycle, and a look of the collector stops all requests."""
    nobody = cast("Any", None)
    application = PublicApp(
        clock=nobody,
        find_tenant=lambda _: None,
        commits=nobody,
        reads=nobody,
        authenticator=nobody,
        tokens=nobody,
        public_url="",
        trouble=nobody,
        store_failed=nobody,
        measures=Measures(),
        refusals=LogRateLimit(nobody, lines_max=0, later=lambda *_: None),
        tarpit=nobody,
        recorder=nobody,
        waiting=nobody,
        latest_setup=never_newer,
    )
    gc.collect()
    gc.disable()
    try:
        answering = application(Whole("/Nowhere/nothing"))
        with pytest.raises(StopIteration) as answered:
            answering.send(None)
        assert answered.value.value.status == 404
        del answered, answering
        found = [it for it in gc.get_objects() if isinstance(it, OAuthError)]
        assert found == []
    finally:
        gc.enable()


def test_a_kind_has_some_lines_a_second() -> None:
    """Each second anew."""
    limit = Limit(lines_max=2)
    admitted = [limit.at(now_s) for now_s in (1.0, 1.1, 1.2, 1.9, 2.0, 2.1, 2.2, 9.0)]
    assert admitted == [True, True, False, False, True, True, False, True]


def test_kinds_do_not_take_lines_from_each_other() -> None:
    """A flood of one kind hides none of another."""
    limit = Limit(lines_max=1)
    assert [limit.at(1.0), limit.at(1.0), limit.at(1.0, WRONG)] == [True, False, True]


def test_how_many_were_suppressed_is_written_when_nobody_is_refused_any_more() -> None:
    """By a timer, a second after the first of them at the latest, and once."""
    limit = Limit(lines_max=1)
    for _ in range(4):
        limit.at(1.0)
    ((at_s, report),) = limit.due
    assert at_s == 2.0
    assert limit.lines == []
    report()
    report()
    assert limit.lines == [suppressed(3)]


def test_a_flood_without_end_leaves_one_line_more_a_second() -> None:
    """Of each kind, with all that were suppressed in that second."""
    limit = Limit(lines_max=1)
    admitted = sum(limit.at(number / 100) for number in range(1000))
    limit.limit.report()
    assert admitted == 10
    assert len(limit.lines) <= 11
    assert sum(fields["lines"] for _, fields in limit.lines) == 1000 - admitted


def test_kinds_without_end_share_one_allowance() -> None:
    """The memory of the limit is bounded."""
    limit = Limit(lines_max=1)
    admitted = [limit.at(1.0, Kind("info", "refused", status, "")) for status in range(1, 2 * KINDS_MAX)]
    assert sum(admitted) == KINDS_MAX + 1


def test_a_fault_of_the_listener_is_logged_like_one_of_an_endpoint() -> None:
    """With the id that the client got, and the traceback; bounded as any refusal."""
    limit = Limit(lines_max=1)
    protocol = _protocol(Settings.model_validate({}), Measures(), limit.limit)
    bug = LookupError("a bug")
    for _ in range(2):
        protocol.report_fault("an-id", bug)
    assert limit.lines == [("fault", {"request_id": "an-id", "exc_info": bug})]


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: 127.0.0.1", *fields, "", ""]).encode()


WRONG_SECRET = (
    b"POST /Jim_Test/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 29\r\n"
    b"content-type: application/x-www-form-urlencoded\r\nauthorization: Basic %b\r\n\r\n"
    b"grant_type=client_credentials" % b64encode(b"Nobody:lcs_0")
)


def send_at_once(url: str, request: bytes, connections: int = 1) -> None:
    """Send a flood of this request, before any answer is read, and read the answers."""
    address = (httpx.URL(url).host, httpx.URL(url).port or 0)
    with ExitStack() as stack:
        opened = [stack.enter_context(create_connection(address, PATIENCE_S)) for _ in range(connections)]
        for connection in opened:
            connection.sendall(request * (FLOOD // connections))
        for connection in opened:
            answers = b""
            while answers.count(b"HTTP/1.1 4") < FLOOD // connections:
                more = connection.recv(65_536)
                assert more, answers
                answers += more


class Flooded(NamedTuple):
    """What a flood left: lines written and suppressed by kind, and the 404s that the metrics have."""

    lines: dict[tuple[str, int, str], Counter[str]]
    counted: int


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Flooded:
    """A server was flooded in many ways and has ended."""
    with RunningServer(
        tmp_path_factory.mktemp("flooded"),
        admin=True,
        metrics_public=True,
        connections_per_source_max=2 * FLOOD,
        # Of the flood many have to wait, also where it goes on from one minute into the next.
        login_failures_per_source_max=FLOOD // 4,
    ) as server:
        for path in ("/Jim_Test/verify", "/nothing", "/Jim_Test/token"):
            send_at_once(server.url, get(path))
        # An answer that refuses waits before, and those of one connection one after the other.
        send_at_once(server.url, WRONG_SECRET, connections=FLOOD // 5)
        send_at_once(server.admin_url, get("/api/v1/me"))
        send_at_once(server.url, get("/", "padding: " + "x" * 20_000), connections=FLOOD)
        until(lambda: "lines_suppressed" in server.log())
        counted = httpx.get(f"{server.admin_url}/metrics", timeout=PATIENCE_S).text
        server.terminate()
        log = server.log()
    found: dict[tuple[str, int, str], Counter[str]] = {}
    for line in filter(lambda line: line.startswith("{"), log.splitlines()):
        entry = json.loads(line)
        is_summary = entry["event"] == "lines_suppressed"
        kind = (
            entry["of"] if is_summary else entry["event"],
            entry.get("status", 0),
            entry.get("error", entry.get("problem", "")),
        )
        of = found.setdefault(kind, Counter())
        of["suppressed" if is_summary else "written"] += entry["lines"] if is_summary else 1
        of[f"in {entry['timestamp'][:19]}"] += 1
    series = 'licet_http_requests_total{endpoint="other",status="404"} '
    (of_404,) = (line.removeprefix(series) for line in counted.splitlines() if line.startswith(series))
    return Flooded(found, int(float(of_404)))


@pytest.mark.parametrize(
    "kind",
    [
        ("refused", 401, "invalid_request"),
        ("refused", 404, "invalid_request"),
        ("refused", 405, "invalid_request"),
        ("refused", 431, "invalid_request"),
        ("admin_refused", 401, "sign-in-needed"),
    ],
)
def test_a_flood_of_refusals_leaves_few_lines(flooded: Flooded, kind: tuple[str, int, str]) -> None:
    """Some a second and one with how many were suppressed; together they are all, also at the end."""
    of = flooded.lines[kind]
    assert of["suppressed"] > 0
    assert of["written"] + of["suppressed"] == FLOOD
    # Seconds of the limit and of the clock on the wall do not begin together.
    assert max(lines for name, lines in of.items() if name.startswith("in ")) <= 2 * LINES_MAX + 2


def test_wrong_secrets_and_those_that_have_to_wait_are_two_kinds(flooded: Flooded) -> None:
    """RFC 6749 5.2 and RFC 6585 4."""
    kinds = [("refused", 401, "invalid_client"), ("refused", 429, "temporarily_unavailable")]
    found = [flooded.lines[kind] for kind in kinds]
    # How many had to wait depends on how soon the others were hashed.
    assert all(of["written"] >= min(LINES_MAX, of["written"] + of["suppressed"]) > 0 for of in found)
    assert sum(of["written"] + of["suppressed"] for of in found) == FLOOD


def test_what_is_not_logged_counts_in_the_metrics(flooded: Flooded) -> None:
    """Every request, whether a line was written or not."""
    assert flooded.counted == FLOOD


def test_what_the_log_says_of_a_failed_authentication_has_its_address(tmp_path: Path) -> None:
    """So that a filter can match it."""
    with RunningServer(tmp_path) as server:
        server.ask("Jim_Test/token", "Nobody", "lcs_0", **GRANT)
        (line,) = (json.loads(it) for it in server.log().splitlines() if '"refused"' in it)
    assert (line["error"], line["address"]) == ("invalid_client", "127.0.0.1")
