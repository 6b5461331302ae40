"""Attacks real APIs with a server that answers whatever the attacker wants: many people use five seats.

It tries each strategy of `support.guard.forging`, with JWTs and with introspection.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.attacks.apis import Apis, Caller, apis
from chaos.attacks.figures import HOLD_S, SEATS, Calls, Figures, entry_of
from chaos.history import ACCESS_TTL_S_MAX
from chaos.site.databases import tests_on_path
from chaos.site.guarded_api import GuardedTenant
from chaos.site.vendor import NAME, PRODUCT

if TYPE_CHECKING:
    from support.guard.forging import Attacker, Strategy
    from support.guard.signed_server import SignedServer

KINDS = ("introspection", "jwt")
REST_S = 0.2
BEFORE = 2


class Wall:
    """The real time, with the methods of the clocks that tests move."""

    @property
    def s(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def now_s(self) -> float:
        """Seconds since 1970."""
        return time.time()


def forged(
    directory: Path, seconds: float, *, only: Sequence[str] = (), is_blind: bool = False
) -> Iterator[Figures]:
    """Try each strategy in turn, with a pool of its own, and with both kinds of tokens at the same time.

    If `is_blind`, the guards have a deliberate defect.
    """
    tests_on_path()
    from support.guard.forging import STRATEGIES  # noqa: PLC0415 - it is on the path only now
    from support.guard.signed_server import SignedServer  # noqa: PLC0415 - the same
    from support.licences.vendors import TestVendor  # noqa: PLC0415 - the same
    from support.web.http_site import Site  # noqa: PLC0415 - the same

    with ExitStack() as stack:
        servers: list[tuple[SignedServer, Apis]] = []
        for kind, store in zip(KINDS, ("sqlite", "postgres"), strict=True):
            server = SignedServer(stack.enter_context(Site()), Wall(), kind)  # type: ignore[arg-type]
            server.vendor = TestVendor(NAME, PRODUCT)
            given = {"seats": SEATS, "scopes": ["all"], "hold": HOLD_S, "access_ttl_max": ACCESS_TTL_S_MAX}
            pools = {it.__name__: given for it in STRATEGIES}
            claims = server.vendor.claims(iat=int(time.time()), pools=pools)
            server.licences = [server.vendor.sign(claims)]
            tenant = GuardedTenant(
                name="Jim_Test",
                url=server.url,
                secret=kind,  # the forged server checks none
                issuer=server.url if kind == "jwt" else "",
            )
            vendor = _vendor_file(server)
            ports = stack.enter_context(
                apis(directory, kind, vendor, (tenant,), store=store, is_blind=is_blind)
            )
            servers.append((server, ports))
        for strategy in (it for it in STRATEGIES if not only or it.__name__ in only):
            yield from _by_strategy(strategy, servers, seconds)


def _vendor_file(server: "SignedServer") -> bytes:
    from licet.licences.vendor_file import vendor_file  # noqa: PLC0415 - beside its only use

    return vendor_file(server.vendor.vendor)


def _by_strategy(
    strategy: "Strategy", servers: Sequence[tuple["SignedServer", Apis]], seconds: float
) -> list[Figures]:
    """Try one strategy, in a thread for each number, memory and kind of token."""
    until_s = time.monotonic() + seconds
    calls: dict[tuple[str, str], Calls] = {}
    threads: list[threading.Thread] = []
    callers: list[Caller] = []
    for server, ports in servers:
        for memory in Apis._fields:
            of_one = calls[server.kind, memory] = Calls()
            for number in range(1, SEATS + 1):
                callers.append(Caller(getattr(ports, memory), "Jim_Test"))
                attacker = _attacker(server, callers[-1], of_one, strategy.__name__)
                arguments = (strategy, attacker, number, until_s)
                threads.append(threading.Thread(target=_attack, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for caller in callers:
        caller.close()
    return [
        of_one.figures(f"{strategy.__name__}, {kind}", memory, seconds)
        for (kind, memory), of_one in calls.items()
    ]


def _attack(strategy: "Strategy", attacker: "Attacker", number: int, until_s: float) -> None:
    while time.monotonic() < until_s:
        tried, now = attacker.people, int(time.time())
        strategy(attacker, number, now)
        if attacker.people == tried:  # the strategy waits
            time.sleep(REST_S)
            continue
        for before in range(1, BEFORE + 1):  # earlier people try again, with their old tokens
            attacker.tries(number, now - before * attacker.hold_s, who=attacker.people - before)


def _attacker(server: "SignedServer", caller: Caller, calls: Calls, pool: str) -> "Attacker":
    from support.guard.forging import Attacker  # noqa: PLC0415 - it is on the path only now

    class Over(Attacker):
        """An attacker that calls the APIs by HTTP."""

        def __init__(self) -> None:
            super().__init__(server, hold_s=HOLD_S, ttl_s=ACCESS_TTL_S_MAX)

        def tries(self, number: int, iat: int, who: int | None = None, **claims: Any) -> bool:
            return super().tries(number, iat, who, **{"pool": pool, **claims})

        def is_let_in(self, token: str, number: int, said: dict[str, Any]) -> bool:
            status, sent_us, received_us = caller.call(token)
            self.server.introspected.pop(token, None)
            holder = f"{said['client']} {said.get('username', 'TC')}"
            is_in = status == 200
            entry = entry_of(holder, said["iat"], number, sent_us, received_us) if is_in else None
            calls.add(number, entry)
            return is_in

    return Over()
