"""What is read of the set-up by statements of the driver's own is what the schema says."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Boolean, Table

from licet.model import Client, ClientSecret, Pool, PublicKey, Scope, Tenant, User, Value
from licet.store import schema
from licet.store.snapshots import (
    _CLIENT,
    _CLIENT_SECRET,
    _LICENCE,
    _PARTS,
    _POOL,
    _PUBLIC_KEY,
    _SCOPE,
    _TENANT,
    _USER,
    Part,
)

_ALL = (_TENANT, *_PARTS)
_VALUES: dict[Part, type[Value]] = {
    _TENANT: Tenant,
    _POOL: Pool,
    _SCOPE: Scope,
    _USER: User,
    _CLIENT: Client,
    _CLIENT_SECRET: ClientSecret,
    _PUBLIC_KEY: PublicKey,
}


def _table(part: Part) -> Table:
    return schema.metadata.tables[part.table]


def _flags(part: Part) -> Iterator[str]:
    for name in part.columns.split():
        if isinstance(_table(part).c[name].type, Boolean):
            yield name


@pytest.mark.parametrize("part", _ALL, ids=lambda part: part.table)
def test_what_is_a_truth_value_in_the_schema_is_read_as_one(part: Part) -> None:
    """SQLite has numbers in their place, and a snapshot is to be the same from both stores."""
    assert {*part.flags.split()} == {*_flags(part)}


@pytest.mark.parametrize("part", _VALUES, ids=lambda part: part.table)
def test_each_column_that_is_a_field_of_the_value_is_read(part: Part) -> None:
    """A field with a default would else keep it for ever, whatever is set."""
    fields = {*_VALUES[part].__struct_fields__}
    assert fields & {*_table(part).c.keys()} <= {*part.columns.split()}


@pytest.mark.parametrize("part", _ALL, ids=lambda part: part.table)
def test_rows_come_in_the_order_of_their_key(part: Part) -> None:
    """Snapshots of two processes are the same in all; tenants are in the order of their names."""
    keys = [column.name for column in _table(part).primary_key.columns]
    assert part.order.split(", ") == (["name"] if part is _TENANT else keys)


def test_of_a_licence_all_is_read_that_is_looked_at() -> None:
    """Its text counts, and what it is called by; and whether it was removed."""
    assert {"vendor", "product", "licence", "serial", "text", "removed_at_ms"} <= {*_LICENCE.columns.split()}
