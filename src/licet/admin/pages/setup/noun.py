"""Defines what a noun of the set-up gives to its pages: its words, its list, its form, and how it is changed.

    class Pools(OfTenant[Pool]):
        path, word, plural = "pools", "pool", "pools"
        def row(self, part: Pool) -> Sequence[Cell]: ...

The rules:

- A description is a class, and an object of it is what one request sees: who looks, and of which tenant.
  Where nouns live, as in a tenant or under a client, is in `homes.py`; `NounPages` serves them all alike.
- It decides nothing: what may be, the model and the room of the noun say. It hashes and generates in
  `prepare`, before the transaction.
- What waits for the store is called in a thread: all but the words, the form and the links.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from fastapi import Request

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Form, Texts
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.cells import Cell
from licet.admin.pages.setup.history import changes_of
from licet.admin.pages.setup.places import ROOT
from licet.journal.history import Did
from licet.model import InvalidValue, Role, Tenant
from licet.refusal import SubjectKind
from licet.setup.consequences import Attempt, attempt

Part = TypeVar("Part")


class Secret(NamedTuple):
    """A secret that a page shows, most of them once, and an example of its use."""

    headline: str
    secret: str
    label: str
    about: str
    back: str
    example_title: str = ""
    example: str = ""
    is_once: bool = True


class Empty(NamedTuple):
    """What to do where there is none: in words, on the command line, and which other page comes first."""

    text: str
    command: str
    first_step: tuple[str, str] | None = None  # where, and what the button says


class Noun(Generic[Part]):
    """One kind of what is set up, as one reader sees it; `tenant` is the one that is looked at, if any."""

    path: ClassVar[str]  # in addresses: "pools"
    word: ClassVar[SubjectKind]
    plural: ClassVar[str]
    key: ClassVar[str] = "name"  # the field of its name
    asked: ClassVar[str] = "name"  # what names one in an address
    actions: ClassVar[tuple[str, ...]] = ("add", "edit", "remove")
    sees_list: ClassVar[Role | None] = Role.VIEWER  # None: there is no list of its own
    sees_one: ClassVar[Role] = Role.VIEWER
    event: ClassVar[str] = ""  # what the journal calls it; its pages show no changes without
    about: ClassVar[str] = ""  # what it is, above its list
    empty: ClassVar[str] = ""  # what is said where there is none
    command: ClassVar[str] = ""  # and how one is added on the command line
    columns: ClassVar[tuple[str, ...]] = ()
    add_button: ClassVar[str] = ""
    template: ClassVar[str] = "setup/form.html"  # of its form, which gets the noun and the `part` as well
    after: ClassVar[str] = ""  # what stays when one is removed
    is_rehearsed: ClassVar[bool] = True  # a removal is tried before it is asked about, to know what ends

    def __init__(self, context: AdminContext, visit: Visit, tenant: Tenant | None) -> None:
        self.context = context
        self.visit = visit
        self.tenant = tenant

    @classmethod
    async def seen(cls, context: AdminContext, request: Request, visit: Visit) -> Self:
        """What this reader sees at this address.

        Raises Problem, NotFound.
        """
        raise NotImplementedError

    # Words and links

    @property
    def tab(self) -> str:
        """Where it stands among the parts of the set-up."""
        return capital(self.plural)

    @property
    def with_article(self) -> str:
        """`a pool`, `an API key`."""
        return f"an {self.word}" if self.word[0] in "aA" else f"a {self.word}"

    @property
    def back(self) -> str:
        """The page to go back to: its list."""
        return link(self.visit, f"{ROOT}/{self.path}")

    def link_to(self, action: str, name: str) -> str:
        """A page of one."""
        return link(self.visit, f"{ROOT}/{self.path}/{action}", **{self.asked: name})

    @property
    def of(self) -> str:
        """Whose they are, as the end of a headline: ` in Jim_Test`."""
        return ""

    def called(self, name: str) -> str:
        """What one is called in a sentence: `pool full`."""
        return f"{self.word} {name}"

    def headline(self, name: str | None) -> str:
        """What stands above the form of one, or of a new one."""
        return f"{capital(self.called(name)) if name else f'A new {self.word}'}{self.of}"

    def nothing_yet(self) -> Empty:
        """What to do where there is none: to add the first one."""
        return Empty(self.empty, self.command)

    def journal(self, _name: str | None) -> str:
        """Where all changes of it are."""
        return link(self.visit, "/journal", kind="event", within="all")

    # What there is

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
        """What a list shows of one, without its name."""
        raise NotImplementedError

    def sought(self, name: str, _part: Part) -> str:
        """What one is found by."""
        return name

    def changes(self, name: str | None) -> Sequence[Did]:
        """Who changed it last, or this one of it."""
        if not self.event:
            return ()
        return self.context.read_now(lambda connection: changes_of(connection, self.tenant, self.event, name))

    # Its form

    def fields(self, part: Part | None) -> tuple[Field, ...]:
        """What can be said of one that is there, or of a new one."""
        raise NotImplementedError

    def texts(self, part: Part | None) -> Texts:
        """What a form begins with."""
        raise NotImplementedError

    def prepare(self, form: Form, values: dict[str, Any], part: Part | None) -> None:
        """Hash a password or generate a secret, and put it among the values."""

    def hashed(self, form: Form, password: str, *about: str) -> str | None:
        """The hash of a new password; None, and the form says why, where it may not be one."""
        try:
            return self.context.passwords.hash_new(password, *about)
        except InvalidValue as wrong:
            form.refuse_for(wrong)
            return None

    def secret(self, _values: Mapping[str, Any]) -> Secret | None:
        """The secret to show when a new one is there."""
        return None

    def added(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Where to go on from a new one, and what is said there."""
        return self.back, f"{capital(self.called(values[self.key]))} added."

    # Its removal

    def question(self, name: str, _part: Part) -> str:
        """What is asked before one is removed."""
        return f"Remove {self.called(name)}?"

    def goes(self, _part: Part) -> Sequence[str]:
        """What is lost with one, beside its sessions."""
        return ()

    def is_built_in(self, _name: str) -> bool:
        """Whether this one stays, whoever looks."""
        return False

    def must_type(self, _part: Part) -> str:
        """What has to be typed to remove one."""
        return ""

    # Its changes: within a transaction that `attempt` opens

    def attempt(self, do: Callable[[Any], None], ends: int) -> Attempt:
        """Do something in a transaction, unless more sessions end with it than these.

        Raises Refusal, StoreUnavailable.
        """
        return attempt(
            lambda work: self.context.change_now(self.visit.identity, work),
            do,
            agrees=lambda ending: ending.sessions_ended <= ends,
        )

    def enter(self, change: Any) -> Any:
        """What the methods below are given: the change, or the tenant in it.

        Raises NotFound.
        """
        return change

    def current(self, change: Any, name: str) -> Part:
        """One as it is now.

        Raises NotFound.
        """
        raise NotImplementedError

    def add(self, change: Any, values: dict[str, Any]) -> None:
        """Make a new one of a filled form."""
        raise NotImplementedError

    def set(self, change: Any, name: str, values: dict[str, Any]) -> None:
        """Make one what a filled form says."""
        raise NotImplementedError

    def remove(self, change: Any, name: str) -> None:
        """Take one away."""
        raise NotImplementedError


def capital(text: str) -> str:
    """A text with its first letter large."""
    return text[:1].upper() + text[1:]
