"""Compares two stores that have decided the same commands."""

from typing import Any

from sqlalchemy import FromClause

from licet.store import schema
from licet.store.contract import Store
from support.store.store_site import everything, rows


def are_alike(first: Store, plain: Store, now_ms: int) -> None:
    """Check that both have the same sessions and pools, and seats that end at the same time (L4)."""
    for table in (schema.session, schema.pool):
        assert _rows_without_numbers(first, table) == _rows_without_numbers(plain, table)
    assert _seats(first, now_ms) == _seats(plain, now_ms)


def said(store: Store) -> dict[str, list[Any]]:
    """What the tables of seats and the journal say, but for the numbers of rows and who wrote them."""
    return {
        table.name: sorted(
            tuple(value for name, value in row._asdict().items() if name not in {"number", "id", "writer"})
            for row in found
        )
        for table, found in everything(store).items()
        if table.name
        in {
            *("session", "seat", "pool", "journal", "journal_entry", "denial_entry", "usage_minute"),
            "holding",
        }
    }


def _seats(store: Store, now_ms: int) -> dict[tuple[int, str], tuple[Any, ...]]:
    """Each seat: its client and user, when it was taken, expires and got its last token, and its sources."""
    lives: dict[tuple[int, str], tuple[int, int]] = {}
    for it in rows(store, schema.session):
        if it.pool_id is not None and it.expires_at_ms > now_ms:
            expires_at_ms, issued_at_ms = lives.get((it.pool_id, it.holder), (0, 0))
            lives[it.pool_id, it.holder] = (
                max(expires_at_ms, it.expires_at_ms),
                max(issued_at_ms, it.renewed_at_ms),
            )
    found = {}
    for row in rows(store, schema.seat):
        expires_at_ms, issued_at_ms = lives.get((row.pool_id, row.holder), (0, 0))
        if (expires_at_ms := max(expires_at_ms, row.expires_at_ms)) > now_ms:
            found[row.pool_id, row.holder] = (
                row.client_id,
                row.initials,
                row.taken_at_ms,
                expires_at_ms,
                max(issued_at_ms, row.issued_at_ms),
                row.sources,
            )
    return found


def _rows_without_numbers(store: Store, table: FromClause) -> list[dict[str, Any]]:
    """The rows of a table, without the numbers that a store gives them."""
    found = [row._asdict() | {"number": 0} for row in rows(store, table)]
    return sorted(found, key=lambda row: str(row.get("sid", row.get("id"))))
