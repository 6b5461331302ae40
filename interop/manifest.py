"""What stands beside a program: how it is built and run, and what is expected of it (README.md)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).parent / "clients"
RESOURCE_SERVERS = Path(__file__).parent / "resource_servers"
SCENARIOS = (
    "private_key_jwt",  # first: it is signed by the client's clock, and the others move the server's
    "token",
    "default_auth",
    "view",
    "refresh",
    "early",
    "expiry",
    "ended",
    "no_seat_400",
    "no_seat_429",
    "no_seat_503",
    "wrong_secret",
    "special_basic",
    "accent_basic",
    "colon_basic",
    "special_body",
    "logoff",
    "revoke",
    "introspect",
    "discovery",
)
PROTECTIONS = (
    "live",
    "none",
    "view",
    "other_tenant",
    "ended",
    "special_credentials",
    "identity",
    "store_down",
    "expired",  # last: it moves the clock
)
Command = tuple[str, ...]


class ManifestError(Exception):
    """A manifest cannot be used; the text says which and why."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A client or a resource server. `name` is its place, such as `go/oauth2`; `install` is for `apt-get`.

    `version` is that which was seen last; one that is not `pinned` is the system's and may be another.
    `tenant` is whose tokens a resource server takes, and `credentials` whether it authenticates to Licet.
    """

    name: str
    folder: Path
    language: str
    library: str
    version: str = ""
    pinned: bool = True
    needs: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    build: tuple[Command, ...] = ()
    run: Command
    tenant: str = ""
    credentials: bool = True
    pitfalls: tuple[str, ...] = ()
    expect: dict[str, str]


def clients() -> list[Manifest]:
    """All clients, by language and library."""
    return _all(CLIENTS, SCENARIOS)


def resource_servers() -> list[Manifest]:
    """All resource servers, in the same order."""
    return _all(RESOURCE_SERVERS, PROTECTIONS)


def _all(folder: Path, scenarios: tuple[str, ...]) -> list[Manifest]:
    read = [_read(path, scenarios) for path in folder.glob("*/*.toml")]
    return sorted(read, key=lambda client: (client.language.lower(), client.library.lower()))


def _read(path: Path, scenarios: tuple[str, ...]) -> Manifest:
    """A manifest from its file.

    Raises ManifestError.
    """
    try:
        values = {
            name: _frozen(value) for name, value in tomllib.loads(path.read_text(encoding="utf-8")).items()
        }
        made = Manifest(name=f"{path.parent.name}/{path.stem}", folder=path.parent, **values)
    except (TypeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if set(made.expect) != set(scenarios):
        odd = ", ".join(sorted(set(made.expect) ^ set(scenarios)))
        raise ManifestError(f"{path}: [expect] is to name every scenario and no other; see to: {odd}")
    return made


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
