"""`licet session`: who is in, and ending it. A running server sees the end within a second."""

from typing import Annotated

import typer

from licet.cli.console import (
    AsJson,
    Data,
    Instant,
    Record,
    TenantName,
    Yes,
    actor,
    chosen_tenant,
    confirm,
    counted,
    on_terminal,
    opened,
    progress,
    say,
    show_list,
    show_one,
)
from licet.cli.errors import Refused, WrongUse
from licet.cli.noun import Noun
from licet.clock import SystemClock
from licet.model import Tenant
from licet.store.changes import NotFound
from licet.store.contract import Store
from licet.store.ending import end_as_administrator
from licet.store.usage import LiveSession, sessions

app = Noun("Sessions: who is in, since when, and ending it.")

Sid = Annotated[str, typer.Argument(metavar="SID", help="The session, or the beginning of its name.")]
OfClient = Annotated[
    str | None, typer.Option("--client", metavar="CLIENT_ID", help="Those of one client only.")
]
OfUser = Annotated[str | None, typer.Option("--user", metavar="INITIALS", help="Those of one user only.")]

SID_CHARS_SHOWN = 16  # the moment and 32 random bits: enough to tell apart
_HEADINGS = {
    "sid": "session",
    "client_id": "client",
    "user": "user",
    "scope": "scope",
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
    """List the sessions that live, oldest first.

    Example: [bold]licet session list --client TestClientId[/]
    """
    with opened(data) as store:
        found = _live(store, chosen_tenant(store, tenant), client, user)
    is_short = on_terminal() and not as_json
    records = [_record(session, is_short=is_short) for session in found]
    show_list(records, _HEADINGS, as_json=as_json, empty="No session lives.")


@app.verb("show")
def show(sid: Sid, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show one session.

    Example: [bold]licet session show 6924173f0c1d[/]
    """
    with opened(data) as store:
        session = _one(store, chosen_tenant(store, tenant), sid)
    show_one(_record(session, is_short=False), as_json=as_json)


@app.verb("end")
def end(
    sid: Annotated[
        str | None, typer.Argument(metavar="SID", help="The session, or the beginning of its name.")
    ] = None,
    *,
    client: OfClient = None,
    user: OfUser = None,
    tenant: TenantName = None,
    data: Data = None,
    every: Annotated[bool, typer.Option("--all", help="All of the tenant.")] = False,
    yes: Yes = False,
) -> None:
    """End one session, those of a client or user, or all: their tokens stop working at once.

    Example: [bold]licet session end --client TestClientId[/]
    """
    if (sid is not None) + (client is not None or user is not None) + every != 1:
        raise WrongUse("say which: a session, --client or --user, or --all")
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
        ending = [_one(store, found, sid)] if sid is not None else _live(store, found, client, user)
        if not ending:
            raise NotFound("no such session lives")
        target = _target(sid, client, user)
        confirm(f"End {_told(ending)}?", yes=yes)
        sids = [bytes.fromhex(session.sid) for session in ending]
        with progress("ending sessions") as on_ended:
            outcomes = end_as_administrator(store, actor(), found, sids, target, on_ended)
    ended = sum(outcome.session is not None for outcome in outcomes)
    freed = sum(outcome.seat_released for outcome in outcomes)
    say(f"{counted(ended, 'session')} ended; {counted(freed, 'seat')} came back.")


def _live(store: Store, tenant: Tenant, client: str | None, user: str | None) -> list[LiveSession]:
    with store.reading() as connection:
        return list(sessions(connection, tenant, SystemClock().now_ms(), client=client, user=user))


def _one(store: Store, tenant: Tenant, sid: str) -> LiveSession:
    found = [session for session in _live(store, tenant, None, None) if session.sid.startswith(sid.lower())]
    if not found or not sid:
        raise NotFound(f"no session of tenant {tenant.name} that lives begins with {sid}")
    if len(found) > 1:
        raise Refused(f"{counted(len(found), 'session')} begin with {sid}; say more of it")
    return found[0]


def _told(ending: list[LiveSession]) -> str:
    if len(ending) == 1:
        session = ending[0]
        return f"the session of client {session.client_id}, user {session.initials}"
    return counted(len(ending), "session")


def _target(sid: str | None, client: str | None, user: str | None) -> str:
    if sid is not None:
        return f"session {sid}"
    words = [f"{what} {name}" for what, name in (("client", client), ("user", user)) if name is not None]
    return f"sessions of {', '.join(words)}" if words else "all sessions"


def _record(session: LiveSession, *, is_short: bool) -> Record:
    return {
        "sid": session.sid[:SID_CHARS_SHOWN] if is_short else session.sid,
        "client_id": session.client_id,
        "user": session.initials,
        "name": session.name,
        "scope": session.scope,
        "started_at": Instant(session.started_at_ms),
        "renewed_at": Instant(session.renewed_at_ms),
        "expires_at": Instant(session.expires_at_ms),
        "address": session.address,
    }
