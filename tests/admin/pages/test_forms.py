"""Forms without a page: what is read of them, and two versions that meet."""

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.admin.pages.denials import lasted
from licet.admin.pages.filters import cleaned, instant_of
from licet.admin.pages.forms import Field, Form, Kind, Option, read_seen, read_texts, whole
from licet.formats import sentence
from licet.model import InvalidValue

SEATS = Field(name="seats", label="Seats", kind=Kind.NUMBER, read=whole(0, 10))
NAME = Field(name="name", label="Name")
ENABLED = Field(name="enabled", label="Enabled", kind=Kind.MARK)
SCOPES = Field(
    name="scopes",
    label="Scopes",
    kind=Kind.MARKS,
    options=(Option(value="a", label="A"), Option(value="b", label="B")),
)
PASSWORD = Field(name="password", label="Password", kind=Kind.PASSWORD)
FIELDS = (SEATS, NAME, ENABLED, SCOPES, PASSWORD)
BEFORE = {"seats": ("5",), "name": ("x",), "enabled": ("yes",), "scopes": ("a",), "password": ("",)}


def test_values_are_what_was_meant() -> None:
    items = [
        ("seats", " 7 "),
        ("name", "first"),
        ("name", "last"),
        ("scopes", "b"),
        ("scopes", "a"),
        ("odd", "x"),
    ]
    form = Form(FIELDS, read_texts(FIELDS, items))
    assert form.values() == {
        "seats": 7,
        "name": "last",
        "enabled": False,
        "scopes": frozenset({"a", "b"}),
        "password": "",
    }
    assert not form.is_wrong


def test_a_mark_that_is_none_of_those_is_refused() -> None:
    form = Form(FIELDS, read_texts(FIELDS, [("seats", "1"), ("scopes", "c")]))
    form.values()
    assert form.errors == {"scopes": "Choose of: a, b."}


@pytest.mark.parametrize("text", ["", "-1", "11", "1.5", "1e3", "٣", "0x1", "9" * 4000, "\x00"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="a whole number from 0 to 10"):
        whole(0, 10)(text)


def test_nobody_was_first_where_nothing_changed() -> None:
    form = Form(FIELDS, BEFORE | {"seats": ("7",)}, BEFORE)
    assert not form.is_behind(BEFORE)
    assert not form.is_behind(BEFORE | {"password": ("never compared",)})


def test_who_was_second_keeps_what_he_typed_and_takes_over_the_rest() -> None:
    form = Form(FIELDS, BEFORE | {"seats": ("7",), "name": ("mine",)}, BEFORE)
    now = BEFORE | {"seats": ("9",), "enabled": (), "scopes": ("a", "b")}
    assert form.is_behind(now)
    form.meet(now)
    assert form.texts == {**now, "seats": ("7",), "name": ("mine",)}
    told = {it.name: (it.before, it.now, it.typed, it.is_in_conflict) for it in form.meanwhile}
    assert told == {
        "seats": ("5", "9", "7", True),
        "enabled": ("yes", "no", "yes", False),
        "scopes": ("A", "A, B", "A", False),
    }
    assert not form.is_behind(now)  # the next time it is sent


def test_the_same_change_by_two_is_no_conflict() -> None:
    form = Form(FIELDS, BEFORE | {"seats": ("9",)}, BEFORE)
    form.meet(BEFORE | {"seats": ("9",)})
    assert [it.is_in_conflict for it in form.meanwhile] == [False]


@given(st.text())
def test_what_is_no_memory_of_a_form_is_none(text: str) -> None:
    """It comes from a browser, and may be anything."""
    assert all(isinstance(texts, tuple) for texts in read_seen(text).values())


def test_a_memory_of_a_form_comes_back_as_it_was() -> None:
    assert read_seen(Form(FIELDS, BEFORE).seen_text) == BEFORE
    for text in ('{"a": [1]}', '{"a": "x"}', "[" * 100_000, '{"a":' * 100_000, "\ud800"):
        assert read_seen(text) == {}


def test_a_message_is_a_sentence() -> None:
    assert sentence("seats is 0 to 5") == "Seats is 0 to 5."
    assert sentence("Is it?") == "Is it?"


@given(st.text())
def test_no_control_character_reaches_a_store(text: str) -> None:
    found = cleaned(text)
    assert not {"Cc", "Cs"} & set(map(category, found))
    assert len(found) <= 128


@pytest.mark.parametrize("text", ["", "-1", "x", "٣", "9" * 30, "253370764800000"])
def test_an_instant_that_is_none_is_left_out(text: str) -> None:
    assert instant_of(text) is None


def test_how_long_it_lasted() -> None:
    told = [lasted(ms) for ms in (-5, 4_000, 250_000, 7_500_000, 300_000_000)]
    assert told == ["0 s", "4 s", "4 min 10 s", "2 h 05 min", "3 d 11 h"]
