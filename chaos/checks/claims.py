"""Checks that JWTs say what was decided: an API that does not introspect relies on that (L13, L18)."""

from collections.abc import Iterable

from chaos.checks.findings import Findings
from chaos.history import POOL, Claims, Operation, TenantPlan

AGREE = "JWTs that say what was decided, with a seat"
WITHOUT = "JWTs that say what was decided, without a seat"
COUNTED_FOR = {"client": "client", "user": "user", "none": "session"}


def check_claims(plan: TenantPlan, operations: Iterable[Operation], findings: Findings) -> None:
    """Find tokens with another client, scope, pool or seat than was decided, or with a longer life."""
    users = {client.client_id: client.user for client in plan.clients}
    for operation in operations:
        claims = operation.claims
        if claims is None or operation.outcome != "granted":
            continue
        if why := _why_false(plan, operation, claims, users[operation.client]):
            findings.add("false_token", f"{operation.sid}: {why}", operation)
        else:
            findings.checked[AGREE if operation.licensed else WITHOUT] += 1


def _why_false(plan: TenantPlan, operation: Operation, claims: Claims, user: str) -> str:
    """The first claim that is false, in words; '' where all are true."""
    has_number = operation.licensed and plan.signed > 0
    longest_s = claims.iat + plan.access_ttl_s
    return next(
        (
            f"it says {what}"
            for is_true, what in (
                ((claims.client, claims.user) == (operation.client, user), f"{claims.client}, {claims.user}"),
                (("all" in claims.scope.split()) == operation.licensed, f"the scope {claims.scope}"),
                (claims.pool == (POOL if operation.licensed else ""), f"the pool {claims.pool or 'none'}"),
                ((claims.number > 0) == has_number, f"the seat number {claims.number}"),
                (
                    claims.counted_for == (COUNTED_FOR[plan.duplicates] if has_number else ""),
                    f"a seat that is counted for {claims.counted_for or 'nobody'}",
                ),
                (claims.iat <= claims.exp <= longest_s, f"that it lives for {claims.exp - claims.iat} s"),
            )
            if not is_true
        ),
        "",
    )
