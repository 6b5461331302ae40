"""Defines how a noun of the set-up describes its pages: its words, list, form and changes.

    class Pools(OfTenant[Pool]):
        path, word, plural = "pools", "pool", "pools"
        def row(self, part: Pool) -> Sequence[Cell]: ...

The rules:

- A description is a class; an instance is for one request, with its reader and tenant. `owners.py` has the
  base classes for nouns within a tenant, of a client, or of all tenants; `NounPages` serves them all.
- It decides nothing: the model and the room of the noun do. It hashes and generates in `prepare`, before the
  transaction.
- Methods that wait for the store are called in a thread: all except the words, the form and the links.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from fastapi import Request

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Form, Texts
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.cells import Cell
from licet.admin.pages.setup.connect import Connect
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.history import changes_of
from licet.journal.history import EventEntry
from licet.model import InvalidValue, Role, Tenant
from licet.refusal import SubjectKind
from licet.setup.consequences import Attempt, attempt

Part = TypeVar("Part")


class Secret(NamedTuple):
    """A secret that a page shows, usually once, and an example of its use."""

    headline: str
    secret: str
    label: str
    about: str
    back: str
    example_title: str = ""
    example: str = ""
    is_once: bool = True
    connect: Connect | None = None  # of a client: the lines by which it uses the secret


class Empty(NamedTuple):
    """What an empty list shows: a text, a command, and the page to begin with."""

    text: str
    command: str
    first_step: tuple[str, str] | None = None  # its link, and the text of the button


class Noun(Generic[Part]):
    """One kind of thing that is set up, for one reader; `tenant` is the chosen one, if any."""

    path: ClassVar[str]  # in addresses: "pools"
    word: ClassVar[SubjectKind]
    plural: ClassVar[str]
    key: ClassVar[str] = "name"  # the field of its name
    asked: ClassVar[str] = "name"  # the parameter of an address that names one
    actions: ClassVar[tuple[str, ...]] = ("add", "edit", "remove")
    sees_list: ClassVar[Role | None] = Role.VIEWER  # None: it has no list of its own
    sees_one: ClassVar[Role] = Role.VIEWER
    event: ClassVar[str] = ""  # its name in the journal; without it the pages show no changes
    about: ClassVar[str] = ""  # the explanation above its list
    empty: ClassVar[str] = ""  # the text of an empty list
    command: ClassVar[str] = ""  # the command that adds one
    columns: ClassVar[tuple[str, ...]] = ()
    add_button: ClassVar[str] = ""
    template: ClassVar[str] = "setup/form.html"  # of its form; it also gets the noun and the `part`
    after: ClassVar[str] = ""  # what stays after a removal
    is_rehearsed: ClassVar[bool] = (
        True  # a removal is tried and rolled back before the question, to know what ends
    )

    def __init__(self, context: AdminContext, visit: Visit, tenant: Tenant | None) -> None:
        self.context = context
        self.visit = visit
        self.tenant = tenant

    @classmethod
    async def seen(cls, context: AdminContext, request: Request, visit: Visit) -> Self:
        """The noun for this reader at this address.

        Raises Problem, NotFound.
        """
        raise NotImplementedError

    # Words and links

    @property
    def tab(self) -> str:
        """Its link among the parts of the set-up."""
        return capital(self.plural)

    @property
    def with_article(self) -> str:
        """`a pool`, `an API key`."""
        return f"an {self.word}" if self.word[0] in "aA" else f"a {self.word}"

    @property
    def back(self) -> str:
        """The link back: to its list."""
        return link(self.visit, f"{ROOT}/{self.path}")

    def link_to(self, action: str, name: str) -> str:
        """The link to a page of one."""
        return link(self.visit, f"{ROOT}/{self.path}/{action}", **{self.asked: name})

    def profile(self, _name: str) -> tuple[str, str] | None:
        """The link to what one does, and its text; None where no page shows that."""
        return None

    @property
    def of(self) -> str:
        """The end of a headline that says whose they are: ` in Jim_Test`."""
        return ""

    def called(self, name: str) -> str:
        """The name of one in a sentence: `pool full`."""
        return f"{self.word} {name}"

    def headline(self, name: str | None) -> str:
        """The headline of the form of one, or of a new one."""
        return f"{capital(self.called(name)) if name else f'A new {self.word}'}{self.of}"

    def nothing_yet(self) -> Empty:
        """What an empty list shows: how to add the first one."""
        return Empty(self.empty, self.command)

    def journal(self, _name: str | None) -> str:
        """The link to all its changes in the journal."""
        return link(self.visit, "/journal", kind="event", within="all")

    # Reading

    def parts(self) -> Mapping[str, Part]:
        """All of them by name."""
        raise NotImplementedError

    def find(self, name: str) -> Part | None:
        """The one of this name.

        Raises Problem.
        """
        return self.parts().get(name)

    @classmethod
    def named_in(cls, request: Request, _visit: Visit) -> str | None:
        """The name in an address; None where there is none."""
        return request.query_params.get(cls.asked)

    def row(self, part: Part) -> Sequence[Cell]:
        """The cells of one in a list, without its name."""
        raise NotImplementedError

    def sought(self, name: str, _part: Part) -> str:
        """The text that a search of the list matches."""
        return name

    def changes(self, name: str | None) -> Sequence[EventEntry]:
        """The last changes of the noun, or of one."""
        if not self.event:
            return ()
        return self.context.read_now(lambda connection: changes_of(connection, self.tenant, self.event, name))

    # Its form

    def fields(self, part: Part | None) -> tuple[Field, ...]:
        """The fields of the form of one, or of a new one."""
        raise NotImplementedError

    def texts(self, part: Part | None) -> Texts:
        """The texts that a form begins with."""
        raise NotImplementedError

    def prepare(self, form: Form, values: dict[str, Any], part: Part | None) -> None:
        """Hash a password or generate a secret, and add it to the values."""

    def hashed(self, form: Form, password: str, *about: str) -> str | None:
        """The hash of a new password; None where it is not allowed, and the form says why."""
        try:
            return self.context.passwords.hash_new(password, *about)
        except InvalidValue as wrong:
            form.refuse_for(wrong)
            return None

    def secret(self, _values: Mapping[str, Any]) -> Secret | None:
        """The secret to show after adding one."""
        return None

    def added(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """The page after adding one, and its notice."""
        return self.back, f"{capital(self.called(values[self.key]))} added."

    # Its removal

    def question(self, name: str, _part: Part) -> str:
        """The question before one is removed."""
        return f"Remove {self.called(name)}?"

    def goes(self, _part: Part) -> Sequence[str]:
        """What a removal would lose, beside sessions."""
        return ()

    def is_built_in(self, _name: str) -> bool:
        """Whether this one cannot be removed by anybody."""
        return False

    def must_type(self, _part: Part) -> str:
        """The text to type to confirm a removal."""
        return ""

    # Its changes: within a transaction that `attempt` opens

    def attempt(self, do: Callable[[Any], None], ends: int) -> Attempt:
        """Make a change in a transaction, unless more sessions would end than these.

        Raises Refusal, StoreUnavailable.
        """
        return attempt(
            lambda work: self.context.change_now(self.visit.identity, work),
            do,
            agrees=lambda ending: ending.sessions_ended <= ends,
        )

    def enter(self, change: Any) -> Any:
        """The object that the methods below get: the change, or the tenant in it.

        Raises NotFound.
        """
        return change

    def current(self, change: Any, name: str) -> Part:
        """One as it is now.

        Raises NotFound.
        """
        raise NotImplementedError

    def add(self, change: Any, values: dict[str, Any]) -> None:
        """Add one, from a filled form."""
        raise NotImplementedError

    def set(self, change: Any, name: str, values: dict[str, Any]) -> None:
        """Change one, by a filled form."""
        raise NotImplementedError

    def remove(self, change: Any, name: str) -> None:
        """Remove one."""
        raise NotImplementedError


def capital(text: str) -> str:
    """A text with a capital letter."""
    return text[:1].upper() + text[1:]
