"""Names the forty clients of `licet demo --with-history`, and says at which hours each of them works.

Pure data: `licet.cli.run.demo_history` lets them work.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

FULL_SEATS: Final = 8  # of the pool `full`
FULL_SEATS_AT_FIRST: Final = 7  # until the administrator has read how many were denied
POOLS: Final = {"stock": 4, "reports": 2}  # the others, each with a scope of its name


class Habit(NamedTuple):
    """The hours of a day at which a client works; how many minutes at a time, at least and at most."""

    begins: float
    ends: float
    works: tuple[int, int]
    pauses: tuple[int, int]
    at_weekends: bool = False
    logs_off: float = 0.7  # how often; otherwise the session expires


class Member(NamedTuple):
    """A client with its user. `scope` is what it asks for; its habit is None where it never comes."""

    client_id: str
    initials: str
    name: str
    scope: str = "all"
    habit: Habit | None = None


_DESK = Habit(8.0, 17.5, (20, 60), (75, 220))
_ROUND = Habit(7.0, 16.0, (10, 30), (30, 95), logs_off=0.85)
_REPORT = Habit(9.0, 17.0, (25, 75), (50, 160))
_TRIAL = Habit(9.5, 16.0, (5, 15), (180, 500))
_NIGHT = Habit(2.0, 2.2, (35, 45), (600, 600), at_weekends=True, logs_off=1.0)
_ALL_DAY = Habit(0.0, 24.0, (300, 420), (3, 8), at_weekends=True, logs_off=0.2)
_SCREEN = Habit(7.5, 18.0, (120, 200), (2, 6), logs_off=0.0)

_AT_DESKS = (
    ("AB", "Anna Berg"),
    ("BK", "Ben Kowalski"),
    ("CM", "Chloe Martin"),
    ("DN", "Dinh Nguyen"),
    ("EO", "Ella Olsen"),
    ("FP", "Frank Pereira"),
    ("GR", "Grace Reilly"),
    ("HS", "Hugo Santos"),
    ("IT", "Ines Torres"),
    ("JW", "Jack Wilson"),
    ("KY", "Kim Young"),
    ("LZ", "Lena Zander"),
    ("MA", "Mia Adams"),
    ("NC", "Noah Clark"),
    ("OD", "Olga Dreyer"),
)


def _members() -> Sequence[Member]:
    demo = [Member("TestClientId", "TC", "TestClientId", "all", _TRIAL)]
    demo += [Member(f"Client{n}", f"C{n}", f"Client{n}", "all", _TRIAL) for n in range(1, 7)]
    desks = [Member(name.replace(" ", "."), initials, name, "all", _DESK) for initials, name in _AT_DESKS]
    scanners = [Member(f"Scanner-{n}", f"S{n}", f"Scanner {n}", "stock", _ROUND) for n in range(1, 9)]
    return (
        *demo,
        *desks,
        *scanners,
        Member("Report-Sales", "R1", "Sales reports", "reports", _REPORT),
        Member("Report-Stock", "R2", "Stock reports", "reports", _REPORT),
        Member("Report-Cash", "R3", "Cash reports", "reports", _REPORT),
        Member("Web-Shop", "WS", "Web shop", "all", _ALL_DAY),
        Member("Nightly-Export", "NX", "Nightly export", "all", _NIGHT),
        Member("Hall-Screen", "HA", "Screen in the hall", "view", _SCREEN),
        Member("Office-Screen", "OS", "Screen in the office", "view", _SCREEN),
        Member("Old-Till", "OT", "Till of the old shop"),
        Member("Partner-Portal", "PP", "Portal of a partner"),
        Member("Api", "AP", "Api"),
    )


MEMBERS: Final[Sequence[Member]] = _members()
