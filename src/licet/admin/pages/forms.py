"""Models forms: their fields, what was typed, what is wrong with it, and whether somebody saved first.

    form = Form(fields, texts)              # as it is shown
    form = Form(fields, read_texts(fields, items), seen=...)   # as it came back
    values = form.values()                  # the values, or `form.errors` says why not

The rules:

- A field's value travels as text, and what was typed is shown again as it was typed. A password never is.
- Each field reads itself, so that a mistake is shown beside it. The page adds the mistakes that only the
  store finds.
- A form carries what it showed (`seen`). When the stored value is different by now, somebody else was first:
  `meet` shows both, keeps what was typed, and updates fields that were not touched.

It knows nothing of HTTP or of the meaning of its fields.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from licet.formats import sentence
from licet.model import InvalidValue, Value, out_of_range
from licet.refusal import Code, Refusal

TEXT_CHARS_MAX = 4096  # of one field; the longest value, a URL, is shorter
MANY_MAX = 1000  # marks of one field
_END = re.compile(r"(\d{4}-\d\d-\d\d)?(?:T(\d\d:\d\d(?::\d\d(?:\.\d{3})?)?))?(?: ([\w/+-]+))?", re.ASCII)
_ZONE = "_zone"  # behind the name of an END: by whose clocks it was typed
_SHOWN_MAX = 80  # of what was typed, in a message

Texts = Mapping[str, tuple[str, ...]]  # the texts of each field: one, or as many as there are marks
Reader = Callable[[str], Any]  # Raises InvalidValue.


class Kind(StrEnum):
    """How a field is drawn, and how its text becomes a value."""

    TEXT = "text"
    AREA = "area"  # a text of several lines
    NUMBER = "number"
    CHOICE = "choice"  # one of some
    MARK = "mark"  # yes or no
    MARKS = "marks"  # any of some
    PASSWORD = "password"  # noqa: S105 - a kind of field, no secret
    END = "end"  # when something ends: a date, perhaps with a time of day, and a zone; empty is never
    FIXED = "fixed"  # shown, but cannot be changed


class Option(Value, frozen=True, kw_only=True):
    """One option that may be chosen."""

    value: str
    label: str
    help: str = ""


class Field(Value, frozen=True, kw_only=True):
    """One field. `read` makes a value of its text; a mark is a bool, and marks are a frozenset, unread."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    help: str = ""
    read: Reader = str
    options: tuple[Option, ...] = ()
    suggestions: tuple[str, ...] = ()
    placeholder: str = ""
    width: str = "line"  # how much text is usual: short, medium, or a line of it
    at_ms: int | None = None  # an instant to show beside it, by the reader's clock
    zone: str = ""  # by whose clocks an END is meant
    about: str = ""  # its name in a refusal, where it differs from the form's
    section: str = ""  # under which heading it stands, if any
    usual: str = ""  # what it holds where nothing is set
    rows: int = 8  # of an AREA
    chars_max: int = TEXT_CHARS_MAX

    @property
    def refused_as(self) -> str:
        """The name that a refusal has for it."""
        return self.about or self.name

    def value(self, texts: tuple[str, ...]) -> Any:
        """The value of these texts.

        Raises InvalidValue.
        """
        if self.kind is Kind.MARK:
            return bool(texts)
        known = {option.value for option in self.options}
        if self.kind is Kind.MARKS:
            if not known.issuperset(texts):
                text = f"choose of: {', '.join(sorted(known)) or 'nothing yet'}"
                raise InvalidValue(text, code=Code.UNKNOWN_CHOICE)
            return frozenset(texts)
        text = texts[0] if texts else ""
        if len(text) > self.chars_max:
            text = f"at most {self.chars_max:,} characters"
            raise InvalidValue(text, code=Code.TOO_LONG, limit=self.chars_max)
        if self.kind is Kind.CHOICE and text not in known:
            raise InvalidValue("choose one of the list", code=Code.UNKNOWN_CHOICE)
        return self.read(text)


class Place(NamedTuple):
    """A page on which the obstacle can be seen or removed."""

    text: str
    href: str


class Difference(Value, frozen=True, kw_only=True):
    """A field that somebody else has changed: what it was when the form was shown, is now, and was typed."""

    name: str
    label: str
    before: str
    now: str
    typed: str
    is_in_conflict: bool  # both changed it, to something else


class Section(NamedTuple):
    """Fields under a heading; they are hidden until somebody opens it, unless `is_open`."""

    title: str
    fields: tuple[Field, ...]
    is_open: bool


class Form:
    """A form with what it holds. `problem` is about all of it, `errors` are by field; `places` help."""

    def __init__(self, fields: Sequence[Field], texts: Texts, seen: Texts | None = None) -> None:
        self.fields = tuple(fields)
        self.texts = dict(texts)
        self.seen = dict(texts) if seen is None else dict(seen)
        self.errors: dict[str, str] = {}
        self.problem = ""
        self.places: tuple[Place, ...] = ()  # where to go on
        self.meanwhile: tuple[Difference, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether something has to be corrected before it can be saved."""
        return bool(self.errors or self.problem)

    @property
    def seen_text(self) -> str:
        """What was shown, as text that the form carries."""
        return json.dumps(self.seen, ensure_ascii=True, separators=(",", ":"))

    @property
    def sections(self) -> list["Section"]:
        """The fields under their headings, in order; those without one are under ''."""
        found: list[Section] = []
        for title, fields in groupby(self.fields, key=lambda field: field.section):
            own = tuple(fields)
            is_filled = any(self.text(field.name) != field.usual for field in own)
            is_wrong = any(field.name in self.errors for field in own)
            found.append(Section(title, own, is_filled or is_wrong or bool(self.meanwhile)))
        return found

    def text(self, name: str) -> str:
        """The text of a field, to be shown."""
        return (self.texts.get(name) or ("",))[0]

    def shown(self, field: Field) -> str:
        """The value of a field that cannot be changed, as a person reads it."""
        return _shown(field, self.texts.get(field.name, ()))

    def holds(self, name: str, value: str) -> bool:
        """Whether this option is chosen or marked."""
        return value in self.texts.get(name, ())

    def day_and_time(self, name: str) -> tuple[str, str, str] | None:
        """The value of an `END` for the pickers of a browser; None where they cannot express it.

        The last is the zone by whose clocks it was typed, where that is not the field's.
        """
        found = _END.fullmatch(self.text(name))
        return None if found is None else (found[1] or "", found[2] or "", found[3] or "")

    def was_typed(self, name: str) -> bool:
        """Whether a field that is not shown again had a text."""
        return bool(self.text(name))

    def values(self) -> dict[str, Any]:
        """The values of all fields; one that cannot be read is among the errors instead."""
        values = {}
        for field in self.fields:
            if field.kind is Kind.FIXED:
                continue
            try:
                values[field.name] = field.value(self.texts.get(field.name, ()))
            except InvalidValue as fault:
                self.errors[field.name] = sentence(str(fault))
        return values

    def refuse(self, text: str, name: str | None = None) -> None:
        """Add a mistake, beside this field or above all of them."""
        if name is not None and any(field.name == name for field in self.fields):
            self.errors.setdefault(name, sentence(text))
        else:
            self.problem = sentence(text)

    def refuse_for(self, refusal: Refusal, places: Sequence[Place] = ()) -> None:
        """Add a refusal, beside the field that it is about, and pages that help.

        Where two fields contradict each other, it is beside both.
        """
        names = {
            field.refused_as: field.name for field in reversed(self.fields) if field.kind is not Kind.FIXED
        }
        self.refuse(str(refusal), names.get(refusal.field) or names.get(refusal.beside))
        if refusal.code is Code.NOT_TOGETHER and refusal.beside in names:
            self.refuse(str(refusal), names[refusal.beside])
        self.places = tuple(places)

    def is_behind(self, now: Texts) -> bool:
        """Whether the current values differ from those that this form showed."""
        return any(
            tuple(now.get(field.name, ())) != tuple(self.seen.get(field.name, ()))
            for field in self._compared()
        )

    def meet(self, now: Texts) -> None:
        """Show the current values beside what was typed: touched fields stay, others are updated."""
        found = []
        for field in self._compared():
            was, is_now, typed = (tuple(texts.get(field.name, ())) for texts in (self.seen, now, self.texts))
            if is_now == was:
                continue
            shown = [_shown(field, texts) for texts in (was, is_now, typed)]
            found.append(
                Difference(
                    name=field.name,
                    label=field.label,
                    before=shown[0],
                    now=shown[1],
                    typed=shown[2],
                    is_in_conflict=typed not in {was, is_now},
                )
            )
            if typed == was:
                self.texts[field.name] = is_now
        self.meanwhile = tuple(found)
        self.seen = dict(now)

    def _compared(self) -> Iterable[Field]:
        return (field for field in self.fields if field.kind not in {Kind.PASSWORD, Kind.FIXED})


def read_texts(fields: Sequence[Field], items: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The texts of these fields; a field with one text takes the last one."""
    fields = [field for field in fields if field.kind is not Kind.FIXED]
    typed: dict[str, list[str]] = {field.name: [] for field in fields}
    zones = {f"{field.name}{_ZONE}": "" for field in fields if field.kind is Kind.END}
    for name, text in items:
        if name in zones:
            zones[name] = text.strip()
        elif name in typed and len(typed[name]) < MANY_MAX:
            typed[name].append(text)
    return {
        field.name: _cleaned(field, typed[field.name], zones.get(f"{field.name}{_ZONE}", ""))
        for field in fields
    }


def read_seen(text: str) -> dict[str, tuple[str, ...]]:
    """What a form carried as shown; empty when that is malformed."""
    try:
        found = msgspec.json.decode(text, type=dict[str, list[str]])
    except (msgspec.MsgspecError, UnicodeError):
        return {}
    return {name: tuple(texts) for name, texts in found.items()}


def whole(least: int, most: int) -> Reader:
    """A reader of whole numbers between these."""

    def read(text: str) -> int:
        digits = text.strip().replace(",", "").replace("\N{NARROW NO-BREAK SPACE}", "")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < len(str(most)) + 4):
            raise InvalidValue(f"a whole number from {least:,} to {most:,}", code=Code.WRONG_TYPE)
        if not least <= int(digits) <= most:
            text = f"a whole number from {least:,} to {most:,}, and not {int(digits):,}"
            raise out_of_range(text, "", int(digits), least, most)
        return int(digits)

    return read


def _cleaned(field: Field, typed: list[str], zone: str) -> tuple[str, ...]:
    if field.kind is Kind.PASSWORD:
        return tuple(typed[-1:])
    if field.kind is Kind.MARKS:
        return tuple(sorted(set(typed)))
    if field.kind is Kind.END:
        text = "T".join(filter(None, (text.strip() for text in typed[-2:])))
        return (f"{text} {zone}" if text and zone not in {"", field.zone} else text,)
    # Browsers send line ends as two characters; blanks around a text are never meant.
    return tuple(text.strip() for text in typed[-1:])


def _shown(field: Field, texts: tuple[str, ...]) -> str:
    """What a field holds, as a person reads it."""
    labels = {option.value: option.label for option in field.options}
    if field.kind is Kind.MARK:
        return "yes" if texts else "no"
    if field.kind is Kind.MARKS:
        return ", ".join(labels.get(text, text) for text in texts) or "none"
    text = texts[0] if texts else ""
    nothing = "never" if field.kind is Kind.END else "nothing"
    return labels.get(text, text)[:_SHOWN_MAX] or nothing
