"""Says where what an administrator set of a pool, and what vendors have signed for it, differ (L13, L14).

A set-up may have more seats than are signed, so that a file can be applied before the licence comes. The
lesser number counts, and `licet apply` and `licet check` say so.
"""

from collections.abc import Iterable

from licet.formats import counted
from licet.ledger.signed_pools import seats_of
from licet.model import Duplicates, Pool, Tenant
from licet.refusal import Code, Subject
from licet.store.errors import SetupError


def any_signed(tenants: Iterable[Tenant]) -> bool:
    """Whether licences sign a pool of one of these tenants."""
    return any(pool.signed is not None for tenant in tenants for pool in tenant.pools.values())


def beyond_signed(pool: Pool, now_ms: int) -> str:
    """What is set beyond what is signed now, in one line; '' where nothing is."""
    if pool.signed is None:
        return ""
    step, parts = pool.signed.at(now_ms), []
    if pool.seats is not None and pool.seats > step.seats:
        parts.append(
            f"{counted(pool.seats, 'seat')} {_are(pool.seats)} set, and {step.seats:,} {_are(step.seats)}"
            f" signed: it has {seats_of(pool, now_ms):,}"
        )
    if pool.overdraft is not None and pool.overdraft > step.overdraft:
        parts.append(f"an overdraft of {pool.overdraft:,} is set, and {step.overdraft:,} signed")
    return "; ".join(parts)


def why_no_seats(tenant: Tenant, pool: Pool) -> str:
    """Why a pool gives no seat for want of a licence, in one line; '' where it needs none or has one."""
    if pool.signed is not None:
        return ""
    if tenant.licence_required:
        return "it is in no licence, which its tenant requires: it gives no seat"
    return "" if pool.seats is not None else "it is in no licence, and no number of seats is set: it has none"


def must_be_counted_as_signed(pool: Pool, tenant: str, now_ms: int) -> None:
    """Return if the licences of a pool allow its way of counting, now and later.

    Raises SetupError.
    """
    if pool.signed is None:
        return
    for step in (pool.signed.at(now_ms), *pool.signed.after(now_ms)):
        if step.terms is not None and pool.duplicates.value not in step.terms.duplicates:
            counts = "each session" if pool.duplicates is Duplicates.NONE else pool.duplicates.value
            allowed = " or ".join(sorted(step.terms.duplicates))
            text = f"licence {', '.join(step.licences)} lets pool {pool.name} count its seats by {allowed}"
            raise SetupError(
                f"{text}, and not by {counts}",
                code=Code.NOT_TOGETHER,
                field="duplicates",
                subject=Subject("pool", pool.name, tenant),
            )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
