"""Changes the set-up for a verb, and first asks about the sessions that would end.

The rules:

- Before a change ends or shortens sessions, it says how many and whose. On a terminal the answer is yes or
  no; elsewhere `--yes` is needed, and without it the exit code is 2.
- A change that is refused is refused before the question.
- When more sessions would end than were confirmed, because one began meanwhile, the question is repeated.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from licet.cli.options import actor, confirm
from licet.cli.output import say
from licet.cli.stores import chosen_tenant, opened
from licet.formats import counted
from licet.store.contract import Store

if TYPE_CHECKING:
    from licet.setup.change import SetupChange
    from licet.setup.consequences import Consequences
    from licet.setup.tenant import TenantSetup

_CLIENTS_SHOWN = 5


def change_tenant(
    data: Path | None,
    tenant: str | None,
    done: str,
    change_it: "Callable[[TenantSetup], bool]",
    *,
    ask: str = "",
    warning: str = "",
    yes: bool = False,
    report: Callable[[str], None] | None = None,
) -> None:
    """Change the set-up of a tenant, and say that it is done: `change_set_up`, of the tenant alone."""
    change_set_up(
        data,
        tenant,
        done,
        lambda change, name: change_it(change.tenant(name)),
        ask=ask,
        warning=warning,
        yes=yes,
        report=report,
    )


def change_set_up(
    data: Path | None,
    tenant: str | None,
    done: str,
    change_it: "Callable[[SetupChange, str], bool]",
    *,
    ask: str = "",
    warning: str = "",
    yes: bool = False,
    report: Callable[[str], None] | None = None,
) -> None:
    """Change the set-up for a tenant, whose name `change_it` gets, and say that it is done.

    With `ask`, a question such as "Remove pool full?", or a `warning`, it asks even if no session ends.
    Raises SetupError, InvalidValue, StoreUnavailable, Refused, WrongUse.
    """
    is_changed = False

    def do(change: "SetupChange") -> None:
        nonlocal is_changed
        is_changed = change_it(change, name)

    with opened(data) as store:
        name = chosen_tenant(store, tenant).name
        ending = make(store, do, ask=ask, warning=warning, must_ask=lambda: is_changed, yes=yes)
    (report or say)(f"{done if is_changed else 'Nothing to change'}{and_ended(ending)}.")


def make(
    store: Store,
    do: "Callable[[SetupChange], Any]",
    *,
    ask: str = "",
    warning: str = "",
    must_ask: Callable[[], bool] = lambda: True,
    yes: bool = False,
) -> "Consequences":
    """Make a change once its consequences are confirmed; return them.

    A question or a warning is asked even if nothing ends, unless `must_ask` says that nothing changes.

    Raises as `change_tenant`.
    """
    from licet.setup.change import changing
    from licet.setup.consequences import attempt, is_within

    def change_it(work: "Callable[[SetupChange], None]") -> None:
        with changing(store, actor()) as change:
            work(change)

    agreed: Consequences | None = None

    def agrees(ending: "Consequences") -> bool:
        if agreed is not None:
            return is_within(ending, agreed)
        return yes or not (ending.are_any or ((ask or warning) and must_ask()))

    while True:
        tried = attempt(change_it, do, agrees=agrees)
        if tried.is_made:
            return tried.ending
        parts = [warning, endings(tried.ending), ask or "Do this?"]
        confirm(" ".join(filter(None, parts)), yes=yes)
        agreed = tried.ending


def endings(ending: "Consequences") -> str:
    """What a change does to sessions, as sentences: how many, and whose; '' where it ends none."""
    if not ending.are_any:
        return ""
    parts = []
    if ending.sessions_ended:
        verb = "ends" if ending.sessions_ended == 1 else "end"
        parts.append(f"{counted(ending.sessions_ended, 'session')} {verb} at once")
    if ending.sessions_cut_short:
        sooner = "ends sooner than it" if ending.sessions_cut_short == 1 else "end sooner than they"
        parts.append(f"{counted(ending.sessions_cut_short, 'session')} {sooner} would have")
    shown = ending.clients[:_CLIENTS_SHOWN]
    whose = [
        f"{client.client_id} ({client.sessions})" if client.sessions > 1 else client.client_id
        for client in shown
    ]
    more = len(ending.clients) + ending.clients_more - len(shown)
    if more:
        whose.append(f"{more} more")
    return f"{' and '.join(parts)}: {', '.join(whose)}."


def and_ended(ending: "Consequences") -> str:
    """What to add to a sentence about a change that ended sessions."""
    cut = ending.sessions_cut_short
    return (f"; {counted(ending.sessions_ended, 'session')} ended" if ending.sessions_ended else "") + (
        f"; {counted(cut, 'session')} cut short" if cut else ""
    )
