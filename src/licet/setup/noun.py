"""Defines what a noun of the set-up is: a kind of thing that is set up, and its settings.

A setting has three forms: its value in the model, the fact in the set-up file, and the words in an event.
What follows from a list of settings is here, once for all nouns; the lists are in `licet.setup.nouns`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from msgspec.structs import fields

from licet.model import Value
from licet.refusal import SubjectKind
from licet.setup.kinds import Fact, Kind

Facts = dict[str, Fact]  # by the names of settings
Settings = dict[str, Any]  # by the fields of the model; in a change only those that change


class Setting(Value, frozen=True, kw_only=True):
    """One setting. `help` is one sentence; a page, which has more room, may have `page_help`.

    `label` is its label on a page; by default its name.
    """

    field: str  # of the model
    kind: Kind
    help: str
    page_help: str = ""
    label: str = ""
    called: str = ""  # its name, where it is not the field's
    option: str = ""  # of the command line, where it is not the name
    off: str = ""  # the option that sets it to no or none, such as `lax-assertions`
    off_help: str = ""
    is_always_written: bool = False  # even with its default
    is_own: bool = False  # an owner of the tenant may set it: it is not part of the licence

    @property
    def name(self) -> str:
        """Its name in the set-up file and the command line: the field without its unit."""
        return self.called or self.field.removesuffix("_s").removesuffix("_at_ms")

    @property
    def wire(self) -> str:
        """Its name in the admin API: with its unit, but for an instant, which is a text."""
        return self.called or self.field.removesuffix("_ms")


class Noun(Value, frozen=True, kw_only=True):
    """A kind of thing that is set up; `key` is the field with its name."""

    word: SubjectKind
    model: type[Value]
    settings: tuple[Setting, ...]
    key: str = "name"

    def setting(self, field: str) -> Setting:
        """The setting of this field."""
        return next(one for one in self.settings if one.field == field)

    def name_of(self, field: str) -> str:
        """The name of a setting, by its field; a field that is no setting is its own name."""
        return next((setting.name for setting in self.settings if setting.field == field), field)

    def by_field(self, named: Mapping[str, Any]) -> Settings:
        """Settings by their names of the admin API, as the fields of the model; any other name stays."""
        fields = {setting.wire: setting.field for setting in self.settings}
        return {fields.get(name, name): value for name, value in named.items()}

    def settings_of(self, value: Value) -> Settings:
        """All settings of a value."""
        return {setting.field: getattr(value, setting.field) for setting in self.settings}

    def shown(self, value: Value) -> dict[str, Any]:
        """All settings of a value, as in the admin API's answers."""
        return {setting.wire: setting.kind.shown(getattr(value, setting.field)) for setting in self.settings}

    def taken(self, sent: Mapping[str, Any]) -> Settings:
        """What was sent to the admin API, by the fields of the model; anything else stays as it is."""
        kinds = {setting.wire: setting.kind for setting in self.settings}
        return self.by_field(
            {name: kinds[name].taken(value) if name in kinds else value for name, value in sent.items()}
        )

    def facts(self, value: Value) -> Facts:
        """All settings of a value, as in the set-up file; None is an absent one."""
        return {setting.name: setting.kind.fact(getattr(value, setting.field)) for setting in self.settings}

    def said(self, value: Value) -> Facts:
        """The facts to mention: those that are present and not the default."""
        usual = _usual(self)
        facts = self.facts(value)
        return {name: facts[name] for name in facts if facts[name] != usual.get(name)}

    def described(self, value: Value) -> str:
        """A value in one line: `seats 5, duplicates client`."""
        said = self.said(value)
        return ", ".join(
            f"{setting.name} {setting.kind.words(said[setting.name])}"
            for setting in self.settings
            if setting.name in said
        )

    def differences(self, before: Value, after: Value) -> str:
        """What changed, in one line: `seats 5 -> 7`."""
        return ", ".join(self._differences(before, after, self.settings))

    def changes(self, before: Value, after: Value) -> tuple[str, ...]:
        """What changed: a line for all that has one value, and one for each member of a list of rules."""
        was, now = self.facts(before), self.facts(after)
        rules = [setting for setting in self.settings if setting.kind.is_of_rules]
        others = [setting for setting in self.settings if not setting.kind.is_of_rules]
        lines = [", ".join(self._differences(before, after, others))]
        for name in (setting.name for setting in rules):
            had, has = _texts(was[name]), _texts(now[name])
            lines += [f"{name} - {rule}" for rule in had if rule not in has]
            lines += [f"{name} + {rule}" for rule in has if rule not in had]
        return tuple(line for line in lines if line)

    def _differences(self, before: Value, after: Value, settings: Iterable[Setting]) -> list[str]:
        was, now = self.facts(before), self.facts(after)
        return [
            f"{of.name} {of.kind.words(was[of.name])} -> {of.kind.words(now[of.name])}"
            for of in settings
            if was[of.name] != now[of.name]
        ]


def _texts(fact: Fact) -> list[str]:
    return fact if isinstance(fact, list) else []


@cache
def defaults_of(noun: Noun) -> Mapping[str, Any]:
    """The default of each setting, by field, without the required ones."""
    found = {field.name: field for field in fields(noun.model) if not field.required}
    return MappingProxyType(
        {setting.field: found[setting.field].default for setting in noun.settings if setting.field in found}
    )


@cache
def _usual(noun: Noun) -> Facts:
    """The facts that are defaults."""
    defaults = defaults_of(noun)
    return {
        setting.name: setting.kind.fact(defaults[setting.field])
        for setting in noun.settings
        if setting.field in defaults and not setting.is_always_written
    }
