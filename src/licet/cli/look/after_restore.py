"""Runs `licet session end --all --after-restore`: ends every session that a restored copy brought back.

A copy of the store has no logoff, sign-out or removal since it was made. This ends the sessions and sign-ins
of all tenants, gives no seat of a signed pool until its hold has passed, and lists what an administrator has
to decide.
"""

from licet.accounts import sign_ins
from licet.accounts.administrators import read_admins
from licet.accounts.api_keys import read_api_keys
from licet.cli.change import endings
from licet.cli.options import actor, confirm
from licet.cli.output import say
from licet.clock import SystemClock
from licet.credentials.client_assertions import LEEWAY_S, USABLE_S_MAX
from licet.formats import counted, duration, instant
from licet.journal.restores import keep_restore
from licet.model import Tenant
from licet.reports.live import sessions
from licet.setup.change import end_all_after_restore
from licet.setup.consequences import Tally
from licet.store.contract import Store

REASON = "the store was restored from a copy"


def end_all(store: Store, *, yes: bool) -> None:
    """End every session and sign-in of a store, if whoever is asked agrees; list what has to be checked.

    Raises Refused, WrongUse, StoreUnavailable.
    """
    confirm(f"{what_ends(store)} End them, and all sign-ins at the dashboard?".lstrip(), yes=yes)
    say("\n".join([*end_everything(store), *_to_look_over(store)]))


def what_ends(store: Store) -> str:
    """The sessions that are active, as a sentence; '' where there are none."""
    tally = Tally()
    for tenant in _tenants(store):
        tally.end(tenant.name, _live(store, tenant))
    return endings(tally.total())


def end_everything(store: Store) -> list[str]:
    """End every session and sign-in of a store; what was done, as sentences.

    Raises StoreUnavailable.
    """
    tenants = _tenants(store)
    done = {tenant.name: end_all_after_restore(store, actor(), tenant.name, REASON) for tenant in tenants}
    ended = [ending for ending, _ in done.values()]
    keep_restore(store, actor(), REASON)
    signed_out = sign_ins.end_all(store, actor(), REASON)
    sessions_ended, seats = sum(it.sessions for it in ended), sum(it.seats for it in ended)
    lines = [
        f"{counted(sessions_ended, 'session')} ended; {counted(seats, 'seat')} came back.",
        f"{counted(signed_out, 'sign-in')} at the dashboard ended.",
    ]
    for name, (_, withheld) in done.items():
        for pool, until_ms in withheld.items():
            lines.append(
                f"Pool {pool} of {name} gives no seat until {instant(until_ms)}, when its hold has passed: an"
                " API may have let in others since the copy was made."
            )
    return lines


def assertions_refused(store: Store) -> list[str]:
    """For how long assertions are refused that may have been used; nothing where no client signs any."""
    clients = [client for tenant in store.tenants().values() for client in tenant.clients.values()]
    signing = sum(bool(client.keys) for client in clients)
    if not signing:
        return []
    text = (
        f"{counted(signing, 'client')} can sign assertions. Those that may have been used before now"
        f" are refused: for {duration(LEEWAY_S)}, and for up to {duration(USABLE_S_MAX)} without iat."
    )
    return [text]


def _tenants(store: Store) -> list[Tenant]:
    return sorted(store.tenants().values(), key=lambda tenant: tenant.name)


def _live(store: Store, tenant: Tenant) -> dict[tuple[str, str], int]:
    """How many sessions of each client of a tenant are active."""
    found: dict[tuple[str, str], int] = {}
    with store.reading() as connection:
        for session in sessions(connection, tenant, SystemClock().now_ms()):
            key = (session.client_id, session.initials)
            found[key] = found.get(key, 0) + 1
    return found


def _to_look_over(store: Store) -> list[str]:
    """What is as it was when the copy was made, and which credentials clients may still have."""
    with store.reading() as connection:
        admins, keys = read_admins(connection), read_api_keys(connection)
    lines = ["Look over what is again as it was when the copy was made:"]
    lines.append(f"  administrators: {', '.join(admin.name for admin in admins) or 'none'}")
    lines.append(f"  API keys: {', '.join(key.name for key in keys) or 'none'}")
    lines.append("  set-up: licet check, licet export")
    return lines + assertions_refused(store)
