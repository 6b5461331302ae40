"""The scenarios of a measurement: their requests, the check of an answer, and the expected journal events.

A scenario makes the rows that a round sends one after another, over and over. A row is a request and the
event that the journal must have for it. A round may need new sessions first: `RoundContext` begins them,
before the time is measured.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from itertools import chain, cycle, islice
from typing import Any, Literal, NamedTuple

from bench.measured.tenants import (
    COMING,
    EACH,
    LIMITED,
    LIMITED_SINGLE,
    MANY,
    PASSWORD,
    SCARCE,
    SIGNING,
    Held,
    Site,
    single,
)
from bench.measured.wire import Answer, Request, ask_all

Event = Literal["granted", "denied", "ended", ""]

MIXED = ("introspect",) * 70 + ("refresh",) * 15 + ("grant",) * 10 + ("logoff",) * 5
ROUNDS_MAX = 8  # of a cell with its first one; `_password` has new clients for this many rounds
_STRIDE = 7919  # a prime: each client once, in another order than in the tables
_MIX_STRIDE = 37  # the same for the kinds of requests in a mix


class Row(NamedTuple):
    """A request, and its event in the journal."""

    request: Request
    event: Event = ""


class RoundContext(NamedTuple):
    """What a scenario needs to make the rows of a round: a set-up, its sessions' tokens, and the server.

    `many` is whether many clients send requests, or one. `number` counts the rounds; `expected` is about how
    many requests this round will send.
    """

    site: Site
    held: dict[str, list[Held]]
    url: str
    many: bool
    number: int
    expected: int
    made: list[int]  # the number of sessions that each call of `new_sessions` began

    def tenant(self, many: str = MANY) -> str:
        """The tenant whose clients send requests."""
        return many if self.many else single(self.number)

    def clients(self, tenant: str) -> list[int]:
        """The clients of a tenant, in the order of their requests."""
        count = self.site.plans[tenant].clients
        return [number * _STRIDE % count for number in range(count)]

    def new_sessions(self, tenant: str, count: int) -> list[str]:
        """Begin this many sessions, and return their access tokens."""
        clients = islice(cycle(self.clients(tenant)), count)
        answers = ask_all(self.url, [self.site.grant(tenant, number) for number in clients])
        self.made.append(len(answers))
        return [json.loads(answer.body)["access_token"] for answer in answers]


Rows = Callable[[RoundContext], list[Row]]


class Scenario(NamedTuple):
    """`rows` of a round; `is_right` of an answer's status and content; `title` for people."""

    name: str
    title: str
    rows: Rows
    is_right: Callable[[int, dict[str, Any]], bool]
    with_one: bool = True  # whether it can be measured with one client
    is_refused: bool = False  # whether every answer is a refusal
    rows_once: float = 0.0  # share of the rows that may be sent in a round, each once; 0: all, repeatedly
    connections_max: int = 0  # with more connections the server refuses some, as it should; 0: no limit


def _grants(context: RoundContext, tenant: str, **wanted: str) -> list[Row]:
    return [
        Row(context.site.grant(tenant, client, **wanted), "granted") for client in context.clients(tenant)
    ]


def _grant(context: RoundContext) -> list[Row]:
    return _grants(context, context.tenant())


def _seat(context: RoundContext) -> list[Row]:
    return _grants(context, context.tenant(), scope=EACH)


def _view(context: RoundContext) -> list[Row]:
    return _grants(context, context.tenant(), scope="view")


def _limit(context: RoundContext) -> list[Row]:
    return _grants(context, LIMITED if context.many else LIMITED_SINGLE)


def _password(context: RoundContext) -> list[Row]:
    """Each client once while a server runs: each round continues after the clients of the last one."""
    rows = _grants(context, context.tenant(), password=PASSWORD)
    first = context.number * len(rows) // ROUNDS_MAX
    return [*rows[first:], *rows[:first]]


def _assertion(context: RoundContext) -> list[Row]:
    """Each request with an assertion of its own, as it authenticates once."""
    issuer = f"{context.url}/{SIGNING}"
    clients = islice(cycle(context.clients(SIGNING)), context.expected)
    return [Row(context.site.grant_by_assertion(SIGNING, it, issuer), "granted") for it in clients]


def _denial(context: RoundContext) -> list[Row]:
    tenant = context.tenant()
    return [
        Row(context.site.grant(tenant, client, scope=SCARCE), "denied") for client in context.clients(tenant)
    ]


def _refresh(context: RoundContext) -> list[Row]:
    tenant = context.tenant()
    held = context.held[tenant]
    return [
        Row(context.site.refresh(tenant, client, held[client].refresh)) for client in context.clients(tenant)
    ]


def _introspect(context: RoundContext) -> list[Row]:
    tenant = context.tenant()
    held = context.held[tenant]
    return [Row(context.site.introspect(tenant, held[client].access)) for client in context.clients(tenant)]


def _verify(context: RoundContext) -> list[Row]:
    tenant = context.tenant()
    held = context.held[tenant]
    return [Row(context.site.verify(tenant, held[client].access)) for client in context.clients(tenant)]


def _logoff(context: RoundContext) -> list[Row]:
    """Grants and logoffs in turn: as many seats are returned as are taken."""
    tenant = context.tenant(COMING)
    grants = cycle(_grants(context, tenant))
    return list(chain.from_iterable(zip(grants, _ends(context, tenant, 0.5), strict=False)))


def _ends(context: RoundContext, tenant: str, share: float) -> list[Row]:
    tokens = context.new_sessions(tenant, int(context.expected * share) + 100)
    return [Row(context.site.logoff(tenant, token), "ended") for token in tokens]


def _mixed(context: RoundContext) -> list[Row]:
    """Requests in the shares of MIXED; each logoff ends another session, of other clients."""
    ends = _ends(context, context.tenant(COMING), MIXED.count("logoff") / len(MIXED))
    kinds = {
        "introspect": cycle(_introspect(context)),
        "refresh": cycle(_refresh(context)),
        "grant": cycle(_grant(context)),
    }
    order = [MIXED[number * _MIX_STRIDE % len(MIXED)] for number in range(len(MIXED))]
    rows: list[Row] = []
    left = iter(ends)
    for kind in cycle(order):
        row = next(left, None) if kind == "logoff" else next(kinds[kind])
        if row is None:
            return rows
        rows.append(row)
    raise AssertionError("a mix has logoffs")


def _is_grant(status: int, content: dict[str, Any]) -> bool:
    is_token = str(content.get("access_token")).startswith("lca_") and content.get("token_type") == "Bearer"
    is_whole = str(content.get("refresh_token")).startswith("lcr_") and int(content.get("expires_in", 0)) > 0
    return status == HTTPStatus.OK and is_token and is_whole


def _is_grant_of(scope: str) -> Callable[[int, dict[str, Any]], bool]:
    return lambda status, content: _is_grant(status, content) and content.get("scope") == scope


def _is_live(status: int, content: dict[str, Any]) -> bool:
    return status == HTTPStatus.OK and content.get("active") is True and content.get("scope") == "all"


def _is_passed(status: int, content: dict[str, Any]) -> bool:
    return status == HTTPStatus.NO_CONTENT and not content


def _is_logoff(status: int, content: dict[str, Any]) -> bool:
    return status == HTTPStatus.OK and content.get("logged_off") is True


def _is_denial(status: int, content: dict[str, Any]) -> bool:
    is_denial = content.get("reason") == "all_in_use" and content.get("pool") == SCARCE
    return status == HTTPStatus.BAD_REQUEST and is_denial and content.get("seats") == 1


def _is_of_pair(status: int, content: dict[str, Any]) -> bool:
    return _is_grant(status, content) or _is_logoff(status, content)


def _is_of_mix(status: int, content: dict[str, Any]) -> bool:
    return _is_of_pair(status, content) or _is_live(status, content)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("grant", "grant `all`, of a client that has its seat", _grant, _is_grant_of("all")),
        Scenario("seat", "grant that takes a seat, every time", _seat, _is_grant_of(EACH)),
        Scenario("view", "grant `view`, which needs no seat", _view, _is_grant_of("view")),
        Scenario("limit", "grant that also ends the client's oldest session", _limit, _is_grant_of("all")),
        Scenario("refresh", "refresh", _refresh, _is_grant_of("all")),
        Scenario("introspect", "introspection", _introspect, _is_live),
        Scenario("verify", "a proxy asks whether a request may pass", _verify, _is_passed),
        Scenario(
            "logoff",
            "grant that takes a seat, and logoff that gives it back",
            _logoff,
            _is_of_pair,
            rows_once=1,
        ),
        Scenario("denial", "grant on a full pool: denied", _denial, _is_denial, is_refused=True),
        Scenario(
            "password",
            "grant by a password first seen",
            _password,
            _is_grant_of("all"),
            with_one=False,
            rows_once=1 / ROUNDS_MAX,
            connections_max=128,  # one address may have 256 passwords waiting, a round before included
        ),
        Scenario(
            "assertion",
            "grant by a signed assertion (`private_key_jwt`, ES256)",
            _assertion,
            _is_grant_of("all"),
            with_one=False,
            rows_once=1,
        ),
        Scenario(
            "mixed", "70 introspections, 15 refreshes, 10 grants, 5 logoffs", _mixed, _is_of_mix, rows_once=1
        ),
    )
}


class WrongAnswer(Exception):
    """An answer was wrong, so that the figures are worth nothing."""


class TooFewRows(Exception):
    """A server was faster than expected, and got rows twice that may be sent once only."""


def check_answers(scenario: Scenario, answers: Sequence[Answer]) -> None:
    """Return if these answers are right, and no two have the token of the same new session.

    Raises WrongAnswer.
    """
    tokens: Counter[str] = Counter()
    for answer in answers:
        content = json.loads(answer.body or b"{}")
        if not scenario.is_right(answer.status, content):
            raise WrongAnswer(f"{scenario.name}: {answer.status} {answer.body[:300]!r}")
        tokens[str(content.get("access_token"))] += 1
    tokens.pop("None", None)
    if scenario.name in {"grant", "seat", "view", "limit", "password", "assertion"} and len(tokens) != len(
        answers
    ):
        raise WrongAnswer(f"{scenario.name}: {len(answers)} answers have {len(tokens)} tokens")


def events(rows: Sequence[Row], sent: int) -> Counter[str]:
    """The events in the journal of the first `sent` requests; the rows repeat."""
    rounds, rest = divmod(max(0, sent), len(rows))
    found: Counter[str] = Counter(
        {key: count * rounds for key, count in Counter(row.event for row in rows).items()}
    )
    found.update(row.event for row in rows[:rest])
    return found
