"""Writes what `licet.web.recording` collected to the store: failed authentications and request ids.

An authentication fails in the process that speaks HTTP, without a commit. Failures are collected there
(`licet.web.recording`) and written here about once a second, in one transaction beside the batches.
The rules:

- A failure is added to the row of its minute: a flood makes as many rows as there are names and causes.
- A request id is written once; `retention.py` keeps the newest.
- A transaction whose COMMIT was not answered is written again: then its failures may count twice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from licet.store.contract import Purpose, Store
from licet.store.minute_rows import TAKE_IN


class FailureKey(NamedTuple):
    """What one row counts: tenant 0 is an unknown tenant, name '' an unknown name, or several."""

    tenant_id: int
    minute: int
    who: str
    cause: str
    name: str


class Failure(NamedTuple):
    """How often, when first and last; `address` is that of the last time."""

    initials: str
    times: int
    first_at_ms: int
    last_at_ms: int
    address: str

    def and_then(self, later: "Failure") -> "Failure":
        """The sum of both."""
        return Failure(
            later.initials,
            self.times + later.times,
            min(self.first_at_ms, later.first_at_ms),
            max(self.last_at_ms, later.last_at_ms),
            later.address,
        )


class RefusedRequest(NamedTuple):
    """How one request was refused: `kind` is denied or failed, `reason` the reason or the cause."""

    request_id: str
    tenant_id: int
    at_ms: int
    kind: str
    reason: str
    pool: str
    who: str
    name: str
    initials: str
    address: str


_KEY = ", ".join(FailureKey._fields)
_ADD = f"""
INSERT INTO authentication_failure AS this ({_KEY}, {", ".join(Failure._fields)})
VALUES ({", ".join(f":{field}" for field in FailureKey._fields + Failure._fields)})
ON CONFLICT ({_KEY}) DO UPDATE SET{TAKE_IN}"""  # noqa: S608 - names of our own
_NOTE = f"""
INSERT INTO refused_request ({", ".join(RefusedRequest._fields)})
VALUES ({", ".join(f":{field}" for field in RefusedRequest._fields)})
ON CONFLICT (request_id) DO NOTHING"""  # noqa: S608 - names of our own


def write_refusals(
    store: Store, failures: Mapping[FailureKey, Failure], requests: Sequence[RefusedRequest]
) -> None:
    """Add these failures to those of the same key, and keep these request ids.

    Raises StoreUnavailable.
    """
    from sqlalchemy import text  # noqa: PLC0415 - a server answers before it has imported it

    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        if failures:  # In one order, so that two nodes do not deadlock.
            connection.execute(
                text(_ADD), [key._asdict() | failure._asdict() for key, failure in sorted(failures.items())]
            )
        if requests:
            connection.execute(text(_NOTE), [request._asdict() for request in requests])
