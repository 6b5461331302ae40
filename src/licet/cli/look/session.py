"""Runs `licet session`: lists live sessions and ends them; a running server follows within a second."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli import completing
from licet.cli.errors import Refused, WrongUse
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, TenantName, Yes, actor, confirm, read_duration
from licet.cli.output import Instant, Record, on_terminal, progress, say, show_list, show_one
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_tenant
from licet.clock import SystemClock
from licet.formats import counted, duration, nearness
from licet.model import Tenant
from licet.refusal import Subject
from licet.store.contract import Store
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.reports.live import LiveSession
    from licet.setup.end_sessions import SessionsEnded

app = Noun("Sessions: list them, show one, and end them.")

Sid = Annotated[str, typer.Argument(metavar="SID", help="The id of the session, or its beginning.")]
OfClient = Annotated[
    str | None,
    typer.Option(
        "--client", metavar="CLIENT_ID", help="Those of one client only.", autocompletion=completing.clients
    ),
]
OfUser = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="INITIALS", help="Those of one user only.", autocompletion=completing.users
    ),
]

_CLIENTS_SHOWN = 10
SID_CHARS_SHOWN = 16  # the time and 32 random bits: enough to distinguish sessions
_HEADINGS = {
    "sid": "session",
    "client_id": "client",
    "user": "user",
    "scope": "scope",
    "pool": "pool",
    "started_at": "since",
    "expires_at": "expires",
    "address": "address",
}


@app.verb("list")
def list_(
    *,
    client: OfClient = None,
    user: OfUser = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the active sessions, oldest first.

    Example: [bold]licet session list --client TestClientId[/]
    """
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        found, pools = _live(store, chosen, client, user), _pools(store, chosen)
    is_short = on_terminal() and not as_json
    records = [_record(session, pools, is_short=is_short) for session in found]
    show_list(records, _HEADINGS, as_json=as_json, empty="No active session.")


@app.verb("show")
def show(sid: Sid, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show one session.

    Example: [bold]licet session show 6924173f0c1d[/]
    """
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        session = _one(store, chosen, sid, of_tenant(tenant, data))
        pools = _pools(store, chosen)
    show_one(_record(session, pools, is_short=False), as_json=as_json)


CoolDown = Annotated[
    str | None,
    typer.Option(
        "--cool-down", metavar="TIME", help="Suspend their clients for this time: 5m, 1h, at most 24h."
    ),
]
AfterRestore = Annotated[
    bool,
    typer.Option(
        "--after-restore",
        help="With --all: of all tenants, and all sign-ins at the dashboard; lists what to check.",
    ),
]


@app.verb("end")
def end(
    context: typer.Context,
    sid: Annotated[
        str | None, typer.Argument(metavar="SID", help="The id of the session, or its beginning.")
    ] = None,
    *,
    client: OfClient = None,
    user: OfUser = None,
    tenant: TenantName = None,
    data: Data = None,
    every: Annotated[bool, typer.Option("--all", help="All sessions of the tenant.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The reason, for the journal.")
    ] = "",
    cool_down: CoolDown = None,
    after_restore: AfterRestore = False,
    yes: Yes = False,
) -> None:
    """End one session, those of a client or user, or all: their tokens stop working at once.

    Without --cool-down a client can get a new session at once. Use --all --after-restore after you restore a
    copy of the store, before the server starts, and after a fail-over that may have lost commits.

    Example: [bold]licet session end --client TestClientId --reason "It hangs" --cool-down 5m[/]
    """
    from licet.setup.end_sessions import check_ending

    if (sid is not None) + (client is not None or user is not None) + every != 1:
        raise WrongUse("say which: a session, --client or --user, or --all")
    if after_restore:
        # A variable that is set for other verbs is no wish to restrict this one.
        is_restricted = _is_given(context, "tenant")
        if not every or is_restricted or reason or cool_down is not None:
            raise WrongUse("--after-restore goes with --all, and concerns all tenants; it takes --yes only")
        from licet.cli.look.after_restore import end_all

        with opened(data) as store:
            end_all(store, yes=yes)
        return
    cool_down_s = read_duration("--cool-down", cool_down) if cool_down is not None else 0
    check_ending(reason, cool_down_s)  # Refuse before asking.
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
        if sid is not None:
            ending = [_one(store, found, sid, of_tenant(tenant, data))]
        else:
            ending = _live(store, found, client, user)
        if not ending:
            raise Refused(f"there is no active session{_of(client, user)} in tenant {found.name}")
        whose = "its client" if len(ending) == 1 else "their clients"
        away = f", and give {whose} no seat for {duration(cool_down_s)}" if cool_down_s else ""
        confirm(f"End {_clients_text(ending)}{away}?", yes=yes)
        with progress("ending sessions") as on_ended:
            sids = [session.sid for session in ending]
            more = {"cool_down_s": cool_down_s, "on_ended": on_ended}
            done = end_these(store, found.name, sids, reason=reason, **more)
    for sentence in what_ended(done, cool_down_s):
        say(sentence)


def _is_given(context: typer.Context, option: str) -> bool:
    """Whether an option was written, and does not come from its variable."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def end_these(store: Store, tenant: str, sids: Sequence[str], *, reason: str, **more: Any) -> "SessionsEnded":
    """End the sessions of these ids, as `end_sessions` does.

    Raises InvalidValue, SetupError, StoreUnavailable.
    """
    from licet.setup.change import end_sessions

    return end_sessions(store, actor(), tenant, list(map(bytes.fromhex, sids)), reason=reason, **more)


def what_ended(done: "SessionsEnded", cool_down_s: int = 0) -> Iterator[str]:
    """What was done, as sentences."""
    yield f"{counted(done.sessions, 'session')} ended; {counted(done.seats, 'seat')} came back."
    if done.seats_free_at_ms is not None:
        left = nearness(done.seats_free_at_ms, SystemClock().now_ms())
        which = "is on hold, and free" if done.seats_on_hold == 1 else "are on hold, and all free"
        yield f"{counted(done.seats_on_hold, 'seat')} {which} {left}."
    if done.suspended_until_ms is not None:
        yield f"No seat for {_names(done.clients)} for {duration(cool_down_s)}."


def _of(client: str | None, user: str | None) -> str:
    """The options that select sessions, as text."""
    parts = [f"client {client}"] * (client is not None) + [f"user {user}"] * (user is not None)
    return f" of {' and '.join(parts)}" if parts else ""


def _live(store: Store, tenant: Tenant, client: str | None, user: str | None) -> "list[LiveSession]":
    """Raises NotFound where there is no such client or user."""
    from licet.reports.live import sessions

    if client is not None and client not in tenant.clients:
        raise unknown(Subject("client", client, tenant.name), tenant.clients)
    if user is not None and user not in tenant.users:
        raise unknown(Subject("user", user, tenant.name), tenant.users)
    with store.reading() as connection:
        return list(sessions(connection, tenant, SystemClock().now_ms(), client=client, user=user))


def _one(store: Store, tenant: Tenant, sid: str, options: str) -> "LiveSession":
    found = [session for session in _live(store, tenant, None, None) if session.sid.startswith(sid.lower())]
    if not found or not sid:
        raise Refused(
            f"no active session in {tenant.name} has an id that begins with {sid};"
            f" see: licet session list{options}"
        )
    if len(found) > 1:
        raise Refused(f"{counted(len(found), 'session')} begin with {sid}; say more of it")
    return found[0]


def _clients_text(ending: "list[LiveSession]") -> str:
    if len(ending) == 1:
        session = ending[0]
        return f"the session of client {session.client_id}, user {session.initials}"
    return counted(len(ending), "session")


def _names(clients: Sequence[str]) -> str:
    more = len(clients) - _CLIENTS_SHOWN
    return ", ".join(clients[:_CLIENTS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _pools(store: Store, tenant: Tenant) -> dict[str, str]:
    """The pool whose seat a session holds, by the session's id."""
    from licet.reports.live import seats

    with store.reading() as connection:
        now = seats(connection, tenant, SystemClock().now_ms())
    return {
        session.sid: pool.pool for pool in now.pools for seat in pool.in_use_by for session in seat.sessions
    }


def _record(session: "LiveSession", pools: Mapping[str, str], *, is_short: bool) -> Record:
    return {
        "sid": session.sid[:SID_CHARS_SHOWN] if is_short else session.sid,
        "client_id": session.client_id,
        "user": session.initials,
        "name": session.name,
        "scope": session.scope,
        "pool": pools.get(session.sid),
        "started_at": Instant(session.started_at_ms),
        "renewed_at": Instant(session.renewed_at_ms),
        "last_used_at": Instant(session.last_used_at_ms),
        "expires_at": Instant(session.expires_at_ms),
        "address": session.address,
    }
