"""Defines what an options file says of a tenant, in the words of a set-up file."""

from collections.abc import Mapping

from licet.model import Value


class PoolChanges(Value, frozen=True, kw_only=True):
    """What a file says of one pool: who is in which list, and numbers; None where it says nothing."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    reserve: Mapping[str, int] = {}
    max: Mapping[str, int] = {}
    priority: Mapping[str, int] = {}
    max_per_user: int | None = None
    hold_s: int | None = None
    overdraft: int | None = None


class Changes(Value, frozen=True, kw_only=True):
    """What a file says of a tenant; pools and groups by name."""

    session_ttl_s: int | None
    groups: Mapping[str, tuple[str, ...]]
    pools: Mapping[str, PoolChanges]
