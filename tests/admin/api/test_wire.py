"""What reports make has one form in answers: instants in ISO 8601, durations in seconds, initials as user."""

import json
from typing import Any

import msgspec
import pytest

from licet.admin.api import wire
from licet.journal.denials import DenialRange
from licet.journal.history import EventEntry, JournalEntry
from licet.model import Value
from licet.reports.usage import HeldByUser, Peak
from licet.setup.consequences import Consequences


class _Within(Value, frozen=True, kw_only=True, tag_field="kind", tag="one"):
    id: int
    at_ms: int
    skew_ms: int | None


class _Other(Value, frozen=True, kw_only=True, tag_field="kind", tag="two"):
    until_ms: int


class _Around(Value, frozen=True, kw_only=True):
    """Its `ends_at_ms` is an instant."""

    id: str
    ends_at_ms: int | None
    parts: tuple[_Within | _Other, ...]
    one: _Within | None


def _read(value: Any) -> Any:
    return json.loads(wire.encoded(value))


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("expires_at_ms", "expires_at"),
        ("at_ms", "at"),
        ("from_ms", "from"),
        ("suspended_until_ms", "suspended_until"),
        ("held_ms", "held_s"),
        ("hold_s", "hold_s"),
        ("initials", "user"),
        ("told_at_ms", "notified_at"),
        ("seats", "seats"),
    ],
)
def test_a_member_is_called_by_what_it_is(field: str, name: str) -> None:
    """An instant loses its unit, a duration is in seconds."""
    assert wire.name_of(field) == name


def test_an_instant_is_iso_8601_and_a_duration_seconds() -> None:
    """In UTC, to the second where there is no more to say."""
    assert _read(Peak(from_ms=0, until_ms=1_500, peak=1, seats=2, denials=0, turned_away=0)) == {
        "from": "1970-01-01T00:00:00Z",
        "until": "1970-01-01T00:00:01.500Z",
        "peak": 1,
        "seats": 2,
        "denials": 0,
        "turned_away": 0,
    }
    held = HeldByUser(initials="TC", name="Ada", held_ms=90_500, idle_ms=0)
    assert _read(held) == {"user": "TC", "user_name": "Ada", "held_s": 90.5, "idle_s": 0}


def test_what_stands_within_follows_the_rules_too() -> None:
    """In lists, alternatives and what may be missing; a number of the store's own is not shown."""
    within = _Within(id=7, at_ms=1000, skew_ms=None)
    around = _Around(id="wh_1", ends_at_ms=None, parts=(within, _Other(until_ms=0)), one=within)
    shown = {"kind": "one", "at": "1970-01-01T00:00:01Z", "skew_s": None}
    assert _read(around) == {
        "id": "wh_1",
        "ends_at": None,
        "parts": [shown, {"kind": "two", "until": "1970-01-01T00:00:00Z"}],
        "one": shown,
    }
    assert _read({"items": [within], "next": None}) == {"items": [shown], "next": None}


def test_the_schema_is_that_of_what_is_sent() -> None:
    """Also of a union, and in what its text says."""
    for kind in (Peak, HeldByUser, DenialRange, JournalEntry, EventEntry, _Around):
        shape = wire.shape_of(kind)
        schema = msgspec.json.schema(shape)["$defs"][kind.__name__]
        names = [wire.name_of(name) for name in kind.__struct_fields__ if name not in {"name", "id"}]
        assert set(names) <= schema["properties"].keys()
        assert "_ms" not in json.dumps(schema)
    assert wire.shape_of(_Around).__doc__ == "Its `ends_at` is an instant."


def test_what_has_neither_instants_nor_users_is_its_own_shape() -> None:
    """No class is made for it."""
    assert wire.shape_of(Consequences) is Consequences
