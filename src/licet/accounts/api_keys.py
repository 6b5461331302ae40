"""Reads the API keys of the admin API, and adds and removes them within a change of accounts."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from licet.accounts.account import AccountChange, check_name, of_tenant, there_already
from licet.credentials.generated import NewApiKey
from licet.formats import instant
from licet.model import InvalidValue, Role, Value
from licet.refusal import Code, Subject
from licet.store import schema
from licet.store.errors import unknown

API_KEYS_MAX = 1000


class ApiKey(Value, frozen=True, kw_only=True):
    """The API key of a program, as it is stored: a keyed hash, never the key."""

    id: str
    name: str
    hash: bytes
    role: Role
    tenant_id: int | None
    created_by: str
    created_at_ms: int
    expires_at_ms: int | None
    last_used_at_ms: int | None

    def __post_init__(self) -> None:
        check_name("API key", self.name)

    def is_expired(self, now_ms: int) -> bool:
        """Whether it has expired."""
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms


def read_api_keys(connection: Connection, within: int | None = None) -> list[ApiKey]:
    """The API keys by name, also those that have expired; with `within` those of that tenant only."""
    query = select(schema.api_key).where(*of_tenant(schema.api_key, within)).order_by(schema.api_key.c.name)
    return [_api_key(row) for row in connection.execute(query)]


def find_api_key(connection: Connection, key_id: str) -> ApiKey | None:
    """The API key of this id."""
    row = connection.execute(select(schema.api_key).where(schema.api_key.c.id == key_id)).one_or_none()
    return None if row is None else _api_key(row)


class ApiKeysChange(AccountChange):
    """One change of the API keys."""

    def api_key(self, name: str) -> ApiKey:
        """An API key as it is in this transaction.

        Raises NotFound.
        """
        row = self._connection.execute(
            select(schema.api_key).where(schema.api_key.c.name == name)
        ).one_or_none()
        if row is None or not self._reaches(row.tenant_id):
            raise unknown(Subject("API key", name))
        return _api_key(row)

    def add_api_key(
        self,
        name: str,
        made: NewApiKey,
        *,
        role: Role,
        tenant_id: int | None = None,
        expires_at_ms: int | None = None,
    ) -> ApiKey:
        """A new API key.

        Raises AlreadyThere, NotYours, NotFound for the tenant, InvalidValue, StillInUse when there are too
        many.
        """
        key = ApiKey(
            id=made.key_id,
            name=name,
            hash=made.hash,
            role=role,
            tenant_id=tenant_id,
            created_by=self._actor,
            created_at_ms=self._now_ms,
            expires_at_ms=expires_at_ms,
            last_used_at_ms=None,
        )
        self._must_reach(tenant_id)
        if key.is_expired(self._now_ms):
            text = f"a new API key expires later than now; this is over: {instant(expires_at_ms)}"
            about = Subject("API key", name)
            raise InvalidValue(text, code=Code.IN_THE_PAST, field="expires", subject=about)
        if self._has_api_key(name):
            raise there_already("API key", name)
        self._must_have_room(schema.api_key, API_KEYS_MAX, "API key")
        row = {field: getattr(key, field) for field in key.__struct_fields__} | {"role": role.value}
        self._connection.execute(insert(schema.api_key).values(row))
        detail = f"{key.id}, {self._rights_text(role, tenant_id)}, expires {instant(expires_at_ms)}"
        self._record("add", "API key", key, detail)
        return key

    def remove_api_key(self, name: str) -> bool:
        """Remove an API key: from now on it is refused.

        Raises NotFound.
        """
        key = self.api_key(name)
        self._connection.execute(delete(schema.api_key).where(schema.api_key.c.id == key.id))
        self._record("remove", "API key", key, f"{key.id}, {self._rights_text(key.role, key.tenant_id)}")
        return True

    def _has_api_key(self, name: str) -> bool:
        query = select(schema.api_key.c.id).where(schema.api_key.c.name == name)
        return self._connection.execute(query).first() is not None


def _api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        hash=bytes(row.hash),
        role=Role(row.role),
        tenant_id=row.tenant_id,
        created_by=row.created_by,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
    )
