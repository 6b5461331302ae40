"""Says on the page of a client what it would be answered if it asked for a seat now, rule by rule."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from licet.model import Client, NoSeatReason, Tenant
from licet.platforms.shells import quoted
from licet.reasons import WHY_DENIED
from licet.reports.options.why import Rule, Step, Why, explain
from licet.reports.usage_summary import minutes
from licet.store.contract import Store

SCOPE_CHARS_MAX = 1000  # of what is asked for, in an address

# The rules in the words of FlexNet's options file, where it has one.
RULES: Mapping[Rule, str] = MappingProxyType(
    {
        Rule.CLIENT: "Client and user",
        Rule.SCOPE: "Scope",
        Rule.SUSPENDED: "Suspension",
        Rule.LICENCE: "Licence",
        Rule.EXCLUDE: "EXCLUDE",
        Rule.INCLUDE: "INCLUDE",
        Rule.OWN_SEAT: "A seat of its own",
        Rule.MAX: "MAX",
        Rule.QUEUE: "Queue",
        Rule.ROOM: "RESERVE and free seats",
    }
)


# Those of a pool that apply to a client, by the names of options.
RULE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "exclude": "EXCLUDE",
        "include": "INCLUDE",
        "named": "Named users",
        "max": "MAX",
        "max_per_user": "MAX for each user",
        "max_per_client": "MAX for each client",
        "reserve": "RESERVE",
        "priority": "Priority in the queue",
    }
)


class IfAsked(NamedTuple):
    """The answer in a sentence, and the steps to it; `scopes` are those that may be chosen instead."""

    sentence: str
    why: Why
    scopes: Sequence[str]
    pools: int  # how many were asked
    command: str  # that says the same

    @staticmethod
    def rule(step: Step) -> str:
        """What a step is called."""
        return RULES[step.rule]


def if_asked(store: Store, tenant: Tenant, client: Client, scope: str) -> IfAsked:
    """What a client would be answered that asked for these scopes; '' is the tenant's default.

    Raises StoreUnavailable.
    """
    names = sorted(tenant.scopes if client.scopes is None else client.scopes & tenant.scopes.keys())
    why = explain(store, tenant, client, scope[:SCOPE_CHARS_MAX].split())
    scopes = names if why.scope in names else [why.scope, *names]
    pools = len({step.pool for step in why.steps} - {None})
    return IfAsked(_sentence(why), why, scopes, pools, why_command(tenant, client))


def why_command(tenant: Tenant, client: Client, options: str = "") -> str:
    """`licet why` of a client, as it can be pasted into a shell."""
    return f"licet why {options}--tenant {tenant.name} -- {quoted(client.client_id)}"


def _sentence(why: Why) -> str:
    if why.granted:
        if why.pool is None:
            return "It would get a token, which needs no seat."
        if why.shares:
            return f"It would get a token, and share the seat of pool {why.pool} that its holder has."
        return f"It would get a seat of pool {why.pool}."
    if why.reason not in set(NoSeatReason):
        return "It would get no token."
    said = f"It would get no seat of pool {why.pool}: "
    if why.queue_position:
        return f"{said}it is number {why.queue_position:,} in line, for as long as it asks again in time."
    said += f"{WHY_DENIED[NoSeatReason(why.reason)]}."
    if why.retry_after_s is not None:
        said += f" It may ask again in {minutes(why.retry_after_s * 1000)}."
    return said
