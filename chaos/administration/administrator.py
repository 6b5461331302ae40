"""Plays an administrator who changes seats, options, licences, clients, secrets, sessions and places in line.

It makes most changes through the store, and a few through the command line in a process of its own. A change
that failed may have been made all the same; so it reads the state before the next step, and the checker
allows for both. After every few actions it also records the pools' tables.
"""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable

from chaos.administration.licensing import Licensing, Signed, Step
from chaos.administration.removing import AdminApi, Removing
from chaos.history import (
    POOL,
    Action,
    ActionKind,
    ClientPlan,
    Done,
    Limits,
    RunPlan,
    TenantPlan,
    Writer,
    now_us,
)
from chaos.site.databases import Database
from chaos.site.plans import ACTOR, Made, set_options
from chaos.site.tables import sample
from licet.model import Client, InvalidValue, Tenant
from licet.reports.live import sessions
from licet.setup.change import changing, end_sessions
from licet.store.contract import Store
from licet.store.errors import Contradiction, StoreUnavailable

PAUSE_S = 0.25  # between two actions, on average
SAMPLE_EVERY = 8  # actions
COMMAND_EVERY = 20  # actions, of which one is through the command line
COMMAND_S = 20.0
LICENCES = 0.6  # share of the actions in a signed tenant
OPTIONS = 0.3  # share of the actions in a tenant whose pool has options
REMOVES, REMOVES_MORE = 0.15, 0.5  # the same for places in line, and in a pool that nothing else changes
RESERVE_MAX = 2
LINES = (6, 2, 1)  # the length of the line at first is divided by one of these
UNREACHABLE = 3  # the exit code of a command that cannot reach the store


class Administrator:
    """Works in a thread of its own from `start` to `stop`."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        database: Database,
        run_plan: RunPlan,
        made: Made,
        writer: Writer,
        seed: int,
        api: AdminApi,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.done: Counter[str] = Counter()
        self._database = database
        self._tenants = run_plan.tenants
        self._secrets = made.secrets
        self._writer = writer
        self._dice = random.Random(seed)
        self._licensing = Licensing(run_plan.tenants, made.vendor, ACTOR, self._dice)
        self._removing = Removing(ACTOR, api, self._dice)
        self._is_over = threading.Event()
        self._pause_s = pause_s
        self._thread = threading.Thread(target=self._run, name="administrator")
        self._bug: Exception | None = None
        self._store: Store | None = None
        self._turn = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the current action, restore the plan, and stop the thread.

        Raises the exception that stopped it early, if any.
        """
        self._is_over.set()
        self._thread.join()
        if self._bug is not None:
            raise self._bug

    def _run(self) -> None:
        try:
            self._work()
        except Exception as bug:  # noqa: BLE001 - it goes to who stops this thread
            self._bug = bug
        if self._store is not None:
            self._store.close()

    def _work(self) -> None:
        while not self._is_over.wait(self._dice.random() * 2 * self._pause_s):
            self._turn += 1
            self._do(self._record_sample if self._turn % SAMPLE_EVERY == 0 else self._act)
        self._do(self._restore_plan)

    def _do(self, work: Callable[[Store], None]) -> None:
        """Do something with the store; if it cannot be reached, skip this turn."""
        try:
            if self._store is None:
                self._store = self._database.open()
            self._store.refresh_tenants()
            work(self._store)
        except StoreUnavailable:
            self._is_over.wait(PAUSE_S)

    def _record_sample(self, store: Store) -> None:
        self._writer.write(sample(store))

    def _act(self, store: Store) -> None:
        plan = self._dice.choice(self._tenants)
        if plan.signed and self._dice.random() < LICENCES:
            self._license(plan, self._licensing.step(store, plan))
            return
        client = self._dice.choice(plan.clients)
        tenant = store.tenant(plan.name)
        assert tenant is not None
        found = tenant.clients[client.client_id]
        lot = self._dice.random()
        if plan.limits is not None and self._dice.random() < (REMOVES_MORE if plan.is_steady else REMOVES):
            self._remove_place(store, plan, tenant)
        elif plan.limits is not None and not plan.is_steady and self._dice.random() < OPTIONS:
            self._set_options(store, plan, self._other_limits(plan.limits))
        elif lot < 0.35 and not plan.is_steady:
            self._set_seats(store, plan)
        elif lot < 0.60:
            self._turn_some_client(store, plan, tenant, client)
        elif lot < 0.80:
            self._turn_secret(store, plan, found)
        else:
            self._end_sessions(store, tenant, client)

    def _set_seats(self, store: Store, plan: TenantPlan, seats: int | None = None) -> None:
        if seats is None:
            # A pool has at least as many seats as it reserves.
            fewest = (0, 1) if plan.limits is None else (RESERVE_MAX, RESERVE_MAX + 1)
            seats = self._dice.choice((*fewest, plan.seats // 2, plan.seats, plan.seats, plan.seats + 2))
            if plan.limits is not None and plan.limits.names:
                seats = max(seats, len(plan.named))

        def change_it() -> None:
            with changing(store, ACTOR) as change:
                change.tenant(plan.name).set_pool(POOL, seats=seats)

        may_be_refused = plan.signed and plan.limits is not None
        if self._turn % COMMAND_EVERY == 0 and not may_be_refused:
            command = ("pool", "set", POOL, "--seats", str(seats), "--tenant", plan.name)
            self._note("seats", plan.name, self._command(*command), seats=seats, by="command")
        else:
            self._note("seats", plan.name, change_it, seats=seats)

    def _other_limits(self, first: Limits) -> Limits:
        """Other values for the options that the pool has at first."""
        return Limits(
            reserve=self._dice.choice((0, 1, first.reserve, first.reserve)) if first.reserve else 0,
            max=self._dice.choice((1, 2, 2, 3)) if first.max else 0,
            max_per_user=self._dice.choice((1, 1, 2)) if first.max_per_user else 0,
            excludes=first.excludes and self._dice.random() < 0.6,
            queue=first.queue // self._dice.choice(LINES),
            includes=first.includes and self._dice.random() < 0.6,
            names=first.names and self._dice.random() < 0.7,
            max_per_client=self._dice.choice((1, 2, 2)) if first.max_per_client else 0,
            level=self._dice.choice((0, first.level)) if first.level else 0,
            max_of_user=self._dice.choice((1, 1, 2)) if first.max_of_user else 0,
        )

    def _set_options(self, store: Store, plan: TenantPlan, limits: Limits) -> None:
        """Change the options of a pool, which recounts its seats."""

        def change_it() -> None:
            with changing(store, ACTOR) as change:
                set_options(change.tenant(plan.name), plan, limits)

        self._note("options", plan.name, change_it, limits=limits)

    def _remove_place(self, store: Store, plan: TenantPlan, tenant: Tenant) -> None:
        """Remove the place of a client, which goes to the end of the line when it asks again."""
        removal = self._removing.next(store, plan, tenant, self._command)
        if removal is not None:
            client_id, by, do_it = removal
            self._note("remove_place", plan.name, do_it, client=client_id, by=by)

    def _license(self, plan: TenantPlan, step: Step) -> None:
        do_it, signed = step
        self._note("licence", plan.name, do_it, signed=signed)

    def _turn_some_client(self, store: Store, plan: TenantPlan, tenant: Tenant, client: ClientPlan) -> None:
        """Mostly enable a client that is disabled, if there is one; else disable this one."""
        disabled = [it for it in tenant.clients.values() if not it.enabled]
        if disabled and self._dice.random() < 0.6:
            self._enable(store, plan, self._dice.choice(disabled).client_id, enabled=True)
        else:
            self._enable(store, plan, client.client_id, enabled=False)

    def _enable(self, store: Store, plan: TenantPlan, client_id: str, *, enabled: bool) -> None:
        def change_it() -> None:
            with changing(store, ACTOR) as change:
                change.tenant(plan.name).set_client(client_id, enabled=enabled)

        self._note("enable" if enabled else "disable", plan.name, change_it, client=client_id)

    def _turn_secret(self, store: Store, plan: TenantPlan, client: Client) -> None:
        """Add the secret that a client lacks; else remove one."""
        kept = {secret.secret_id for secret in client.secrets}
        lacking = [
            secret for secret in self._secrets[plan.name, client.client_id] if secret.secret_id not in kept
        ]
        taken = self._dice.choice(self._secrets[plan.name, client.client_id])

        def change_it() -> None:
            with changing(store, ACTOR) as change:
                tenant = change.tenant(plan.name)
                if lacking:
                    tenant.add_secret(client.client_id, lacking[0])
                else:
                    tenant.remove_secret(client.client_id, taken.secret_id)

        self._note("give_secret" if lacking else "take_secret", plan.name, change_it, client=client.client_id)

    def _end_sessions(self, store: Store, tenant: Tenant, client: ClientPlan) -> None:
        now_ms = store.read_sessions(()).now_ms
        with store.reading() as connection:
            live = [
                session
                for session in sessions(connection, tenant, now_ms)
                if session.client_id == client.client_id
            ]
        if not live:
            return

        def end_them() -> None:
            sids = [bytes.fromhex(session.sid) for session in live]
            end_sessions(store, ACTOR, tenant.name, sids)

        named = tuple(session.sid for session in live)
        self._note("end", tenant.name, end_them, client=client.client_id, sids=named)

    def _restore_plan(self, store: Store) -> None:
        """Restore seats, options and licences of the plan, and enable all clients."""
        for plan in self._tenants:
            for step in self._licensing.last_steps(store, plan) if plan.signed else ():
                self._license(plan, step)
            self._set_seats(store, plan, plan.seats)
            if plan.limits is not None:
                self._set_options(store, plan, plan.limits)
            tenant = store.tenant(plan.name)
            for client in tenant.clients.values() if tenant else ():
                if not client.enabled:
                    self._enable(store, plan, client.client_id, enabled=True)

    def _note(
        self,
        kind: ActionKind,
        tenant: str,
        do_it: Callable[[], object],
        *,
        client: str = "",
        seats: int = 0,
        sids: tuple[str, ...] = (),
        by: str = "store",
        signed: Signed = (),
        limits: Limits | None = None,
    ) -> None:
        """Do something, and record its time and result."""
        begun_us = now_us()
        done: Done = "unknown"
        is_refused, why, had = False, "", False
        try:
            had = do_it() is True
            done = "done"
            self.done[kind] += 1
        except StoreUnavailable as fault:
            why = str(fault)
            raise
        except Contradiction as fault:  # The checker reports it.
            done, why = "contradiction", str(fault)
        except InvalidValue:  # More would be reserved than is signed now, so the change was refused.
            if not self._signed_less(tenant):
                raise
            is_refused = True
        finally:
            action = Action(
                kind=kind,
                begun_us=begun_us,
                ended_us=now_us(),
                tenant=tenant,
                done=done,
                client=client,
                seats=seats,
                sids=sids,
                by=by,
                signed=signed,
                limits=limits,
                why=why,
                had=had,
            )
            if not is_refused:
                self._writer.write(action)

    def _signed_less(self, tenant: str) -> bool:
        """Whether fewer seats of this tenant's pool may be signed than are set: it is a signed one."""
        return any(plan.signed for plan in self._tenants if plan.name == tenant)

    def _command(self, *arguments: str) -> Callable[[], str]:
        """A function that runs a command, and returns its output."""

        def run() -> str:
            environment = os.environ | self._database.variables(-1)
            command = [sys.executable, "-m", "licet", *arguments]
            try:
                ran = subprocess.run(
                    command, env=environment, capture_output=True, timeout=COMMAND_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise StoreUnavailable("the command took too long") from None
            if ran.returncode == UNREACHABLE:
                raise StoreUnavailable(ran.stderr.decode())
            if ran.returncode:
                raise Contradiction(f"exit code {ran.returncode} of {arguments}: {ran.stderr.decode()}")
            return ran.stdout.decode() + ran.stderr.decode()

        return run
