"""Counts the requests of a signed pool, and compares them with those of a pool in no licence.

A vendor signs a licence for the pool of each tenant; otherwise the two set-ups are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.counted.counting import Counts, count
from bench.counted.work import CLIENTS
from bench.measured.stores import Place
from licet.licences.armour import armoured
from licet.licences.jws import put_together, what_to_sign
from licet.licences.vendor_file import Vendor, vendor_file
from licet.setup.change import changing
from licet.setup.licences import install, trust
from licet.vendor.private_keys import new_private_key

KINDS = ("grant", "first", "refresh", "introspect")  # `grant` shares a seat, `first` takes one
GRANTS = ("grant", "first")
MORE_MAX = 0.10  # instructions of a grant
_NOISE = 0.005  # the counts of the same work differ by this share from run to run
_REQUESTS = 64  # of each kind, as each client can take its first seat only once
_ISSUED_S = 1_500_000_000


def sign_pools(place: Place, tenants: Sequence[str]) -> bytes:
    """Trust a vendor, and install a licence of many seats for the pool `full` of each of these tenants.

    Returns the file of the vendor, for guards.
    """
    key = new_private_key()
    vendor = Vendor(name="bench", product="api", keys={key.public.kid: key.public})
    pool = {"seats": 100_000, "scopes": ["all"], "access_ttl_max": 86_400, "hold": 86_400}
    store = place.open()
    with changing(store, "bench") as change:
        trust(change, vendor_file(vendor))
        for number, tenant in enumerate(tenants):
            claims = {
                "iss": vendor.name,
                "product": vendor.product,
                "tenant": tenant,
                "licence": f"B-{number}",
                "serial": 1,
                "iat": _ISSUED_S,
                "pools": {"full": pool},
            }
            content = what_to_sign(key.public.kid, claims)
            install(change, tenant, armoured(put_together(content, key.sign(content))).encode())
    store.close()
    return vendor_file(vendor)


def count_both(directory: Path) -> dict[str, tuple[Counts, Counts]]:
    """For each kind of request, the counts of a pool in no licence, and of a signed one."""
    found = []
    for name, sign in (("unsigned", None), ("signed", sign_pools)):
        own = directory / name
        own.mkdir()
        found.append(count(own, KINDS, _REQUESTS, sign=sign))
    unsigned, signed = found
    return {kind: (unsigned[kind], signed[kind]) for kind in KINDS}


def ratio(counts: tuple[Counts, Counts]) -> float:
    """The instructions of a signed pool, divided by those of a pool in no licence."""
    unsigned, signed = counts
    return signed.instructions / unsigned.instructions


def report(found: Mapping[str, tuple[Counts, Counts]]) -> Iterator[str]:
    """The comparison in lines."""
    yield f"{'':12}{'in no licence':>16}{'signed':>12}{'ratio':>8}{'SQLite loops':>24}"
    for kind, (unsigned, signed) in found.items():
        loops = f"{unsigned.sqlite_loops:,.1f} and {signed.sqlite_loops:,.1f}"
        yield (
            f"{kind:12}{unsigned.instructions:16,.1f}{signed.instructions:12,.1f}"
            f"{ratio((unsigned, signed)):8.3f}{loops:>24}"
        )


def missed(found: Mapping[str, tuple[Counts, Counts]]) -> Iterator[str]:
    """The bounds that are exceeded."""
    for kind in GRANTS:
        if (more := ratio(found[kind]) - 1) > MORE_MAX + _NOISE:
            yield f"A signed pool costs a grant ({kind}) {more:.1%}, and {MORE_MAX:.0%} is the most."


assert _REQUESTS <= CLIENTS
