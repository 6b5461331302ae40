"""Bounds the connections of a listener, so that no source can use up the connections of others.

The rules:

- A source, which is an IPv4 address or an IPv6 /64, has at most `per_source_max` connections. A further one
  replaces that connection of the source which has kept the server waiting longest; if none keeps it waiting,
  the new one is turned away.
- If the listener is full, a new connection of a source replaces one that keeps the server waiting, of the
  source with the most connections, if that source has more.
- A connection whose request is being answered is never replaced.
- Trusted proxies do not count as sources: each serves many clients, and must bound them itself.
- Connections that are turned away get an answer, but only a bounded number at a time; the others are closed
  at once.
"""

from enum import Enum, auto
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, NamedTuple, Protocol

from licet.web.source import parsed, source_of

CONNECTIONS_MAX: Final = 800
"""Open connections that are served. Together with TURNED_AWAY_MAX and the store's files it stays below 1,024,
the usual soft limit on open files, and at worst (150 KiB held for each) below 128 MiB."""

TURNED_AWAY_MAX: Final = 100
"""Connections without room that get an answer at the same time; any more are closed without one."""

SHARE: Final = 10
"""A source has one connection of so many that the listener has."""

PER_SOURCE_LEAST: Final = 10
"""However small the listener is, a source has as many: a browser opens six, a client's pool about ten."""

WAITED_LEAST_S: Final = 1.0
"""A connection that waits so long is not about to send: a burst of new ones must not end each other."""

Network = IPv4Network | IPv6Network


def share_of(connections_max: int) -> int:
    """How many of a listener's connections one source has, where nothing else is set."""
    return max(PER_SOURCE_LEAST, connections_max // SHARE)


class Limits(NamedTuple):
    """The limits of a listener."""

    connections_max: int = CONNECTIONS_MAX
    per_source_max: int = CONNECTIONS_MAX // SHARE
    turned_away_max: int = TURNED_AWAY_MAX
    waited_least_s: float = WAITED_LEAST_S
    trusted: tuple[Network, ...] = ()


class Entry(Enum):
    """How a new connection is treated."""

    SERVED = auto()
    SOURCE_IS_FULL = auto()
    LISTENER_IS_FULL = auto()
    SHUT_OUT = auto()


class Connection(Protocol):
    """The part of a connection that is needed here."""

    def waiting_s(self) -> float | None:
        """For how long it has kept the server waiting for a request; None while one is being answered."""

    def give_way(self) -> None:
        """End this connection, for another one that needs its place."""


class Connections:
    """The connections of one listener."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._served: dict[Connection, str | None] = {}
        self._of_source: dict[str, dict[Connection, None]] = {}
        self._turned_away: set[Connection] = set()

    def enter(self, connection: Connection, address: str) -> Entry:
        """Serve a new connection if there is room, or if room can be made."""
        limits = self._limits
        source = None if _is_in(limits.trusted, address) else source_of(address)
        own = self._of_source.get(source, {}) if source is not None else {}
        if source is not None and len(own) >= limits.per_source_max:
            if not self._take_place_in(own, limits.waited_least_s):
                return self._turn_away(connection, Entry.SOURCE_IS_FULL)
        elif len(self._served) >= limits.connections_max and not self._make_room(len(own) + 1):
            return self._turn_away(connection, Entry.LISTENER_IS_FULL)
        self._served[connection] = source
        if source is not None:
            self._of_source.setdefault(source, {})[connection] = None
        return Entry.SERVED

    def leave(self, connection: Connection) -> None:
        """A connection has ended, whether it was served or not."""
        self._turned_away.discard(connection)
        source = self._served.pop(connection, None)
        if source is not None:
            own = self._of_source[source]
            del own[connection]
            if not own:
                del self._of_source[source]

    def _turn_away(self, connection: Connection, entry: Entry) -> Entry:
        if len(self._turned_away) >= self._limits.turned_away_max:
            return Entry.SHUT_OUT
        self._turned_away.add(connection)
        return entry

    def _make_room(self, more_than: int) -> bool:
        """Take the place of a waiting connection of the source that holds the most, if more than so many."""
        holders = sorted(self._of_source.values(), key=len, reverse=True)
        return any(self._take_place_in(held, 0.0) for held in holders if len(held) > more_than)

    def _take_place_in(self, held: dict[Connection, None], waited_least_s: float) -> bool:
        waited = [
            (waiting_s, held_one) for held_one in held if (waiting_s := held_one.waiting_s()) is not None
        ]
        longest_s, connection = max(waited, key=lambda entry: entry[0], default=(-1.0, None))
        if connection is None or longest_s < waited_least_s:
            return False
        self.leave(connection)
        connection.give_way()
        return True


@lru_cache(256)
def _is_in(trusted: tuple[Network, ...], address: str) -> bool:
    host = parsed(address) if trusted else None
    return host is not None and any(ip_address(host) in network for network in trusted)
