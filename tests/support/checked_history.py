"""Builds small histories by hand for the tests of the fault harness's checker; times are in seconds.

A history has one tenant with two seats, whose sessions live for ten seconds and its access tokens for five.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.history import (
    Action,
    ActionKind,
    AnyRecord,
    ApiPlan,
    ClientPlan,
    Done,
    Fault,
    Final,
    HolderKind,
    JournalRow,
    Kind,
    Limits,
    LiveRow,
    Operation,
    PoolRow,
    RunPlan,
    Sample,
    SeatRow,
    SessionRow,
    TenantPlan,
)

TENANT = "Jim_Test"
EPOCH_S = 1000  # the store's clock at the beginning
TTL_S, ACCESS_S = 10, 5
LINE_HOLD_S = 10
TOOK_S = 0.01  # how long a request takes, unless a test says otherwise


def us(seconds: float) -> int:
    """A moment of the history."""
    return round(seconds * 1_000_000) + 1_000_000


class CheckedHistory:
    """A history that a test writes, for the checker. Its clients are `a`, `b`, `c` and `d`.

    `a` and `b` have the same user. With `limits`, the group `desk` has `d`, `sales` has `a` and `c`, `out`
    has `b`, `staff` has `a` and `d`, and `first` has `c`; the users of `c` and `d` are named, and that of `c`
    is capped. A place in line is kept for ten seconds.
    """

    def __init__(
        self,
        *,
        duplicates: HolderKind = "client",
        seats: int = 2,
        sessions_max: int = 100,
        hold_s: int = 0,
        signed: int = 0,
        is_jwt: bool = False,
        apis: Sequence[ApiPlan] = (),
        limits: Limits | None = None,
    ) -> None:
        users = {"a": "AB", "b": "AB", "c": "CC", "d": "DD"}
        clients = tuple(
            ClientPlan(client_id=name, user=user, sessions_max=sessions_max) for name, user in users.items()
        )
        plan = TenantPlan(
            name=TENANT,
            seats=seats,
            duplicates=duplicates,
            session_ttl_s=TTL_S,
            access_ttl_s=ACCESS_S,
            clients=clients,
            hold_s=hold_s,
            signed=signed,
            is_jwt=is_jwt,
            limits=limits,
            desk=("d",),
            sales=("a", "c"),
            out=("b",),
            staff=("a", "d"),
            first=("c",),
            named=("CC", "DD"),
            line_hold_s=LINE_HOLD_S,
            capped=("CC",),
        )
        run_plan = RunPlan(seed=1, store="sqlite", nodes=2, tenants=(plan,), apis=tuple(apis))
        self.records: list[AnyRecord] = [run_plan]
        self._sids = count(1)

    def ask(  # noqa: PLR0917 - the facts of a request
        self,
        at_s: float,
        client: str,
        kind: Kind,
        outcome: str,
        sid: str,
        took_s: float = TOOK_S,
        **more: Any,
    ) -> Operation:
        """Add a request and its answer."""
        operation = Operation(
            kind=kind,
            sent_us=us(at_s),
            received_us=us(at_s + took_s) if outcome else 0,
            node=more.pop("node", 0),
            tenant=TENANT,
            client=client,
            licensed=more.pop("licensed", True),
            outcome=outcome,
            sid=sid,
            **more,
        )
        self.records.append(operation)
        return operation

    def grant(
        self,
        at_s: float,
        client: str,
        *,
        took_s: float = TOOK_S,
        licensed: bool = True,
        number: int = 0,
        **more: Any,
    ) -> str:
        """Add a grant, and return its session. `number` is that of its seat in a signed pool."""
        sid = f"sid{next(self._sids)}"
        issued_ms = round((EPOCH_S + at_s + (took_s if more.get("wait_s") else 0)) * 1000)
        self.ask(
            at_s,
            client,
            "grant",
            "granted",
            sid,
            took_s,
            licensed=licensed,
            number=number,
            issued_ms=issued_ms,
            **more,
        )
        return sid

    def call(
        self,
        at_s: float,
        client: str,
        sid: str,
        outcome: str = "let_in",
        *,
        token_s: float = 0.0,
        took_s: float = TOOK_S,
        api: int = 0,
    ) -> None:
        """Add a call of an API, with the token that was requested at `token_s`."""
        issued_ms = round((EPOCH_S + token_s) * 1000)
        times = {"token_sent_us": us(token_s), "token_received_us": us(token_s + TOOK_S)}
        self.ask(at_s, client, "call", outcome, sid, took_s, node=api, issued_ms=issued_ms, **times)

    def license(self, at_s: float, *steps: tuple[float, int], done: Done = "done") -> None:
        """Install a licence: each step has its beginning, and the seats that are signed from then on."""
        self.act(
            at_s, "licence", done=done, signed=((0, 0), *((us(from_s), seats) for from_s, seats in steps))
        )

    def lose(self, at_s: float, client: str, kind: Kind = "grant", sid: str = "") -> None:
        """Add a request without an answer."""
        self.ask(at_s, client, kind, "", sid)

    def deny(
        self,
        at_s: float,
        client: str,
        *,
        in_use: int = 2,
        seats: int = 2,
        outcome: str = "all_in_use",
        **more: Any,
    ) -> None:
        """Add a grant that is denied."""
        self.ask(at_s, client, "grant", outcome, "", in_use=in_use, seats=seats, **more)

    def stand(self, at_s: float, client: str, position: int, **more: Any) -> None:
        """Add a grant that is denied with this place in line; 0 is none."""
        outcome = "queued" if position else "all_in_use"
        self.deny(at_s, client, outcome=outcome, queue=True, position=position, **more)

    def leave(self, at_s: float, client: str, after_s: float, *, wait_s: int = 20, **more: Any) -> None:
        """Add a grant that waits in line, and whose client closes the connection after `after_s`."""
        left_us = us(at_s + after_s)
        self.ask(at_s, client, "grant", "", "", queue=True, wait_s=wait_s, left_us=left_us, **more)

    def remove(self, at_s: float, client: str, *, had: bool = True, **more: Any) -> None:
        """Let an administrator remove a place in line; `had` is whether there was one."""
        self.act(at_s, "remove_place", client, had=had, **more)

    def sample(self, at_s: float, *live: tuple[str, str, float]) -> None:
        """Add a sample of the live sessions; each has its id, its client, and when it began."""
        rows = tuple(
            LiveRow(sid=sid, tenant=TENANT, client=client, started_ms=round((EPOCH_S + began_s) * 1000))
            for sid, client, began_s in live
        )
        self.records.append(Sample(begun_us=us(at_s), ended_us=us(at_s), pools=(), live=rows))

    def log_off(self, at_s: float, client: str, sid: str, *, took_s: float = TOOK_S) -> None:
        """Add a logoff that gives a seat back."""
        self.ask(at_s, client, "logoff", "logged_off", sid, took_s, released=True)

    def refresh(self, at_s: float, client: str, sid: str, outcome: str = "granted") -> None:
        """Add a refresh."""
        self.ask(at_s, client, "refresh", outcome, sid)

    def introspect(
        self, at_s: float, client: str, sid: str, outcome: str, *, token_s: float | None = None
    ) -> None:
        """Add an introspection of the refresh token, or of an access token requested at `token_s`."""
        of_access = {}
        if token_s is not None:
            of_access = {"token_sent_us": us(token_s), "token_received_us": us(token_s + TOOK_S)}
        self.ask(at_s, client, "introspect", outcome, sid, **of_access)

    def act(
        self,
        at_s: float,
        kind: ActionKind,
        client: str = "",
        took_s: float = TOOK_S,
        done: Done = "done",
        **more: Any,
    ) -> None:
        """Add an action of an administrator."""
        self.records.append(
            Action(
                kind=kind,
                begun_us=us(at_s),
                ended_us=us(at_s + took_s),
                tenant=TENANT,
                done=done,
                client=client,
                **more,
            )
        )

    def fault(self, from_s: float, until_s: float) -> None:
        """Add a fault."""
        self.records.append(Fault(kind="kill", begun_us=us(from_s), ended_us=us(until_s)))

    def end(
        self,
        at_s: float,
        sessions: Sequence[tuple[str, str, str, float]] = (),
        journal: Iterable[tuple[str, str, int]] = (),
        **pool: int,
    ) -> None:
        """Add the final tables: sessions with their client, holder and expiry, and the journal by client."""
        until_ms = {holder: round((EPOCH_S + end_s) * 1000) for _, _, holder, end_s in sessions if holder}
        numbers = {"seats": 2, "overuse": 0, "in_use": len(until_ms), "rows": len(until_ms)} | pool
        numbers = {"minute_in_use": numbers["in_use"], "minute_peak": 2} | numbers
        self.records.append(
            Final(
                begun_us=us(at_s),
                ended_us=us(at_s + TOOK_S),
                now_ms=round((EPOCH_S + at_s) * 1000),
                pools=(PoolRow(tenant=TENANT, **numbers),),
                sessions=tuple(
                    SessionRow(
                        sid=sid,
                        tenant=TENANT,
                        client=client,
                        holder=holder,
                        expires_at_ms=round((EPOCH_S + end_s) * 1000),
                    )
                    for sid, client, holder, end_s in sessions
                ),
                seats=tuple(
                    SeatRow(tenant=TENANT, holder=holder, expires_at_ms=end_ms)
                    for holder, end_ms in until_ms.items()
                ),
                journal=tuple(
                    JournalRow(tenant=TENANT, client=client, kind=kind, times=times)
                    for client, kind, times in journal
                ),
            )
        )

    def found(self) -> set[FindingKind]:
        """The kinds of findings that the checker reports."""
        return set(check(self.records).findings.count)


def finished(**pool: int) -> CheckedHistory:
    """A history with its final tables: `a` has a seat, `c` has logged off."""
    history = CheckedHistory()
    sid = history.grant(0, "a")
    history.log_off(2, "c", history.grant(1, "c"))
    journal = [("a", "granted", 1), ("c", "granted", 1), ("c", "ended", 1)]
    history.end(5, [(sid, "a", "client:a", 10)], journal, **pool)
    return history
