"""Runs `licet usage statement`: states the use of a span for a vendor, signed by the tenant's key.

The keys are those of `secrets.json` in the data directory, so it runs where a server runs.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data, TenantName, exclusive
from licet.cli.output import note
from licet.cli.stores import chosen_tenant, data_directory, opened
from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.formats import instant
from licet.model import Tenant
from licet.units import DAY_MS

if TYPE_CHECKING:
    from licet.vendor.statements import Statement


def statement(
    *,
    after: Annotated[
        Path | None,
        typer.Option("--after", metavar="FILE", readable=False, help="The statement before this one."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="The first day, like 2026-06-01; of a first statement."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="The day after the last; by default today.")
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is the output.")
    ] = "-",
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """State the use of whole days for a vendor: seats, peaks, overdraft and true denials, without names.

    It is signed by the key that signs the tenant's JWTs, which is in its key set. Each statement after the
    first has the number, and the hash, of the one before, so that the vendor sees one that is missing. Days
    are those of UTC. Keep the file: the next statement needs it.

    Example: [bold]licet usage statement --after may.statement --output june.statement[/]
    """
    exclusive(("--after", after is not None), ("--from", from_ is not None))
    before = None if after is None else _before(after)
    keyring = read_keyring(data_directory(data) / FILE_NAME)
    now_ms = SystemClock().now_ms()
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        from_ms, until_ms = _span(chosen, before, from_, until, now_ms)
        with store.reporting() as connection:
            from licet.reports.usage_statements.claims import claims_of

            claims = claims_of(connection, chosen, from_ms, until_ms, now_ms=now_ms)
    claims |= {"seq": 1} if before is None else {"seq": before.seq + 1, "prev": before.hash}
    _write(output, _signed(claims, keyring, chosen, now_ms))
    note(
        f"statement {claims['seq']} of {chosen.name}, from {instant(from_ms)} until {instant(until_ms)};"
        " keep it for the next one"
    )


def _before(file: Path) -> "Statement":
    """The statement in a file.

    Raises Refused.
    """
    from licet.vendor.errors import VendorRefused
    from licet.vendor.files import read_bounded
    from licet.vendor.statements import FILE_BYTES_MAX, read_statement, split

    try:
        (text,) = split(read_bounded(file, FILE_BYTES_MAX))
        return read_statement(text)
    except VendorRefused as fault:
        raise Refused(f"{file}: {fault}") from None
    except ValueError:
        raise Refused(f"{file} has more than one statement; name a file with the last one only") from None


def _span(
    tenant: Tenant, before: "Statement | None", from_: str | None, until: str | None, now_ms: int
) -> tuple[int, int]:
    """Whole days of UTC.

    Raises WrongUse, Refused.
    """
    from licet.reports.usage_statements.claims import DAYS_FIRST, DAYS_MAX, settled_ms

    settled = settled_ms(tenant, now_ms)
    until_ms = settled if until is None else _day("--until", until)
    if before is not None and before.tenant != tenant.name:
        raise Refused(f"the statement before is of the tenant {before.tenant}, not of {tenant.name}")
    if before is not None:
        from_ms = int(before.claims["until"]) * 1000
    else:
        from_ms = settled - DAYS_FIRST * DAY_MS if from_ is None else _day("--from", from_)
    if until_ms > settled:
        raise WrongUse(f"--until is {instant(settled)[:10]} at most: what is later is not decided yet")
    if not from_ms < until_ms <= from_ms + DAYS_MAX * DAY_MS:
        raise Refused(f"there is nothing to state: a statement has 1 to {DAYS_MAX} days")
    return from_ms, until_ms


def _day(option: str, text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option} is a day like 2026-06-01, not {text[:40]!r}") from None
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _signed(claims: dict[str, Any], keyring: Any, tenant: Tenant, now_ms: int) -> str:
    """The statement in its armour."""
    import json

    from licet.credentials.jwt_signing_keys import PERIOD_MS, PUBLISHED_BEFORE_MS, JwtKeys
    from licet.licences.jws import encode
    from licet.vendor.statements import armoured, header_of

    signs = keyring.signing(now_ms - PUBLISHED_BEFORE_MS)
    key = JwtKeys().key(signs, tenant.id, now_ms // PERIOD_MS)
    claims["key"] = {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}
    payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
    content = f"{encode(header_of(key.kid))}.{encode(payload)}"
    return armoured(f"{content}.{key.sign(content.encode()).decode()}")


def _write(output: str, text: str) -> None:
    """Raises Refused."""
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="ascii")
    except OSError as fault:
        raise Refused(f"{output} cannot be written ({fault.strerror})") from None
