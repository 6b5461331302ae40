"""Defines the answers about the upkeep: signing keys, findings, servers, and the plan of a set-up file."""

from typing import Annotated

from licet.admin.api.advice import advice_of
from licet.admin.api.wire import Instant, Shape, about, example, like
from licet.credentials.keyring import Keyring, fingerprint
from licet.setup.check import Finding, FindingCode
from licet.setup.plan import Applied
from licet.store.nodes import Node, is_silent

_JIM, _AT = "Jim_Test", "2027-01-01T00:00:00Z"


class SigningKey(Shape, frozen=True, kw_only=True):
    """A key that signs tokens, or did; what it is, is never shown."""

    id: Annotated[int, example(2)]
    fingerprint: Annotated[str, example("5f0c11aa")]
    created_at: Annotated[Instant, example(_AT)]
    signs_at: Annotated[Instant, about("When it begins to sign.", _AT)]
    signs: Annotated[bool, about("Whether it signs now.", True)]


class NodeNow(Shape, frozen=True, kw_only=True):
    """A server that works on the store."""

    name: Annotated[str, example("licence-1:8080")]
    version: str
    schema: str
    url: str
    started_at: Instant
    seen_at: Instant
    silent: Annotated[bool, about("It has not reported for too long.")]
    skew_s: Annotated[float, about("How far its wall clock is ahead of the store's.", 0.02)]
    token_keys: Annotated[tuple[str, ...], example(["2:5f0c11aa"])]
    pepper: str


class CheckFinding(Shape, frozen=True, kw_only=True):
    """Something to correct, or with `is_wrong` false to know. `tenant` is '' for the whole store."""

    is_wrong: bool
    code: FindingCode
    tenant: Annotated[str, example(_JIM)]
    target: Annotated[str, example("pool full")]
    problem: Annotated[str, example("it has no seats")]
    advice: Annotated[str, example("changePool full with seats")]


class Checked(Shape, frozen=True, kw_only=True):
    """What is wrong with the set-up or worth knowing, and the servers that work on the store."""

    findings: tuple[CheckFinding, ...]
    nodes: tuple[NodeNow, ...]


class PlanStep(Shape, frozen=True, kw_only=True):
    """One thing that was done, or would be: `add`, `set`, `remove`, or `keep` what is not declared."""

    action: Annotated[str, example("set")]
    tenant: Annotated[str, example(_JIM)]
    target: Annotated[str, example("pool full")]
    detail: Annotated[str, example("seats 5 -> 7")]


class Plan(Shape, frozen=True, kw_only=True):
    """What a declaration changed, or would change in a rehearsal."""

    is_done: bool
    steps: tuple[PlanStep, ...]
    sessions_ended: int
    notes: Annotated[
        tuple[str, ...],
        about("Pools with fewer seats than declared, because a licence is missing.", []),
    ]


def signing_keys(keyring: Keyring, soon_ms: int) -> tuple[SigningKey, ...]:
    """The keys that sign tokens, the newest last."""
    signs = keyring.signing(soon_ms)
    return tuple(
        like(SigningKey, key, fingerprint=fingerprint(key.key), signs=key is signs)
        for key in keyring.token_keys
    )


def check_finding(value: Finding) -> CheckFinding:
    """A finding, and the operation that corrects it."""
    return like(CheckFinding, value, advice=advice_of(value))


def node(value: Node, now_ms: int) -> NodeNow:
    """A node, shown."""
    marks = tuple(mark.text for mark in value.token_keys)
    return like(
        NodeNow, value, silent=is_silent(value, now_ms), skew_s=value.skew_ms / 1000, token_keys=marks
    )


def plan(value: Applied, *, is_done: bool) -> Plan:
    """The steps of a declaration, shown."""
    return like(Plan, value, is_done=is_done, steps=tuple(like(PlanStep, step) for step in value.steps))
