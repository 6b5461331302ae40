"""Runs `licet usage statement`: states the use of a span for a vendor, signed by the tenant's key.

The keys are those of `secrets.json` in the data directory, so it runs where a server runs.
"""

import sys
from collections.abc import Callable
from datetime import UTC, date, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data, TenantName, actor, exclusive
from licet.cli.output import note
from licet.cli.stores import chosen_tenant, data_directory, opened
from licet.cli.suggested_options import of_tenant
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.formats import begin_ms, end_ms, instant
from licet.model import InvalidValue

if TYPE_CHECKING:
    from licet.vendor.statements import Statement


def statement(
    *,
    after: Annotated[
        Path | None,
        typer.Option(
            "--after", metavar="FILE", readable=False, help="The previous statement, if it is not stored."
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--number", metavar="N", min=1, help="Write this statement again, as it is stored."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="The first day, like 2026-06-01; of a first statement."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DAY", help="The last day; by default the last that is over."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is standard output.")
    ] = "-",
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Report the use of whole days to a vendor: seats, peaks, overdraft and true denials, without names.

    The key that signs the tenant's JWTs signs it. Each statement has a number, and the hash of the one
    before, so that the vendor sees if one is missing. Days are UTC. The store keeps the statements, and each
    begins where the last one ended; --after continues a chain whose last statement is only in a file.

    Example: [bold]licet usage statement --until 2026-06-30 --output june.statement[/]
    """
    exclusive(("--number", number is not None), ("--after", after is not None))
    exclusive(("--number", number is not None), ("--from", from_ is not None))
    exclusive(("--number", number is not None), ("--until", until is not None))
    exclusive(("--after", after is not None), ("--from", from_ is not None))
    before = None if after is None else _before(after)
    from_ms, until_ms = _day("--from", from_, begin_ms), _day("--until", until, end_ms)
    keyring = None if number is not None else read_keyring(data_directory(data) / FILE_NAME)
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        from licet.reports.usage_statements.kept import make_statement, statement_text

        if keyring is None:
            with store.reporting() as connection:
                text = statement_text(connection, chosen.id, number or 0)
            if text is None:
                raise Refused(f"no statement {number} of {chosen.name} is kept")
            _write(output, text)
            return
        made, text = make_statement(store, keyring, chosen, actor(), from_ms, until_ms, after=before)
    note(
        f"statement {made.seq} of {chosen.name}, from {instant(made.from_ms)} until"
        f" {instant(made.until_ms)}; it is kept"
    )
    again = f"licet usage statement --number {made.seq}{of_tenant(tenant, data)} -o FILE"
    _write(output, text, hint=f"; the statement is kept, and this writes it: {again}")


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


def _day(option: str, text: str | None, read: Callable[[date, tzinfo], int]) -> int | None:
    if text is None:
        return None
    try:
        return read(date.fromisoformat(text), UTC)
    except (ValueError, InvalidValue):
        raise WrongUse(f"{option} is a day like 2026-06-01, not {text[:40]!r}") from None


def _write(output: str, text: str, *, hint: str = "") -> None:
    """The statement in its armour; `hint` says what helps where that fails. Raises Refused."""
    from licet.vendor.statements import armoured

    text = armoured(text)
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="ascii")
    except OSError as fault:
        raise Refused(f"{output} cannot be written ({fault.strerror}){hint}") from None
