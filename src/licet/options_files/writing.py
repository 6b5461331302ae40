"""Adds what an options file says to a set-up file, and keeps all else of it as it stands.

The rules:

- Lists of names are added to; a number, and a rule for one name, takes the place of the one before; a group
  has the users that the options file gives it, and keeps its clients. Nothing is removed.
- Comments and the order of the file stay. Where its tables are scattered so that this cannot be done, the
  same content is written anew.
- What was left out stands above as a comment, in the place of what the same options file left out before.
"""

import copy
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from licet.formats import duration, printable
from licet.options_files.changes import Changes, PoolChanges
from licet.options_files.outcomes import Outcome

_COMMENT_CHARS_MAX: Final = 200
_BELOW: Final = "#   "

Assignment = tuple[tuple[str, ...], Any]  # a path below a tenant, and its value


def written(base: str, tenant: str, changes: Changes, left_out: Iterable[Outcome], source: str) -> str:
    """A set-up file that has this tenant, with these changes; `source` is the name of the options file."""
    before = tomllib.loads(base)
    assignments = list(_assignments(before["tenant"][tenant], changes))
    wanted = copy.deepcopy(before)
    for path, value in assignments:
        _assign(wanted["tenant"][tenant], path, value, new_table=dict)
    text = _edited(_without_comments(base, source), tenant, assignments)
    if text is None or tomllib.loads(text) != wanted:
        text = tomlkit.dumps(wanted)
    return _comments(left_out, source) + text


def _assignments(tenant: Mapping[str, Any], changes: Changes) -> Iterator[Assignment]:
    if changes.session_ttl_s is not None:
        yield ("session_ttl",), duration(changes.session_ttl_s)
    for group, users in changes.groups.items():
        yield ("group", group, "users"), sorted(users)
    for pool, ours in changes.pools.items():
        for key, value in _of_pool(tenant["pool"][pool], ours):
            yield ("pool", pool, key), value


def _of_pool(pool: Mapping[str, Any], ours: PoolChanges) -> Iterator[tuple[str, Any]]:
    for key, names in (("exclude", ours.exclude), ("include", ours.include)):
        if names:
            yield key, list(dict.fromkeys([*pool.get(key, ()), *names]))
    for key, rules, member in (
        ("reserve", ours.reserve, "seats"),
        ("max", ours.max, "seats"),
        ("priority", ours.priority, "level"),
    ):
        if rules:
            said = {rule["for"]: rule[member] for rule in pool.get(key, ())} | dict(rules)
            yield key, [{"for": who, member: number} for who, number in said.items()]
    if ours.max_per_user is not None:
        yield "max_per_user", ours.max_per_user
    if ours.hold_s is not None:
        yield "hold", duration(ours.hold_s)
    if ours.overdraft is not None:
        yield "overdraft", ours.overdraft


def _assign(table: Any, path: Sequence[str], value: Any, *, new_table: Any) -> None:
    *above, key = path
    for depth, name in enumerate(above):
        if name not in table:
            table[name] = (
                new_table() if new_table is dict else new_table(is_super_table=depth < len(above) - 1)
            )
        table = table[name]
    table[key] = value


def _edited(text: str, tenant: str, assignments: Iterable[Assignment]) -> str | None:
    """The file with these values, and its comments; None where that cannot be done."""
    try:
        document = tomlkit.parse(text)
        for path, value in assignments:
            _assign(document["tenant"][tenant], path, _item(value), new_table=tomlkit.table)
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, KeyError, TypeError, AttributeError):  # its tables are scattered
        return None


def _item(value: Any) -> Any:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return value
    rules = tomlkit.array()
    for rule in value:
        table = tomlkit.inline_table()
        table.update(rule)
        rules.append(table)
    rules.multiline(multiline=len(value) > 1)
    return rules


def _heading(source: str) -> str:
    return f"# Left out of {printable(source)[:_COMMENT_CHARS_MAX]}, as it has no counterpart:"


def _comments(left_out: Iterable[Outcome], source: str) -> str:
    lines = [
        f"{_BELOW}{text[:_COMMENT_CHARS_MAX]}"
        for it in left_out
        for text in (f"{it.line.where}: {it.line.text}", f"  {it.why}")
    ]
    return "\n".join([_heading(source), *lines, "", ""]) if lines else ""


def _without_comments(text: str, source: str) -> str:
    """The file without what was left out of this options file before."""
    if not text.startswith(f"{_heading(source)}\n"):
        return text
    lines = text.split("\n")[1:]
    first = next((at for at, line in enumerate(lines) if not line.startswith(_BELOW)), len(lines))
    return "\n".join(lines[first:]).removeprefix("\n")
