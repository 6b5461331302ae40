"""What an administrator may set of a value, as facts: by the names and in the words of the set-up file.

A change is described by the facts that differ; no password, secret or hash is among them.
"""

import json
from datetime import datetime

from licet.formats import NEVER, duration, instant, moment_of
from licet.model import (
    ALERTS,
    SESSIONS_MAX,
    TIME_ZONE,
    Client,
    GrantType,
    Pool,
    PublicKey,
    Scope,
    Tenant,
    TokenFormat,
    User,
)

Fact = str | int | bool | datetime | list[str] | None
Facts = dict[str, Fact]


def facts(value: Tenant | Pool | Scope | User | Client) -> Facts:
    """What an administrator may set of a value, by the names that the set-up file gives it.

    None stands for what is not there: a pool that never expires, a client that may have every scope.
    A password or secret is never among it.
    """
    match value:
        case Tenant():
            return {
                "session_ttl": duration(value.session_ttl_s),
                "access_ttl": duration(value.access_ttl_s),
                "default_scope": value.scope_default,
                "no_seat_status": value.no_seat_status,
                "token_format": value.token_format.value,
                "strict_assertions": value.strict_assertions,
                "time_zone": value.time_zone,
            }
        case Pool():
            expires = None if value.expires_at_ms is None else moment_of(value.expires_at_ms)
            return {
                "seats": value.seats,
                "duplicates": value.duplicates.value,
                "expires": expires,
                "alerts": " ".join(value.alerts),
                "hold": duration(value.hold_s),
            }
        case Scope():
            return {"pool": value.pool, "read_only": value.read_only}
        case User():
            return {"name": value.name, "enabled": value.enabled}
        case Client():
            return {
                "user": value.user.initials,
                "enabled": value.enabled,
                "max_sessions": value.sessions_max,
                "scopes": None if value.scopes is None else sorted(value.scopes),
                "grant_types": sorted(grant_type.value for grant_type in value.grant_types),
                "introspects": value.introspects,
                "password_allowed": value.password_allowed,
                "keys": [_spelt_key(it) for it in sorted(value.keys, key=lambda it: it.kid or it.thumbprint)],
            }


def spelt(field: str) -> str:
    """What the set-up file calls a field of the model: a unit is no part of the name."""
    return {"sessions_max": "max_sessions", "scope_default": "default_scope"}.get(
        field, field.removesuffix("_s").removesuffix("_at_ms")
    )


# What a value is unless somebody says otherwise: not worth telling, and left out of a file where it is noise.
TENANT_DEFAULTS: Facts = {
    "token_format": TokenFormat.REFERENCE.value,
    "strict_assertions": False,
    "time_zone": TIME_ZONE,
}
POOL_DEFAULTS: Facts = {"alerts": " ".join(ALERTS), "hold": duration(0)}
USER_DEFAULTS: Facts = {"enabled": True}
CLIENT_DEFAULTS: Facts = {
    "enabled": True,
    "max_sessions": SESSIONS_MAX,
    "grant_types": sorted(grant_type.value for grant_type in GrantType),
    "introspects": False,
    "password_allowed": True,
    "keys": [],
}


def told(value: Tenant | Pool | Scope | User | Client) -> str:
    """A value in one line, without what is not there or as always."""
    defaults = TENANT_DEFAULTS | POOL_DEFAULTS | USER_DEFAULTS | CLIENT_DEFAULTS
    return ", ".join(
        f"{key} {_told(key, fact)}"
        for key, fact in facts(value).items()
        if fact is not None and (key not in defaults or fact != defaults[key])
    )


def differences(before: Facts, after: Facts) -> str:
    """What changed, in one line: `seats 5 -> 7`."""
    changed = (key for key in after if before.get(key) != after[key])
    return ", ".join(f"{key} {_told(key, before.get(key))} -> {_told(key, after[key])}" for key in changed)


def _spelt_key(key: PublicKey) -> str:
    """A public key as a JWK with its `kid`, or its thumbprint as that, and with `expires` where it does."""
    members = json.loads(key.jwk) | {"kid": key.kid or key.thumbprint}
    if key.algorithm is not None:
        members["alg"] = key.algorithm
    if key.expires_at_ms is not None:
        members["expires"] = instant(key.expires_at_ms)
    return json.dumps(members, sort_keys=True)


def _told_key(spelt: str) -> str:
    members: dict[str, str] = json.loads(spelt)
    return members["kid"] + (f" until {members['expires']}" if "expires" in members else "")


def _told(key: str, fact: Fact) -> str:
    match fact:
        case list() if key == "keys":
            return "+".join(map(_told_key, fact)) or "none"
        case None:
            return {"expires": NEVER, "scopes": "every"}.get(key, "none")
        case bool():
            return "yes" if fact else "no"
        case datetime():
            return instant(round(fact.timestamp() * 1000))
        case list():
            return "+".join(fact) or "none"
        case _:
            return str(fact) or "none"
