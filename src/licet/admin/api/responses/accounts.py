"""Defines the answers about administrators, API keys and the caller; no password or hash is in any."""

from typing import Annotated

from licet.accounts.administrators import Admin as StoredAdmin
from licet.accounts.api_keys import ApiKey as StoredApiKey
from licet.admin.api.wire import Instant, Shape, Tenants, about, example, like, tenant_name
from licet.model import Role

_JIM, _AT = "Jim_Test", "2027-01-01T00:00:00Z"


class Administrator(Shape, frozen=True, kw_only=True):
    """Somebody who may sign in to the dashboard."""

    name: Annotated[str, example("ada")]
    role: Annotated[Role, example("operator")]
    tenant: Annotated[str | None, about("Its only tenant; null is all.", _JIM)]
    enabled: Annotated[bool, example(True)]
    created_at: Annotated[Instant, example(_AT)]


class ApiKey(Shape, frozen=True, kw_only=True):
    """What a program signs in with, without what it is."""

    name: Annotated[str, example("deploy")]
    key_id: Annotated[str, about("The part that is not secret.", "93d25f0c11aa")]
    role: Annotated[Role, example("viewer")]
    tenant: Annotated[str | None, about("Its only tenant; null is all.", None)]
    created_by: Annotated[str, example("ada")]
    created_at: Annotated[Instant, example(_AT)]
    expires_at: Annotated[Instant | None, example(_AT)]
    last_used_at: Annotated[Instant | None, example(None)]


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    """An API key in the one answer that has it."""

    key: Annotated[str, about("Keep it: it is shown once.", "lck_93d25f0c11aa...")]


class Me(Shape, frozen=True, kw_only=True):
    """Who asks."""

    actor: Annotated[str, about("Its name in events.", "key deploy")]
    role: Annotated[Role, example("viewer")]
    tenant: Annotated[str | None, about("Its only tenant; null is all.", None)]


def administrator(value: StoredAdmin, tenants: Tenants) -> Administrator:
    """An administrator, shown."""
    return like(Administrator, value, tenant=tenant_name(value.tenant_id, tenants))


def api_key(value: StoredApiKey, tenants: Tenants) -> ApiKey:
    """An API key, shown."""
    return like(ApiKey, value, key_id=value.id, tenant=tenant_name(value.tenant_id, tenants))


def new_api_key(value: ApiKey, key: str) -> NewApiKey:
    """An API key, shown once."""
    return like(NewApiKey, value, key=key)
