"""Makes the lines by which a client gets its first token with curl, C# and Python, at the real address.

The rules:

- The programs are files of `licet.admin.connect`, which the documentation shows word for word. Within their
  quotes the names of the examples are replaced by the real ones, each quoted as its language does it.
- No secret is in them: the program finds it in the environment, or signs with a key that Licet does not have.
- They ask for one scope, and say whether it takes a seat.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from licet.credentials.public_keys import ALGORITHMS, kind_of, name_of
from licet.model import Client, PublicKey, Tenant
from licet.setup.check import authenticates_by

KEY, SECRET, PASSWORD = "key", "secret", "password"  # as `authenticates_by` has them
_SIGNED_HERE: Final = "ES256"  # by all of the programs

_URL, _CLIENT_ID, _SCOPE, _KEY_ID = "http://127.0.0.1:8080/Jim_Test", "TestClientId", "all", "2026-11"


class Lines(NamedTuple):
    """A program for one language."""

    id: str
    language: str
    code: str


class ScopeOption(NamedTuple):
    """A scope that the client may ask for, and the pool whose seat it takes."""

    name: str
    pool: str | None
    is_read_only: bool
    is_chosen: bool


class Connect(NamedTuple):
    """What a client needs to connect; `by` is how the lines authenticate, '' where it cannot yet."""

    issuer: str
    client_id: str
    by: str
    others: tuple[str, ...]  # other ways that are set up
    scopes: tuple[ScopeOption, ...]
    lines: tuple[Lines, ...]  # of a key that is not for ES256 in Python only

    @property
    def scope(self) -> ScopeOption:
        """The chosen scope."""
        return next(it for it in self.scopes if it.is_chosen)


def connect(
    public_url: str, tenant: Tenant, client: Client, now_ms: int, *, by: str = "", scope: str = ""
) -> Connect:
    """What a client needs; `by` and `scope` are wishes, which count where they are possible."""
    ways = authenticates_by(client, now_ms)
    scopes = _scopes(tenant, client, scope)
    if not ways or not scopes:
        return Connect(f"{public_url}/{tenant.name}", client.client_id, "", (), scopes, ())
    way = by if by in ways else next(it for it in (SECRET, PASSWORD, KEY) if it in ways)
    key = next((it for it in client.keys if it.is_live(now_ms)), None) if way == KEY else None
    issuer = f"{public_url}/{tenant.name}"
    names = {
        _URL: issuer,
        _CLIENT_ID: client.client_id,
        _SCOPE: next(it.name for it in scopes if it.is_chosen),
        _KEY_ID: name_of(key) if key else "",
    }
    algorithm = _algorithm_of(key) if key else _SIGNED_HERE
    return Connect(
        issuer=issuer,
        client_id=client.client_id,
        by=way,
        others=tuple(it for it in ways if it != way),
        scopes=scopes,
        lines=tuple(_lines(names, kind=KEY if way == KEY else SECRET, algorithm=algorithm)),
    )


def _scopes(tenant: Tenant, client: Client, wish: str) -> tuple[ScopeOption, ...]:
    """The scopes that a client may ask for: the tenant's default, those with a seat, the others."""
    own = [it for name, it in tenant.scopes.items() if client.scopes is None or name in client.scopes]
    own.sort(key=lambda it: (it.name != tenant.scope_default, it.pool is None, it.name))
    chosen = next((it for it in own if it.name == wish), own[0] if own else None)
    return tuple(ScopeOption(it.name, it.pool, it.read_only, it is chosen) for it in own)


def _algorithm_of(key: PublicKey) -> str:
    """By what a library signs with it; of RSA the one that strict tenants accept too."""
    kind = kind_of(key).split()[-1]
    return "EdDSA" if kind in ALGORITHMS["OKP"] else kind


def _lines(names: Mapping[str, str], *, kind: str, algorithm: str) -> Iterator[Lines]:
    for id_, language, literal, quoted in _LANGUAGES:
        if algorithm == _SIGNED_HERE or id_ == "python":
            code = filled(program(f"{kind}_{id_}"), names, literal, quoted)
            yield Lines(id_, language, code.replace(f'"{_SIGNED_HERE}"', f'"{algorithm}"'))


@cache
def program(name: str) -> str:
    """A program as the documentation shows it."""
    return files("licet.admin").joinpath("connect", f"{name}.txt").read_text(encoding="utf-8")


def filled(
    code: str, names: Mapping[str, str], literal: re.Pattern[str], quoted: Callable[[str], str]
) -> str:
    """A program with these names in place of the examples, wherever those stand within quotes."""
    examples = "|".join(
        re.escape(f'"{it}"') + "|" + re.escape(it) for it in sorted(names, key=len, reverse=True)
    )
    whole = re.compile(rf"(?<![\w-])(?:{examples})(?![\w-])")

    def name(found: re.Match[str]) -> str:
        text = found[0]
        return json.dumps(names[text[1:-1]]) if text.startswith('"') else names[text]

    def replaced(found: re.Match[str]) -> str:
        made = whole.sub(name, found[1])
        return found[0] if made == found[1] else quoted(made)

    return literal.sub(replaced, code)


def _in_shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _in_python(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # Python would join no two halves of an escaped character


_IN_SINGLE_QUOTES, _IN_DOUBLE_QUOTES = re.compile(r"'([^'\n]*)'"), re.compile(r'"([^"\n]*)"')
_LANGUAGES: Sequence[tuple[str, str, re.Pattern[str], Callable[[str], str]]] = (
    ("curl", "curl", _IN_SINGLE_QUOTES, _in_shell),
    ("csharp", "C#", _IN_DOUBLE_QUOTES, json.dumps),
    ("python", "Python", _IN_DOUBLE_QUOTES, _in_python),
)
