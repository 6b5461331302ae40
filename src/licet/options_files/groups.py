"""Reads the groups of an options file. A group is kept whole or not at all, with every rule for it."""

import re
from collections.abc import Sequence
from typing import Final

from licet.options_files.names import Known, Unknown
from licet.options_files.outcomes import Fates
from licet.options_files.statements import AnyCase, Members, Reading
from licet.options_files.words import shown

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Groups:
    """The groups of a file: their users, by initials, in the order of the lines."""

    def __init__(self, reading: Reading, known: Known, fates: Fates) -> None:
        self._known = known
        self._fates = fates
        self._any_case = reading.any_case
        self._members: dict[str, tuple[str, dict[str, None]]] = {}
        self._broken: dict[str, int] = {}  # by group: the line that cannot be kept
        self._read([it.statement for it in reading.said])

    def name_of(self, group: str) -> str | None:
        """The name of a group, as the set-up has it or the file first writes it; None if no line has it."""
        found = self._members.get(self._key(group))
        return None if found is None else found[0]

    def broken(self, group: str) -> int | None:
        """The line for which a group cannot be kept, if there is one."""
        return self._broken.get(self._key(group))

    def any_broken(self) -> int | None:
        """The same of all groups."""
        return next(iter(self._broken.values()), None)

    def kept(self) -> dict[str, tuple[str, ...]]:
        """The users of each group that can be kept."""
        return {name: tuple(users) for key, (name, users) in self._members.items() if key not in self._broken}

    def others(self, groups: Sequence[str]) -> list[str]:
        """The names of all groups but these."""
        keys = {self._key(group) for group in groups}
        return [name for key, (name, _) in self._members.items() if key not in keys]

    def _key(self, group: str) -> str:
        return group.casefold() if self._any_case else group

    def _spelt(self, group: str) -> str:
        """A group as the set-up spells it, where names are the same in upper and lower case."""
        there = self._known.tenant.groups
        if not self._any_case or group in there:
            return group
        twins = [name for name in there if name.casefold() == group.casefold()]
        return twins[0] if len(twins) == 1 else group

    def _read(self, statements: Sequence[object]) -> None:
        any_case = AnyCase(is_on=True) in statements
        lines: dict[str, list[int]] = {}
        for line, statement in enumerate(statements):
            if not isinstance(statement, Members):
                continue
            key = self._key(statement.group)
            lines.setdefault(key, []).append(line)
            _, members = self._members.setdefault(key, (self._spelt(statement.group), {}))
            try:
                _must_be_a_name(statement.group)
                users = self._known.users(statement.users, any_case=any_case)
                members.update(dict.fromkeys(users))
                self._fates.kept(line, f"group {statement.group}: {', '.join(users)}")
            except Unknown as fault:
                self._fates.left_out(line, str(fault))
                self._broken.setdefault(key, line)
        for key, broken in self._broken.items():
            for line in lines[key]:
                self._fates.left_out(line, f"{self._fates.where(broken)}, of the same group, cannot be kept")


def _must_be_a_name(group: str) -> None:
    if not _NAME.fullmatch(group):
        allowed = "a group's name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit"
        raise Unknown(f"{allowed}; this is not: {shown(group)}")
