"""Defines why something is refused, as data: a code, the field, what it is about, and the limit.

    raise AlreadyThere("there is a pool full already", code=Code.ALREADY_THERE, field="name",
                       subject=Subject("pool", "full", tenant="Jim_Test"))

The rules:

- The text is one sentence that is true for everybody: what is wrong, and what is allowed. It names no verb of
  the command line, no operation of the API and no page.
- The command line, the API and the pages add what to do next, by the code and the kind of the subject:
  `licet.cli.errors`, `licet.admin.api.advice` and `licet.admin.pages.setup.error_links`.
- A field has the same name everywhere, that of the set-up file and of the option: `session_ttl`, `expires`.
- The text never repeats a value that may be a secret.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

OTHERS_MAX = 10  # that a refusal names

SubjectKind = Literal[
    "tenant",
    "pool",
    "scope",
    "user",
    "client",
    "group",
    "secret",  # of a client, like a key
    "key",
    "administrator",
    "API key",
    "webhook",
    "session",
    "signing key",
]


class Code(StrEnum):
    """What is wrong. Programs depend on these words: their meaning never changes."""

    # A value
    MISSING = "missing"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_CHOICE = "unknown_choice"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    IN_THE_PAST = "in_the_past"
    NO_SUCH_TIME = "no_such_time"
    NOT_TOGETHER = "not_together"
    WEAK_PASSWORD = "weak_password"  # noqa: S105 - a code, no secret
    PRIVATE_KEY = "private_key"
    SHARED_KEY = "shared_key"
    UNSUPPORTED_KEY = "unsupported_key"
    HTTP_NOT_ALLOWED = "http_not_allowed"
    ADDRESS_NOT_PUBLIC = "address_not_public"
    # The set-up as it is
    NOT_FOUND = "not_found"
    ALREADY_THERE = "already_there"
    DIFFERS_BY_CASE = "differs_by_case"
    SAME_KID = "same_kid"
    TOO_MANY = "too_many"
    IN_USE = "in_use"
    BUILT_IN = "built_in"
    IS_DEFAULT = "is_default"
    DISABLED = "disabled"
    LAST_OWNER = "last_owner"
    NOT_YOURS = "not_yours"
    PART_OF_LICENCE = "part_of_licence"
    CHANGED_MEANWHILE = "changed_meanwhile"
    OLDER_NODES = "older_nodes"


MEANING: Mapping[Code, str] = MappingProxyType(
    {
        Code.MISSING: "It is required, but missing.",
        Code.MALFORMED: "Its format is wrong.",
        Code.WRONG_TYPE: "It has the wrong type, such as text instead of a number.",
        Code.UNKNOWN_FIELD: "There is no such field.",
        Code.UNKNOWN_CHOICE: "It is not one of the allowed values.",
        Code.OUT_OF_RANGE: "It is too small or too large; `limit` is the bound.",
        Code.TOO_LONG: "It is too long; `limit` is the length allowed.",
        Code.IN_THE_PAST: "It is in the past.",
        Code.NO_SUCH_TIME: "There is no such day or time of day.",
        Code.NOT_TOGETHER: "It cannot be combined with another value.",
        Code.WEAK_PASSWORD: "The password is easy to guess.",
        Code.PRIVATE_KEY: "It is a private key, which stays with the client.",
        Code.SHARED_KEY: "It is a shared key, which is a secret.",
        Code.UNSUPPORTED_KEY: "It is a public key of an unsupported type.",
        Code.HTTP_NOT_ALLOWED: "A webhook must use https here.",
        Code.ADDRESS_NOT_PUBLIC: "A webhook of one tenant must have a public address.",
        Code.NOT_FOUND: "Nothing has this name.",
        Code.ALREADY_THERE: "The name exists already.",
        Code.DIFFERS_BY_CASE: "A name exists that differs only in upper and lower case.",
        Code.SAME_KID: "Two keys of a client would have the same kid.",
        Code.TOO_MANY: "The maximum is reached; `limit` is the maximum.",
        Code.IN_USE: "Something else depends on it.",
        Code.BUILT_IN: "It is built in, and cannot be changed.",
        Code.IS_DEFAULT: "It is the default scope of its tenant.",
        Code.DISABLED: "It is disabled.",
        Code.LAST_OWNER: "Nobody would be left who can change the accounts.",
        Code.NOT_YOURS: "An account of one tenant can add accounts of that tenant only.",
        Code.PART_OF_LICENCE: "It is part of the licence, which an owner of all tenants changes.",
        Code.CHANGED_MEANWHILE: "Somebody else was first.",
        Code.OLDER_NODES: "Servers of an older version still run.",
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a refusal. `client` is the client_id of a secret or key."""

    kind: SubjectKind
    name: str = ""
    tenant: str = ""
    client: str = ""

    def __str__(self) -> str:
        """`pool full`."""
        return f"{self.kind} {self.name}".rstrip()


class Refusal(Exception):
    """Something is refused; its text says why.

    `field` is '' where no value is wrong, and `beside` the other field that it conflicts with. `others` are
    what prevents it, such as the scopes of a pool, or the names that exist.
    """

    def __init__(
        self,
        text: str,
        *,
        code: Code,
        field: str = "",
        beside: str = "",
        subject: Subject | None = None,
        limit: int | None = None,
        others: tuple[Subject, ...] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.field = field
        self.beside = beside
        self.subject = subject
        self.limit = limit
        self.others = others


def names_of(names: Iterable[str]) -> str:
    """Some names for the text of a refusal: `A, B and 3 more`."""
    ordered = sorted(names)
    more = f" and {len(ordered) - OTHERS_MAX} more" if len(ordered) > OTHERS_MAX else ""
    return ", ".join(ordered[:OTHERS_MAX]) + more


@contextmanager
def of_field(field: str) -> Iterator[None]:
    """Give this field to every refusal within the block that has none."""
    try:
        yield
    except Refusal as refusal:
        refusal.field = refusal.field or field
        raise
