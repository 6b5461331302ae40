"""Reads the form of the page *What if*: which set-up of a pool is tried, with what is wrong beside its field.

The options have the words of the pool's own form, a rule a line, and are read by it. What was not typed is as
it is today. The form is an address, which can be kept; so a field of rules has `RULES_CHARS_MAX` at most.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from fastapi import Request
from msgspec.structs import replace

from licet.admin.pages.forms import Field
from licet.admin.pages.setup.nouns.pool_options import option_fields, option_texts
from licet.admin.pages.setup.rule_texts import lines_of
from licet.admin.pages.setup.settings import field_of, texts_of
from licet.formats import sentence
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Duplicates, InvalidValue, Pool, Tenant, Value
from licet.refusal import Code, Refusal
from licet.reports.what_if.replay import Rules
from licet.reports.what_if.report import Other, today_of
from licet.setup.kinds import Choice, Duration, Kind, Whole
from licet.setup.nouns import POOL

OF = "of"  # of which pool the other fields are
RULES_CHARS_MAX = 1500  # six of them in an address, encoded, and what else a head has, are below 16 KiB
_TEXT_CHARS_MAX = 40
_FIELDS: Mapping[str, tuple[str, Kind]] = {
    "seats": ("Seats", Whole(0, SEATS_MAX)),
    "overdraft": ("Overdraft", Whole(0, SEATS_MAX)),
    "hold_s": ("A seat is held for", Duration(0, HOLD_S_MAX)),
    "session_ttl_s": ("A session lives", Duration(1, TTL_S_MAX)),
    "duplicates": ("Counted by", Choice(Duplicates)),
}
_RULES = frozenset(Rules.__struct_fields__)


class FormField(Value, frozen=True, kw_only=True):
    """A field of the form: what it is called, what was typed or is so today, and what is wrong with that.

    `rows` of an option that has a rule a line; `is_fixed`: there are too many to try others here.
    """

    name: str
    label: str
    text: str
    options: tuple[str, ...] = ()
    error: str = ""
    help: str = ""
    rows: int = 0
    is_fixed: bool = False


class WhatIfForm:
    """The form of a pool. `other` is what was typed; `errors` say what is wrong with it, by field.

    `was_sent` is whether anything of a set-up is in the address, even if it is as today.
    """

    def __init__(self, request: Request, tenant: Tenant, pool: Pool, now_ms: int) -> None:
        given = request.query_params
        # Who chooses another pool does not mean the fields of the one before.
        typed = dict(given) if given.get(OF, pool.name) == pool.name else {}
        self.was_sent = any(name in typed for name in (*_FIELDS, *_RULES))
        self.errors: dict[str, str] = {}
        self._typed = {name: text[: RULES_CHARS_MAX + 1].strip() for name, text in typed.items()}
        self._today = today_of(tenant, pool, now_ms)
        options = {setting.name: field_of(setting, tenant) for setting in POOL.settings}
        self._options = [
            replace(field, chars_max=RULES_CHARS_MAX)
            for field in option_fields(options)
            if field.name in _RULES
        ]
        texts = {**texts_of(POOL, pool, tenant), **option_texts(pool)}
        self._usual = {field.name: "".join(texts[field.name]) for field in self._options}
        self.other = Other(**self._values(), rules=self._rules())

    def _values(self) -> dict[str, Any]:
        found = {}
        for name, (_, kind) in _FIELDS.items():
            text = self._typed.get(name, "")
            if not text or text == self._usual_of(name, kind):
                continue
            try:
                found[name] = kind.read(text[: _TEXT_CHARS_MAX + 1], UTC)
            except InvalidValue as wrong:
                self.errors[name] = sentence(f"allowed is {wrong}" if isinstance(kind, Whole) else str(wrong))
        return found

    def _rules(self) -> dict[str, Any]:
        found = {}
        for field in self._options:
            text, usual = self._typed.get(field.name), self._usual[field.name]
            if text is None or lines_of(text) == lines_of(usual):
                continue
            try:
                found[field.name] = field.value((text,))
            except InvalidValue as wrong:
                self.errors[field.name] = sentence(str(wrong))
        return found

    def refuse(self, refusal: Refusal) -> None:
        """Put what contradicts the rest of the set-up, or names nobody, beside what was typed."""
        names = [name for name in (refusal.field, refusal.beside) if name in _RULES]
        for name in names if refusal.code is Code.NOT_TOGETHER else names[:1]:
            self.errors.setdefault(name, sentence(str(refusal)))

    @property
    def fields(self) -> list[FormField]:
        """The fields of seats and times."""
        return [
            FormField(
                name=name,
                label=label,
                text=self._typed.get(name) or self._usual_of(name, kind),
                options=tuple(Duplicates) if isinstance(kind, Choice) else (),
                error=self.errors.get(name, ""),
            )
            for name, (label, kind) in _FIELDS.items()
        ]

    @property
    def option_fields(self) -> list[FormField]:
        """The fields of the options."""
        return [self._option(field) for field in self._options]

    @property
    def has_options(self) -> bool:
        """Whether an option is set or wrong, so that its field must be seen."""
        return any(it.text or it.error for it in self.option_fields)

    def _option(self, field: Field) -> FormField:
        usual = self._usual[field.name]
        return FormField(
            name=field.name,
            label=field.label,
            text=self._typed.get(field.name, usual),
            error=self.errors.get(field.name, ""),
            help=field.help,
            rows=0 if field.name.startswith("max_per") else field.rows,
            is_fixed=len(usual) > RULES_CHARS_MAX,
        )

    def _usual_of(self, name: str, kind: Kind) -> str:
        return str(kind.fact(getattr(self._today, name)))
