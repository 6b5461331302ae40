"""Reads and writes the set-up as a TOML file, so that it can live in version control.

    [tenant.Jim_Test]
    session_ttl = "20m"

    [tenant.Jim_Test.pool.full]
    seats = 5

    [tenant.Jim_Test.user.TC]
    name = "Test Client"

    [tenant.Jim_Test.client.TestClientId]
    user = "TC"

The rules:

- The file describes each tenant that it names completely: an absent key has its default.
- The scopes `view` and `all` need no table: `view` is built in, and `all` draws on the pool `full`.
- A scope has `pools` in order, or `pool`, which is short for one.
- No password or secret is ever written, and none is read. A public key is no secret.
- All mistakes are reported together, each with its key and what is allowed.

It uses no store: `licet.setup.plan` compares the file with the store.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, TypeVar

import tomlkit
from msgspec.structs import replace
from tomlkit.items import Array, Table

from licet.credentials.public_keys import read_jwk
from licet.model import (
    SCOPE_DEFAULT,
    Client,
    InvalidValue,
    Pool,
    PublicKey,
    Scope,
    Tenant,
    User,
    Value,
)
from licet.nearest import nearest
from licet.options import Group, all_rules_of, rule_twice
from licet.refusal import Code
from licet.setup.file_lines import Lines
from licet.setup.kinds import End, Fact, Keys
from licet.setup.noun import Noun, Setting, Settings, defaults_of
from licet.setup.nouns import CLIENT, GROUP, POOL, SCOPE, TENANT, USER, noun_of, said
from licet.setup.options.contradictions import disagreements
from licet.setup.options.kinds import Levels, Shares

POOL_OF_ALL = "full"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = (
    "A set-up of Licet, without passwords and secrets. A store is made to match it.",
    "A key that is not here has its default.",
)
_KEY_ENDS = Setting(field="expires_at_ms", kind=End(), help="When a public key expires.")
_ANY_NAME = "NAME"
_MISTAKES_MAX = 50  # reported at once
_NAMES_MAX = 10  # of existing names, in a mistake

Made = TypeVar("Made")


class Mistake(Value, frozen=True, kw_only=True):
    """A mistake under a key of the file; `path` is () for the whole file."""

    path: tuple[str, ...] = ()
    code: Code
    text: str

    def __str__(self) -> str:
        """`tenant.Jim_Test.pool.full.seats: a whole number is allowed, not 'many'`."""
        return f"{_dotted(self.path)}: {self.text}" if self.path else self.text


class DeclarationInvalid(Exception):
    """The file is not a valid set-up; the text names every mistake and is ready to print."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        self.summary = f"{source} has {_counted(mistakes)}"
        lines = list(map(str, mistakes[:_MISTAKES_MAX]))
        if len(mistakes) > len(lines):
            lines.append(f"and {len(mistakes) - len(lines)} more")
        super().__init__("\n".join([f"{self.summary}:", *(f"  {mistake}" for mistake in lines)]))


def _counted(mistakes: Sequence[Mistake]) -> str:
    return "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"


def write(tenants: Iterable[Tenant]) -> str:
    """These tenants as a set-up file."""
    document = tomlkit.document()
    for line in _HEAD:
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    every = tomlkit.table(is_super_table=True)
    for tenant in sorted(tenants, key=lambda one: one.name):
        every.add(tenant.name, _tenant_table(tenant))
    document.add("tenant", every)
    text = tomlkit.dumps(document).rstrip() + "\n"
    # What cannot be seen stands in a quoted name, where TOML has an escape for it.
    return "".join(char if char.isprintable() or char == "\n" else f"\\U{ord(char):08x}" for char in text)


def _tenant_table(tenant: Tenant) -> Table:
    table = _table(tenant)
    parts: dict[str, dict[str, Table]] = {
        "pool": {pool.name: _table(pool) for pool in tenant.pools.values()},
        "scope": {name: _table(scope) for name, scope in tenant.scopes.items()},
        "user": {name: _table(user) for name, user in tenant.users.items()},
        "client": {name: _table(client) for name, client in tenant.clients.items()},
        "group": {name: _table(group) for name, group in tenant.groups.items()},
    }
    for what, tables in parts.items():
        if tables:
            group = tomlkit.table(is_super_table=True)
            for name in sorted(tables):
                group.add(tomlkit.key(name), tables[name])
            table.add(what, group)
    return table


def _table(value: Value) -> Table:
    table, facts = tomlkit.table(), said(value)
    if facts.get("pools") is not None:
        del facts["pool"]  # the short form
    for setting in noun_of(value).settings:
        if setting.name in facts:
            table.add(setting.name, _in_file(setting, facts[setting.name]))
    table.add(tomlkit.nl())
    return table


def _in_file(setting: Setting, fact: Fact) -> Any:
    match setting.kind:
        case Keys() if isinstance(fact, list):
            return _key_list(fact)
        case Shares() | Levels() if isinstance(fact, list):
            return _tables(map(setting.kind.table, fact))
        case _:
            return fact


def _tables(rows: Iterable[Mapping[str, Any]]) -> Array:
    """Short tables, one a line."""
    tables = tomlkit.array()
    tables.multiline(multiline=True)
    for row in rows:
        table = tomlkit.inline_table()
        table.update(row)
        tables.append(table)
    return tables


def _key_list(spelt: Iterable[str]) -> Array:
    """Public keys as JWKs, one a line."""
    keys = [json.loads(text) for text in spelt]
    for members in keys:
        if "expires" in members:
            members["expires"] = datetime.fromisoformat(members["expires"])
    return _tables(keys)


def read(text: str, source: str) -> list[Tenant]:
    """The tenants that a set-up file declares; their ids and keys have no meaning.

    Raises DeclarationInvalid; `source` is the file's name in its text.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise _no_toml(source, f"it is not TOML: {fault}") from None
    except RecursionError:
        raise _no_toml(source, "it is nested too deeply") from None
    mistakes: list[Mistake] = []
    root = _Keys(content, (), mistakes)
    lines = Lines(text)
    tenants = [_Reading(name, keys, lines).tenant() for name, keys in root.tables("tenant")]
    root.finish()
    if not content:
        mistakes.append(Mistake(code=Code.MISSING, text="it is empty; a tenant begins with [tenant.NAME]"))
    if mistakes:
        raise DeclarationInvalid(source, mistakes)
    return tenants


def _no_toml(source: str, text: str) -> DeclarationInvalid:
    return DeclarationInvalid(source, [Mistake(code=Code.MALFORMED, text=text)])


class _Keys:
    """A table of the file. Its methods return values of the right kind, or note a mistake."""

    def __init__(self, content: Mapping[str, Any], path: tuple[str, ...], mistakes: list[Mistake]) -> None:
        self._content = content
        self._path = path
        self.mistakes = mistakes
        self._known: list[str] = []

    def mistake(self, code: Code, text: str, *keys: str) -> None:
        """Note a mistake in this table, or under a key of it."""
        self.mistakes.append(Mistake(path=(*self._path, *keys), code=code, text=text))

    def refused(self, wrong: InvalidValue, *keys: str, where: str = "") -> None:
        """Note a refused value: under a key, or under that of its field where the table has it."""
        fields = () if keys else (wrong.field, wrong.beside)
        found = tuple(field for field in fields if field in self._content)[:1]
        self.mistake(wrong.code, f"{wrong}{where}", *keys, *found)

    def finish(self) -> None:
        """Note the keys that were not read: they are unknown."""
        for key in self._content:
            if key not in self._known:
                near = nearest(key, self._known)
                hint = f"did you mean {near}?" if near else f"allowed: {', '.join(self._known)}"
                self.mistake(Code.UNKNOWN_FIELD, f"there is no such key; {hint}", key)

    def tables(self, key: str) -> Iterator[tuple[str, "_Keys"]]:
        """The tables under a key, by name."""
        content = self._get(key, {}, (dict,), f"tables like [{_dotted((*self._path, key, 'NAME'))}]")
        for name, table in content.items():
            if isinstance(table, dict):
                yield name, _Keys(table, (*self._path, key, name), self.mistakes)
            else:
                self.mistake(Code.WRONG_TYPE, f"a table is allowed, not {table!r:.40}", key, name)

    def settings(self, noun: Noun, zone: tzinfo, **defaults: Any) -> Settings:
        """All settings of a noun; a required one that is missing is a mistake, and not among them.

        `defaults` are by field, where they differ from the model's.
        """
        usual = {**defaults_of(noun), **defaults}
        found = {it.field: self.setting(it, usual.get(it.field), zone) for it in noun.settings}
        for setting in noun.settings:
            if setting.field not in usual and found[setting.field] is None:
                del found[setting.field]
                if setting.name not in self._content:
                    needed = setting.help[:1].lower() + setting.help[1:].rstrip(".")
                    self.mistake(Code.MISSING, f"it is missing: {needed}", setting.name)
        return found

    def setting(self, setting: Setting, default: Any, zone: tzinfo) -> Any:
        """One setting; its default where it is absent or wrong."""
        key, kind = setting.name, setting.kind
        if isinstance(kind, Keys):
            return self._keys(key, zone)
        found = self._get(key, None, kind.types, kind.allowed)
        if found is None:
            return default
        try:
            return kind.of_fact(found, zone)
        except InvalidValue as fault:
            self.refused(fault, key)
            return default

    def _keys(self, key: str, zone: tzinfo) -> tuple[PublicKey, ...]:
        """Public keys, each a JWK, possibly with `expires`."""
        found = self._get(key, [], Keys.types, Keys.written)
        return tuple(
            made
            for number, jwk in enumerate(found, 1)
            if (made := self._key(jwk, zone, key, str(number))) is not None
        )

    def _key(self, jwk: Any, zone: tzinfo, *path: str) -> PublicKey | None:
        if not isinstance(jwk, dict):
            self.mistake(Code.WRONG_TYPE, "a JWK is allowed, no text", *path)
            return None
        ends = _Keys(jwk, (*self._path, *path), self.mistakes).setting(_KEY_ENDS, None, zone)
        try:
            return replace(read_jwk(jwk), expires_at_ms=ends)
        except InvalidValue as fault:
            self.refused(fault, *path)
            return None

    def _get(self, key: str, default: Any, types: tuple[type, ...], allowed: str) -> Any:
        self._known.append(key)
        if key not in self._content:
            return default
        found = self._content[key]
        is_flag = isinstance(found, bool)  # which is an int in Python
        if isinstance(found, types) and is_flag == (bool in types):
            return found
        self.mistake(Code.WRONG_TYPE, f"{allowed} is allowed, not {found!r:.40}", key)
        return default


class _Reading:
    """Reads one tenant of the file."""

    def __init__(self, name: str, keys: _Keys, lines: Lines) -> None:
        self._name = name
        self._keys = keys
        self._lines = lines
        # Every name that has a table: a mistake within it must not make references to it wrong.
        self._names: dict[str, set[str]] = {}
        self._zone: tzinfo = UTC

    def tenant(self) -> Tenant:
        keys = self._keys
        settings = keys.settings(TENANT, UTC, access_ttl_s=None)
        if settings["access_ttl_s"] is None:
            settings["access_ttl_s"] = settings["token_format"].access_ttl_s
        scope_default = settings.pop("scope_default") or SCOPE_DEFAULT
        itself = Tenant(id=0, name=_ANY_NAME, version=0, time_zone=settings.pop("time_zone"))
        self._zone = itself.zone
        pools: dict[str, Pool] = self._parts("pool", self._pool)
        scopes = self._scopes()
        users: dict[str, User] = self._parts("user", self._user)
        clients: dict[str, Client] = self._parts("client", partial(self._client, users))
        groups: dict[str, Group] = self._parts("group", self._group)
        for pool in pools.values():
            self._options(pool)
        self._refer("scope", scope_default, keys, "default_scope")
        keys.finish()
        # One by one, so that one mistake does not hide another; the two lives depend on each other.
        lives = {field: settings.pop(field) for field in ("session_ttl_s", "access_ttl_s")}
        for changes in ({"name": self._name}, lives, *({name: value} for name, value in settings.items())):
            itself = _made(keys, partial(replace, itself, **changes)) or itself
        return replace(
            itself,
            scope_default=scope_default,
            pools=dict(enumerate(pools.values())),
            scopes=scopes,
            users=users,
            clients=clients,
            groups=groups,
        )

    def _parts(self, what: str, read_one: Any) -> dict[str, Any]:
        tables = dict(self._keys.tables(what))
        self._names[what] = set(tables)
        values = {name: read_one(name, table) for name, table in tables.items()}
        for table in tables.values():
            table.finish()
        return {name: value for name, value in values.items() if value is not None}

    def _scopes(self) -> dict[str, Scope]:
        scopes: dict[str, Scope] = self._parts("scope", self._scope)
        if Scope.VIEW not in self._names["scope"]:
            scopes[Scope.VIEW] = Scope(name=Scope.VIEW, licensed=False, read_only=True, pool=None)
        if Scope.ALL not in self._names["scope"]:
            if POOL_OF_ALL in self._names["pool"]:
                scopes[Scope.ALL] = Scope(name=Scope.ALL, licensed=True, read_only=False, pool=POOL_OF_ALL)
            else:
                self._keys.mistake(
                    Code.MISSING,
                    f"it has no pool {POOL_OF_ALL}, so that the scope all needs a table that names its pool",
                    "scope",
                    Scope.ALL,
                )
        self._names["scope"] |= {Scope.VIEW, Scope.ALL}
        return scopes

    def _pool(self, name: str, table: _Keys) -> Pool | None:
        settings = table.settings(POOL, self._zone)
        try:
            return Pool(id=0, name=name, **settings)
        except InvalidValue as fault:
            is_twice = fault.code is Code.ALREADY_THERE
            table.refused(fault, where=self._lines_of_both(name, fault.field, settings) if is_twice else "")
            return None

    def _lines_of_both(self, pool: str, field: str, settings: Settings) -> str:
        """The lines of the two rules that are for one."""
        names = [rule if isinstance(rule, str) else rule.who for rule in settings[field]]
        numbers = self._lines.all_of(("tenant", self._name, "pool", pool, field), rule_twice(names) or "")
        if len(numbers) < 2:  # noqa: PLR2004 - both
            return ""
        one, other = numbers[:2]
        return f" (lines {one} and {other})" if one != other else f" (in line {one})"

    def _options(self, pool: Pool) -> None:
        """Note what the options of a pool name that is not there, and what they contradict."""
        table = _Keys({}, ("tenant", self._name, "pool", pool.name), self._keys.mistakes)
        for field, who in all_rules_of(pool):
            what, _, name = who.partition(":")
            self._refer(what, name, table, field, at=self._line(pool, field, who))
        for found in disagreements(pool, pool.seats):
            here = self._line(pool, found.field, found.who)
            there = self._line(pool, found.beside, found.beside_who)
            table.mistake(Code.NOT_TOGETHER, found.said(here=here, there=there), found.field)

    def _line(self, pool: Pool, field: str, who: str) -> str:
        word = who.removeprefix("user:") if field == "named" else who
        return self._at("pool", pool.name, field, word=word)

    def _at(self, *path: str, word: str) -> str:
        """The line of the list of a key that has this word."""
        number = self._lines.of(("tenant", self._name, *path), word)
        return "" if number is None else f" (line {number})"

    def _scope(self, name: str, table: _Keys) -> Scope | None:
        settings = table.settings(SCOPE, self._zone, pool=None, pools=(), read_only=name == Scope.VIEW)
        pool, pools, read_only = settings["pool"], settings["pools"], settings["read_only"]
        if pool is not None and pools:
            table.mistake(Code.NOT_TOGETHER, "pool is short for pools with one: the file has either", "pools")
        key, pools = ("pools", pools) if pools else ("pool", () if pool is None else (pool,))
        for one in pools:
            self._refer("pool", one, table, key)
        if name == Scope.VIEW and (pools or not read_only):
            table.mistake(Code.BUILT_IN, "view is built in: it is read-only and needs no seat")
        first, others = (pools[0], pools[1:]) if pools else (None, ())
        return _made(
            table,
            lambda: Scope(
                name=name, licensed=bool(pools), read_only=read_only, pool=first, other_pools=others
            ),
        )

    def _user(self, initials: str, table: _Keys) -> User | None:
        settings = table.settings(USER, self._zone, name=initials)
        return _made(table, lambda: User(initials=initials, password_hash=None, **settings))

    def _client(self, users: Mapping[str, User], client_id: str, table: _Keys) -> Client | None:
        settings = table.settings(CLIENT, self._zone)
        for name in sorted(settings["scopes"] or ()):
            self._refer("scope", name, table, "scopes")
        initials = settings.pop("user", None)
        if initials is None:
            return None
        self._refer("user", initials, table, "user")
        if (user := users.get(initials)) is None:
            return None
        return _made(table, lambda: Client(key=0, client_id=client_id, user=user, **settings))

    def _group(self, name: str, table: _Keys) -> Group | None:
        settings = table.settings(GROUP, self._zone)
        for what, key in (("user", "users"), ("client", "clients")):
            for member in sorted(settings[key]):
                self._refer(what, member, table, key, at=self._at("group", name, key, word=member))
        return _made(table, lambda: Group(name=name, **settings))

    def _refer(self, what: str, name: str, table: _Keys, key: str, at: str = "") -> None:
        names = self._names[what]
        if name not in names:
            there = f"the file has: {', '.join(sorted(names)[:_NAMES_MAX])}" if names else "the file has none"
            table.mistake(Code.NOT_FOUND, f"there is no {what} {name} in this tenant{at}; {there}", key)


def _made(table: _Keys, make: Callable[[], Made]) -> Made | None:
    """The value; None, and a mistake noted, when the model refuses it."""
    try:
        return make()
    except InvalidValue as fault:
        table.refused(fault)
        return None


def _dotted(path: Iterable[str]) -> str:
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key) for key in path)
