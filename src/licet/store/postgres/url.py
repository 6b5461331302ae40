"""Reads the URL of a PostgreSQL store: where the database is, and how the connection to it is secured.

The rules:

- A connection to another machine is encrypted, the server's certificate is verified, and the server gets no
  password that it could use elsewhere: `sslmode=verify-full` and `require_auth=scram-sha-256`, unless the
  URL, or the environment variables of libpq, say otherwise. Whoever writes to the database owns the licence.
- Local is a Unix socket, `localhost` and the loopback addresses, by their name alone: name resolution is not
  trusted.
- No text made here contains a password.
"""

import os
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from licet.store.errors import StoreUnavailable

SSLMODE = "verify-full"
REQUIRE_AUTH = "scram-sha-256"
# libpq takes several, of which any is enough. `none` is safe beside a client certificate alone.
_SAFE_METHODS = frozenset({"scram-sha-256", "gss", "sspi"})
# Where libpq looks by default.
_TRUSTED_BY_USER = Path("~/.postgresql/root.crt")
_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "require_auth": "PGREQUIREAUTH",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
}


class Weakness(NamedTuple):
    """What is not secure about a connection, and what to do; no password is in either."""

    problem: str
    advice: str


def parameters_of(url: str) -> dict[str, Any]:
    """The driver's parameters: those of the URL, and secure defaults for the others.

    Raises StoreUnavailable when the driver does not take the URL.
    """
    given = _read(url)
    if is_local(given):
        return given
    return {**_secure_defaults({**_from_environment(), **given}), **given}


def place_of(parameters: Mapping[str, Any]) -> str:
    """Where a database is, as text that may be shown."""
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "localhost").split(",")
    ports = str(parameters.get("port") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    where = ", ".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    name = parameters.get("dbname")
    return f"PostgreSQL at {where}" + (f", database {name}" if name else "")


def place_of_url(url: str) -> str:
    """The same, of a URL.

    Raises StoreUnavailable when the driver does not take it.
    """
    return place_of(_read(url))


def weaknesses_of_url(url: str) -> list[Weakness]:
    """What somebody between this machine and the database could do; empty when the connection is secure.

    Raises StoreUnavailable when the driver does not take the URL.
    """
    given = _read(url)
    if is_local(given):
        return []
    effective = {**_from_environment(), **parameters_of(url)}
    found = []
    if (mode := effective.get("sslmode")) != SSLMODE:
        found.append(
            Weakness(
                f"sslmode is {mode}: whoever is between this machine and the database may take its place",
                f"use sslmode={SSLMODE}, and sslrootcert=FILE where its authority is not one of the system's",
            )
        )
    methods = {word.strip() for word in str(effective.get("require_auth", "")).split(",")}
    if not methods <= (_SAFE_METHODS | {"none"} if effective.get("sslcert") else _SAFE_METHODS):
        found.append(
            Weakness(
                "require_auth lets the server ask for the password in clear, or for none",
                f"use require_auth={REQUIRE_AUTH}",
            )
        )
    return found


def is_local(parameters: Mapping[str, Any]) -> bool:
    """Whether a connection with these parameters does not leave this machine."""
    if parameters.get("service") or os.environ.get("PGSERVICE"):
        return False  # The host is in a file that only libpq reads.
    hosts = str(parameters.get("host") or os.environ.get("PGHOST") or "")
    addresses = str(parameters.get("hostaddr") or os.environ.get("PGHOSTADDR") or "")
    return all(_is_local(host.strip()) for host in [*hosts.split(","), *addresses.split(",")])


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":  # libpq's default, or a socket
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _secure_defaults(said: Mapping[str, Any]) -> dict[str, Any]:
    """The secure value of each parameter that neither the URL nor the environment gives."""
    secure = {"sslmode": SSLMODE, "require_auth": REQUIRE_AUTH}
    verifies = str(said.get("sslmode", SSLMODE)).startswith("verify-")
    if verifies and not _TRUSTED_BY_USER.expanduser().exists():
        # The driver's wheel looks for the system's authorities where no system has them. Never without a
        # `verify-`: libpq takes `require` for `verify-ca` where there is such a file.
        secure["sslrootcert"] = ssl.get_default_verify_paths().cafile or "system"
    return {key: value for key, value in secure.items() if key not in said}


def _from_environment() -> dict[str, str]:
    return {key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)}


def _read(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.Error:  # Its text may contain part of the password.
        raise StoreUnavailable("the URL of the store is not one of PostgreSQL") from None
