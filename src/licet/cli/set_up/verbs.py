"""Makes the verbs that the nouns of the set-up have in common: add, set, enable, disable, list, show, remove.

    app = SetUpNoun("scope", OfTenant, Name, "What a token may do. ...")
    app.sets(SCOPE, method("set_scope"), "Change a scope. ...", "orders --pool full")

    @app.lists("name licensed pool", first="NAME --pool POOL")
    def records(_: Store, tenant: Tenant) -> Iterator[Record]:
        "List the scopes. ..."

    app.shows("all")
    app.removes(method("remove_scope"), "Remove a scope, and end its sessions.", "orders")

The file of a noun says what is its own: the records and the headings of their table, what changes the set-up,
and of each verb the help, and what follows it in the example of that. The rules:

- The first column has the names by which `show` finds a record.
- `remove` names what it removes, and asks first.
- The help has the verbs in the order in which they are made.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from inspect import Parameter
from types import MappingProxyType
from typing import Any

from licet.cli.noun import Noun, argument, option, takes
from licet.cli.options import AsJson, Yes, required
from licet.cli.output import Record, label, show_list, show_one
from licet.cli.set_up.owners import Change, OfStore
from licet.cli.set_up.settings import Given, read, sets
from licet.refusal import Subject, SubjectKind
from licet.setup.noun import Noun as Settable
from licet.store.errors import unknown

Records = Callable[..., Iterable[Record]]

_SETTINGS = option("settings", Given)
_AS_JSON, _YES = option("as_json", AsJson, default=False), option("yes", Yes, default=False)


def method(name: str) -> Change:
    """What changes the set-up: this method of a `TenantSetup`, or of what else `changing` yields.

    By its name, so that the help of a verb and the completion of its names import nothing of the set-up.
    """
    return lambda setup, *of, **changes: getattr(setup, name)(*of, **changes)


class SetUpNoun(Noun):
    """A noun of the set-up. `key` is the argument that names one.

    `command` is what is typed for it, where that is not its word.
    """

    def __init__(
        self, word: SubjectKind, where: type[OfStore], key: object, text: str, *, command: str = ""
    ) -> None:
        super().__init__(text)
        self._word, self._where, self._key = word, where, argument("key", key)
        self._command = command or word

    def adds(
        self, noun: Settable, add: Change, text: str, example: str, *, needed: Collection[str] = ()
    ) -> None:
        """`add`, with an option for each setting; `needed` are those that have to be given."""

        def run(key: str, *, settings: Given, **typed: Any) -> None:
            values = read(noun, settings, typed["data"], typed["tenant"])
            self._change("added", lambda *of: add(*of, key, **values), key, typed)

        with_settings = sets(noun, needed=needed, both_ways=False)
        self._make("add", text, example, with_settings(self._taking(run, _SETTINGS)))

    def sets(
        self, noun: Settable, set_: Change, text: str, example: str, *, ends_sessions: bool = True
    ) -> None:
        """`set`, with an option for each setting; where it can end sessions, it asks about that."""

        def run(key: str, *, settings: Given, yes: bool = False, **typed: Any) -> None:
            changes = required(read(noun, settings, typed["data"], typed["tenant"]))
            self._change("changed", lambda *of: set_(*of, key, **changes), key, typed, yes=yes)

        verb = self._taking(run, _SETTINGS, last=[_YES] if ends_sessions else [])
        self._make("set", text, example, sets(noun)(verb))

    def enables(self, set_: Change, text: str, example: str) -> None:
        """`enable`."""

        def run(key: str, **typed: Any) -> None:
            self._change("enabled", lambda *of: set_(*of, key, enabled=True), key, typed)

        self._make("enable", text, example, self._taking(run))

    def disables(self, set_: Change, text: str, example: str) -> None:
        """`disable`, which asks where that can end sessions."""

        def run(key: str, *, yes: bool = False, **typed: Any) -> None:
            self._change("disabled", lambda *of: set_(*of, key, enabled=False), key, typed, yes=yes)

        asks = [_YES] if self._where.ends_sessions else []
        self._make("disable", text, example, self._taking(run, last=asks))

    def lists(
        self, columns: str, *, first: str = "", headings: Mapping[str, str] = MappingProxyType({})
    ) -> Callable[[Records], Records]:
        """`list`: the function makes the records of the parts of a place, and its docstring is the help.

        The first of the columns has the noun's word as its heading, the others those that are given, or their
        own names. Where there are no records, `add` with `first` is advised.
        """
        key, *others = columns.split()
        named = {key: self._word, **{other: headings.get(other, label(other)) for other in others}}

        def made(records: Records) -> Records:
            self._records, self._column = records, key

            def run(*, as_json: bool, **typed: Any) -> None:
                where = self._where(**typed)
                empty = f"No {self._word} yet. Add the first one: {where.line(f'{self._command} add', first)}"
                with where.parts() as parts:
                    show_list(records(*parts), named, as_json=as_json, empty=empty)

            run.__doc__ = records.__doc__
            self.verb("list")(takes(run, *self._where.arguments, *self._where.options, _AS_JSON))
            return records

        return made

    def shows(self, example: str) -> None:
        """`show`: one of the records of the list, with all that it has."""

        def run(key: str, *, as_json: bool, **typed: Any) -> None:
            with self._where(**typed).parts() as parts:
                records = {str(record[self._column]): record for record in self._records(*parts)}
            if key not in records:
                raise unknown(Subject(self._word, key, *(tenant.name for tenant in parts[1:])), records)
            show_one(records[key], as_json=as_json)

        self._make("show", f"Show one {self._word}.", example, self._taking(run, last=[_AS_JSON]))

    def removes(self, remove: Change, text: str, example: str) -> None:
        """`remove`."""

        def run(key: str, *, yes: bool, **typed: Any) -> None:
            ask = f"Remove {self._where(**typed).which(self._word, key)}?"
            self._change("removed", lambda *of: remove(*of, key), key, typed, ask=ask, yes=yes)

        self._make("remove", text, example, self._taking(run, last=[_YES]))

    def _change(self, done: str, change_it: Change, key: str, typed: Mapping[str, Any], **asks: Any) -> None:
        where = self._where(**typed)
        which = where.which(self._word, key)
        where.change(f"{which[0].upper()}{which[1:]} {done}", change_it, **asks)

    def _taking(
        self, run: Callable[..., None], *first: Parameter, last: Sequence[Parameter] = ()
    ) -> Callable[..., None]:
        where = self._where
        return takes(run, *where.arguments, self._key, *first, *where.options, *last)

    def _make(self, verb: str, text: str, example: str, run: Callable[..., None]) -> None:
        run.__doc__ = f"{text}\n\nExample: [bold]licet {self._command} {verb} {example}[/]"
        self.verb(verb)(run)
