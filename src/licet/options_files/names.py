"""Finds the users and pools of a tenant that the names in an options file mean.

A name that is a user's initials, or a pool's name, means that; for any other, the administrator says what it
means. Nothing is guessed: a wrong guess would give a seat to somebody else.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from licet.model import Tenant, Value
from licet.nearest import nearest
from licet.options_files import reasons
from licet.options_files.words import shown
from licet.platforms.shells import quoted

_SHOWN_MAX: Final = 5  # names in one sentence
_HINTS_MAX: Final = 100  # what was probably meant: looking for that among many pools takes its time


class Names(Value, frozen=True, kw_only=True):
    """What the administrator says that names mean: initials of users, and pools of features."""

    users: Mapping[str, str] = {}
    pools: Mapping[str, str] = {}


class Unknown(Exception):
    """A name means nothing in this tenant; the text says what to do."""


class Known:
    """The users and pools of a tenant, by the names of an options file."""

    def __init__(self, tenant: Tenant, names: Names, *, any_case: bool) -> None:
        self.tenant = tenant
        self.pools = sorted(pool.name for pool in tenant.pools.values())
        self.used: set[str] = set()  # of the features that the administrator named
        self._any_case = any_case
        self._unknown = 0  # features so far
        self._users = _Lookup(names.users, tenant.users)
        self._pools = _Lookup(names.pools, self.pools)

    def user(self, name: str, *, any_case: bool = False) -> str:
        """The initials of a user.

        Raises Unknown.
        """
        initials = self._users.find(name, any_case=any_case or self._any_case)
        if initials is None and (near := self._users.find(name, any_case=True)) is not None:
            raise Unknown(
                f"{shown(name)} differs from user {near} by upper and lower case alone, which matters here;"
                f" if it is that user, say --user {quoted(f'{name}={near}')}"
            )
        if initials is None:
            raise Unknown(f"{shown(name)} is {self._no_users(plural=False)}")
        if initials not in self.tenant.users:
            raise Unknown(
                f"{shown(name)} is to be user {initials}, and tenant {self.tenant.name} has no such user;"
                " add that user first"
            )
        return initials

    def users(self, names: Iterable[str], *, any_case: bool) -> list[str]:
        """The initials of all these users.

        Raises Unknown, which names several of those that there are not.
        """
        found, unknown = [], []
        for name in names:
            try:
                found.append(self.user(name, any_case=any_case))
            except Unknown as fault:
                unknown.append((name, fault))
        # What --user says of a name already, or whom it is likely to mean, is told before names without any.
        told = next((fault for name, fault in unknown if self._users.find(name, any_case=True)), None)
        if told is not None or len(unknown) == 1:
            raise told or unknown[0][1]
        if unknown:
            text = ", ".join(shown(name) for name, _ in unknown[:_SHOWN_MAX])
            more = f" and {len(unknown) - _SHOWN_MAX} more" if len(unknown) > _SHOWN_MAX else ""
            raise Unknown(f"{text}{more} are {self._no_users(plural=True)}")
        return found

    def pools_of(self, feature: str | None) -> list[str]:
        """The pools of a feature; of None, all pools.

        Raises Unknown.
        """
        if feature is None:
            return self.pools
        pool = self._pools.find(feature, any_case=self._any_case)
        if pool is not None:
            self.used.add(feature.casefold())
            return [pool]
        if "=" in feature:
            raise Unknown(reasons.SOME_LICENCES.format(named=quoted(f"{feature}=POOL")))
        self._unknown += 1
        near = nearest(feature, self.pools) if self._unknown <= _HINTS_MAX else None
        hint = f" (did you mean {near}?)" if near else ""
        raise Unknown(
            f"there is no pool {shown(feature)} in tenant {self.tenant.name}{hint}; say which pool it is with"
            f" --pool {quoted(f'{feature}=POOL')}"
        )

    def _no_users(self, *, plural: bool) -> str:
        what = "no users" if plural else "no user"
        return f"{what} of tenant {self.tenant.name}; say who is meant with --user NAME=INITIALS"


class _Lookup:
    """Names by what was said of them, else by themselves."""

    def __init__(self, said: Mapping[str, str], own: Iterable[str]) -> None:
        self._exact = {name: name for name in own} | dict(said)
        self._folded: dict[str, set[str]] = {}
        for name, meaning in self._exact.items():
            self._folded[name.casefold()] = {meaning, *self._folded.get(name.casefold(), ())}

    def find(self, name: str, *, any_case: bool) -> str | None:
        if (found := self._exact.get(name)) is not None:
            return found
        meanings = self._folded.get(name.casefold(), set()) if any_case else set()
        return next(iter(meanings)) if len(meanings) == 1 else None
