"""Compares the rows that PostgreSQL's statements of different size load for one batch."""

from collections.abc import Mapping, Sequence

from licet.ledger.commands import Command
from licet.ledger.prefetch import Need
from licet.model import Tenant
from licet.store.postgres import load_statements
from licet.store.postgres.batch import Batch
from licet.store.postgres.book import Loaded, parameters

# The statements, and the parts of each.
STATEMENTS = {
    "WHOLE": load_statements.PARTS,
    "OF_GRANTS": load_statements.GRANTS,
    "OF_NUMBERED_GRANTS": load_statements.NUMBERED_GRANTS,
    "OF_GRANTS_WITH_OPTIONS": load_statements.GRANTS_WITH_OPTIONS,
    "OF_NUMBERED_GRANTS_WITH_OPTIONS": load_statements.NUMBERED_GRANTS_WITH_OPTIONS,
    "OF_GRANTS_WITH_KNOWN_COUNTS": load_statements.GRANTS_WITH_KNOWN_COUNTS,
    "OF_NUMBERED_GRANTS_WITH_KNOWN_COUNTS": load_statements.NUMBERED_GRANTS_WITH_KNOWN_COUNTS,
}


def changed(statement: str, before: str, after: str) -> str:
    """A statement with one text replaced by another."""
    assert before in statement
    return statement.replace(before, after)


def same_by_smaller_statement(
    batch: Batch, commands: Sequence[Command], tenants: Mapping[int, Tenant]
) -> None:
    """Check that the smaller statements load the same as the whole one, unless a session must end (L8)."""
    need = Need(commands, tenants)
    asked = parameters(need, locked=batch._locked, least_ms=0, now_ms=batch.now_ms)
    both = (load_statements.statement_for(need, knows_counts=False), load_statements.WHOLE)
    small, whole = (Loaded(statement.ask(batch._raw, asked)) for statement in both)
    if small.must_end_one(need):
        return
    assert vars(small) == vars(whole)
    if need.counts and need.is_of_grants:
        counts = {
            pool_id: dict.fromkeys(names, 0) | whole._counts.get(pool_id, {})
            for pool_id, names in need.counts.items()
        }
        asked = parameters(need, locked=batch._locked, least_ms=0, now_ms=batch.now_ms, counts=counts)
        statement = load_statements.statement_for(need, knows_counts=True)
        known = Loaded(statement.ask(batch._raw, asked), counts=counts)
        counted = {"_counts", "_is_known"}
        assert {it: value for it, value in vars(known).items() if it not in counted} == {
            it: value for it, value in vars(whole).items() if it not in counted
        }
