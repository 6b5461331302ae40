"""Defines the options of a pool: who may have its seats, how many, and who is first (L15 to L17, L19).

    options = PoolOptions(exclude=("user:TC",), max=(Share(who="group:sales", seats=2),), ...)
    options.of(initials="AB", client_id="App") -> Applied(...)

The rules:

- A rule is for `user:TC`, `client:App` or `group:sales`; a group has users and clients.
- What is counted has a name, which each seat keeps that was counted so: `max=group:sales`,
  `reserve=user:TC`, `each=client:App`, or `common` for a seat that is none of a reserve. So an ending takes
  back exactly what was counted, whatever the options are by then.
- What applies to a client is looked up once in the life of a snapshot: a grant costs the same with a hundred
  rules as with one.

What is here is data: `licet.ledger.seat_decision` decides by it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from licet.refusal import Code, Subject, of_field
from licet.value import InvalidValue, Value, must_match, out_of_range

COMMON: Final = "common"
QUEUE_MAX: Final = 1000  # a guess: more could not be served in the time that anybody waits
QUEUE_HOLD_S: Final = 30
QUEUE_HOLD_S_MIN: Final = 5
QUEUE_HOLD_S_MAX: Final = 300
RULES_MAX: Final = 100  # of one pool
LEVEL_MAX: Final = 9  # of a priority; the least is its negative
POOLS_MAX: Final = 4  # of one scope (L20)
SEATS_MAX: Final = 1_000_000
TEXTS_MAX: Final = 10_000  # of what seats are counted as, whose names are remembered; some 3 MB
SEPARATOR: Final = "\n"  # between the names of what a seat is counted as: no name contains it

_WHO = re.compile(r"(?:user|client|group):[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_RULES: Final = ("exclude", "include", "named", "reserve", "max", "priority")


class Share(Value, frozen=True, kw_only=True):
    """So many seats, for `user:TC`, `client:App` or `group:sales`."""

    who: str
    seats: int


class Priority(Value, frozen=True, kw_only=True):
    """Who is how early in the queue: -9 to 9, and 0 without one."""

    who: str
    level: int


class Group(Value, frozen=True, kw_only=True):
    """Users, by initials, and clients that rules can name together."""

    name: str
    users: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        must_match(
            _GROUP,
            self.name,
            "name",
            "a group's name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit",
        )


class HasOptions(Protocol):
    """The options of a pool, as its administrator set them."""

    @property
    def name(self) -> str:
        """The pool's name."""

    @property
    def exclude(self) -> tuple[str, ...]:
        """Who gets no seat."""

    @property
    def include(self) -> tuple[str, ...]:
        """Who alone gets a seat; empty is everybody."""

    @property
    def named(self) -> tuple[str, ...]:
        """Initials of the users who alone get a seat; empty is everybody."""

    @property
    def reserve(self) -> tuple[Share, ...]:
        """How many seats are for whom alone."""

    @property
    def max(self) -> tuple[Share, ...]:
        """How many seats somebody has at most."""

    @property
    def priority(self) -> tuple[Priority, ...]:
        """Who is how early in the queue."""

    @property
    def max_per_user(self) -> int | None:
        """How many seats each user has at most."""

    @property
    def max_per_client(self) -> int | None:
        """How many seats each client has at most."""

    @property
    def queue(self) -> int:
        """How many may wait."""

    @property
    def queue_hold_s(self) -> int:
        """For how long a place is kept."""


class Limited(NamedTuple):
    """What is counted, and how many seats may be at most."""

    what: str
    at_most: int


class Applied(NamedTuple):
    """What the options of a pool say about one client and its user.

    `excluded` and `not_included` name the rule that keeps it out, or are empty. `limits` are the counts that
    a new seat must fit into, all of them; `reserves` are those of which it takes the first that has room;
    `counted` is all that a seat of this client may be counted as, and `texts` what a seat keeps of that, by
    the reserve that it is of, or else `common` or nothing. `usual` is that text where everything has room,
    and `usual_names` are its names.
    """

    excluded: str
    not_included: str
    limits: tuple[Limited, ...]
    reserves: tuple[Limited, ...]
    level: int
    counted: tuple[str, ...] = ()
    usual: str = ""
    usual_names: tuple[str, ...] = ()
    texts: Mapping[str, str] = MappingProxyType({})


class _Applied(dict[tuple[str, str], Applied]):
    """What applies to a client and its user, found when it is looked up for the first time."""

    def __init__(self, find: Callable[[str, str], Applied]) -> None:
        super().__init__()
        self._find = find
        self._found: dict[tuple[object, ...], Applied] = {}

    def __missing__(self, who: tuple[str, str]) -> Applied:
        found = self._find(*who)
        # Most have what many others have: one value of it is kept.
        applied = self[who] = self._found.setdefault(found[:-1], found)
        return applied


class PoolOptions:
    """The options of one pool in a snapshot of its tenant, ready to be looked up by client.

    `reserved` is the sum of its reserves; `queue` how many may wait, and `queue_hold_ms` for how long a place
    is kept for somebody who does not ask again. `users_of` has the user for whom each client stands.
    """

    def __init__(
        self,
        *,
        groups: Mapping[str, Group],
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        named: Iterable[str] = (),
        reserve: Iterable[Share] = (),
        max: Iterable[Share] = (),  # noqa: A002 - the word of the option
        priority: Iterable[Priority] = (),
        max_per_user: int | None = None,
        max_per_client: int | None = None,
        queue: int = 0,
        queue_hold_s: int = QUEUE_HOLD_S,
        users_of: Mapping[str, str] | None = None,
    ) -> None:
        self.queue = queue
        self.queue_hold_ms = queue_hold_s * 1000
        self._exclude = frozenset(exclude)
        self._include = frozenset(include)
        self._named = frozenset(f"user:{initials}" for initials in named)
        self._reserve = {share.who: share.seats for share in reserve}
        self._max = {share.who: share.seats for share in max}
        self._priority = {rule.who: rule.level for rule in priority}
        self._max_per_user = max_per_user
        self._max_per_client = max_per_client
        self.reserved = sum(self._reserve.values())
        self.limits_one = bool(max_per_user or max_per_client) or any(
            not who.startswith("group:") for who in self._max
        )
        """Whether a user or a client has a limit of its own, and not as a member of a group."""
        self._groups, self._users_of = groups, users_of or {}
        self._clients_of: dict[str, list[str]] | None = None  # of each user, when somebody wants to know
        self._groups_of: defaultdict[str, list[str]] = defaultdict(list)
        for group in sorted(groups.values(), key=lambda group: group.name):
            for member in [f"user:{it}" for it in group.users] + [f"client:{it}" for it in group.clients]:
                self._groups_of[member].append(f"group:{group.name}")
        self.applied: Mapping[tuple[str, str], Applied] = _Applied(self._find)
        """As `of`, for who asks in each grant: a look-up without a call."""
        self.limits: dict[str, int] = {}
        """How many seats may be counted as what, by the rules for those who were looked up."""
        self._who_counts: dict[str, dict[str, str]] = {}  # of the limits that somebody came to

    @property
    def counts(self) -> bool:
        """Whether seats are counted by more than their pool."""
        return bool(self._max or self._reserve or self._max_per_user or self._max_per_client)

    def of(self, initials: str, client_id: str) -> Applied:
        """What applies to a client and its user."""
        return self.applied[initials, client_id]

    def who_counts(self, what: str) -> dict[str, str]:
        """The clients of which a limit counts the seats, as the set-up is now, and their users.

        None where it is a group's: they would be looked up for each batch in which somebody is denied.
        """
        clients = self._who_counts.get(what)
        if clients is None:
            clients = self._find_who_counts(what)
            if what.startswith("max="):  # of which there are few
                self._who_counts[what] = clients
        return clients

    def _find_who_counts(self, what: str) -> dict[str, str]:
        kind, _, name = what.partition("=")[2].partition(":")
        users_of = self._users_of
        if self._clients_of is None:
            self._clients_of = {}
            for client_id, initials in users_of.items():
                self._clients_of.setdefault(initials, []).append(client_id)
        clients = [name] if kind == "client" else []
        if kind == "user":
            clients = self._clients_of.get(name, [])
        return {client_id: users_of[client_id] for client_id in clients if client_id in users_of}

    def reserves_within(self, room: int) -> dict[str, int] | None:
        """What each reserve is in a pool of so many seats, served in order; None where all fit (L17)."""
        if self.reserved <= room:
            return None
        found: dict[str, int] = {}
        for who, seats in self._reserve.items():
            found[f"reserve={who}"] = min(seats, room)
            room -= found[f"reserve={who}"]
        return found

    def _find(self, initials: str, client_id: str) -> Applied:
        user, client = f"user:{initials}", f"client:{client_id}"
        groups = dict.fromkeys([*self._groups_of.get(client, ()), *self._groups_of.get(user, ())])
        everyone = [client, user, *groups]  # the closest first
        excluded = next((who for who in everyone if who in self._exclude), "")
        is_reserved_for = any(who in self._reserve for who in everyone)  # RESERVE counts as included
        not_included = ""
        if self._named and user not in self._named and not is_reserved_for:
            not_included = "named"
        if self._include and not is_reserved_for and not any(who in self._include for who in everyone):
            not_included = "include"
        limits = [Limited(intern(f"max={who}"), self._max[who]) for who in everyone if who in self._max]
        # A limit of its own takes the place of the one that each has (L16).
        if self._max_per_client is not None and client not in self._max:
            limits.append(Limited(intern(f"each={client}"), self._max_per_client))
        if self._max_per_user is not None and user not in self._max:
            limits.append(Limited(intern(f"each={user}"), self._max_per_user))
        reserves = [
            Limited(intern(f"reserve={who}"), self._reserve[who]) for who in everyone if who in self._reserve
        ]
        limited, sources = [it.what for it in limits], [it.what for it in reserves]
        sources.append(COMMON if self.reserved else "")
        self.limits.update([*limits, *reserves])
        usual = counted_as(filter(None, [*limited, sources[0]]))
        return Applied(
            excluded=f"exclude {excluded}" if excluded else "",
            not_included=not_included,
            limits=tuple(limits),
            reserves=tuple(reserves),
            level=max((self._priority[who] for who in everyone if who in self._priority), default=0),
            counted=tuple(filter(None, [*limited, *sources])),
            usual=usual,
            usual_names=names_counted(usual),
            texts={it: counted_as(filter(None, [*limited, it])) for it in sources},
        )


def is_limit(what: str) -> bool:
    """Whether it is the seats of a limit that are counted as this, and not those of a reserve."""
    return what.startswith(("max=", "each="))


@lru_cache(maxsize=TEXTS_MAX)
def rule_of(what: str) -> str:
    """The option by which a limit is counted, as administrators know it: `max group:sales`."""
    kind, _, who = what.partition("=")
    if kind == "each":
        return "max_per_user" if who.startswith("user:") else "max_per_client"
    return f"{kind} {who}" if who else kind


def counted_as(names: Iterable[str]) -> str:
    """What a seat is counted as, in one text."""
    return SEPARATOR.join(names)


@lru_cache(maxsize=TEXTS_MAX)
def names_counted(counted: str) -> tuple[str, ...]:
    """The names in such a text; the same ones as in `Applied`, which are found faster than equal ones."""
    return tuple(map(intern, counted.split(SEPARATOR))) if counted else ()


def check_who(who: str) -> str:
    """Return whom a rule is for: `user:TC`, `client:App` or `group:sales`.

    Raises InvalidValue.
    """
    if not _WHO.fullmatch(who):
        text = f"a rule is for user:INITIALS, client:CLIENT_ID or group:NAME; this is not: {who[:60]!r}"
        raise InvalidValue(text, code=Code.MALFORMED)
    return who


def check_options(pool: HasOptions) -> None:
    """Return if the options of a pool are such as may be: how they go together, the set-up checks.

    Raises InvalidValue.
    """
    about = Subject("pool", pool.name)

    def must_be(field: str, number: int | None, least: int, most: int) -> None:
        if number is not None and not least <= number <= most:
            text = f"pool {pool.name}: {field} is {least:,} to {most:,}, not {number:,}"
            raise out_of_range(text, field, number, least, most, about)

    must_be("queue", pool.queue, 0, QUEUE_MAX)
    must_be("queue_hold", pool.queue_hold_s, QUEUE_HOLD_S_MIN, QUEUE_HOLD_S_MAX)
    must_be("max_per_user", pool.max_per_user, 1, SEATS_MAX)
    must_be("max_per_client", pool.max_per_client, 1, SEATS_MAX)
    for field, shares in (("reserve", pool.reserve), ("max", pool.max)):
        for share in shares:
            must_be(field, share.seats, 1, SEATS_MAX)
    for rule in pool.priority:
        must_be("priority", rule.level, -LEVEL_MAX, LEVEL_MAX)
    count = 0
    for field in _RULES:
        found = rules_of(pool, field)
        count += len(found)
        if (twice := rule_twice(found)) is not None:
            text = f"pool {pool.name}: {field} has a rule for {twice} twice"
            raise InvalidValue(text, code=Code.ALREADY_THERE, field=field)
        with of_field(field):
            for who in found:
                check_who(who)
    if count > RULES_MAX:
        text = f"pool {pool.name}: it may have {RULES_MAX} rules, and these are {count}: make groups of them"
        field = max(_RULES, key=lambda field: len(rules_of(pool, field)))
        raise InvalidValue(text, code=Code.TOO_MANY, field=field, subject=about, limit=RULES_MAX)


def rule_twice(found: Sequence[str]) -> str | None:
    """For whom there is more than one rule, if that is so: the first of them."""
    if len(set(found)) == len(found):
        return None
    return next(who for who in found if found.count(who) > 1)


def rules_of(pool: HasOptions, field: str) -> list[str]:
    """Whom the rules of one option are for."""
    if field == "named":
        return [f"user:{initials}" for initials in pool.named]
    return [rule if isinstance(rule, str) else rule.who for rule in getattr(pool, field)]


def all_rules_of(pool: HasOptions) -> list[tuple[str, str]]:
    """All rules: the option, and whom each is for."""
    return [(field, who) for field in _RULES for who in rules_of(pool, field)]
