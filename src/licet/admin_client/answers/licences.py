"""Licences and vendors, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from dataclasses import dataclass
from datetime import datetime

from licet.admin_client.answers.nouns import Consequences
from licet.admin_client.words import LicenceState


@dataclass(frozen=True, kw_only=True)
class LicencePool:
    """What a licence gives a pool, and on which terms."""

    pool: str
    seats: int
    # Seats in addition to these, whose use is reported.
    overdraft: int
    # The scopes that may take its seats.
    scopes: tuple[str, ...]
    # How long a seat is on hold for its holder after the last token.
    hold_s: int
    # No access token lives longer.
    access_ttl_max_s: int
    # How its seats may be counted.
    duplicates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Licence:
    """One serial of a licence, and whether it counts now.

    What is signed is null, and `pools` and `features` are empty, where it is `damaged` or
    `untrusted`.
    """

    # Its id.
    licence: str
    # A higher serial replaces a lower one.
    serial: int
    vendor: str
    product: str
    # `valid` and `grace` count, the latter after its end. Others do not: `not_yet` begins later,
    # `over` has ended, `superseded` has a later serial, `contradicted` disagrees with another one
    # of the same pool, `removed` was removed, `untrusted` is of no vendor that is trusted, and
    # the text of `damaged` was changed.
    state: LicenceState
    # Whether it gives seats now.
    counts: bool
    # The serial that replaced it.
    superseded_by: int | None
    # The vendor's reference.
    customer: str | None
    # The hash of the only installation it is for; null is any.
    installation: str | None
    issued_at: datetime | None
    begins_at: datetime | None
    # null is never.
    expires_at: datetime | None
    # The end of its grace; null is never.
    over_at: datetime | None
    # The newest build of the API that it covers.
    updates_until: str | None
    features: tuple[str, ...]
    pools: tuple[LicencePool, ...]
    installed_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LicencesInstalled:
    """What was installed from a file, or would be, and what that does to sessions.

    `licences` has those that were not installed already.
    """

    # False for a check.
    is_done: bool
    licences: tuple[Licence, ...]
    ending: Consequences


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A vendor whose licences count here."""

    vendor: str
    product: str
    # The thumbprints (RFC 7638) of its keys; empty if its row was changed by hand.
    keys: tuple[str, ...]
    added_at: datetime
