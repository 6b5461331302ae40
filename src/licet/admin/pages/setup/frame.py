"""Renders what the set-up pages share: the list, the form, the question before a removal, a new secret.

Owners change, others look; only owners of all tenants change what is part of the licence. A form that is not
saved comes again as it was typed, with what is wrong beside the fields, and each page shows who changed what
last.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import Response
from msgspec.structs import replace
from sqlalchemy import Connection

from licet.admin.context import Desk, must_be
from licet.admin.pages.filters import cleaned
from licet.admin.pages.forms import Field, Form, Kind, Texts, read_seen, read_texts
from licet.admin.pages.frame import Posted, Visit, link, page
from licet.admin.pages.journal import did_told
from licet.admin.pages.setup.noun import Cell
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.pages.setup.saving import Outcome, remove
from licet.admin.problems import not_allowed, not_found
from licet.formats import NEVER, counted, sentence
from licet.journal import history
from licet.journal.history import Did, HistoryFilter
from licet.model import Role, Tenant
from licet.refusal import Refusal
from licet.setup.change import SetupChange
from licet.setup.licence_terms import WHY, is_counted, licence_names
from licet.store.errors import SetupError
from licet.store.paging import LIMIT_MAX

HERE = "Set-up"
ROWS = 100  # of one page of a list
FIND_FROM = 10  # fewer are seen at once
CHANGES = 5  # that a page shows of who changed what
ENDS_MAX = 10_000_000

TABS = (
    (f"{ROOT}/tenants", "Tenants"),
    (f"{ROOT}/pools", "Pools"),
    (f"{ROOT}/scopes", "Scopes"),
    (f"{ROOT}/users", "Users"),
    (f"{ROOT}/clients", "Clients"),
    (f"{ROOT}/webhooks", "Webhooks"),
)
OWNERS_TABS = ((f"{ROOT}/administrators", "Administrators"), (f"{ROOT}/keys", "API keys"))


class Row(NamedTuple):
    """One of a list."""

    name: str
    href: str
    cells: Sequence[Cell]


class Listed(NamedTuple):
    """Of a list in the order of names, what one page of it shows."""

    names: Sequence[str]
    first: int  # the place of the first of them, from 0
    matching: int  # how many there are of what is looked for
    all: int
    q: str

    @property
    def is_last(self) -> bool:
        """Whether no page follows."""
        return self.first + len(self.names) >= self.matching


class Around(NamedTuple):
    """What a page of the set-up has around it: its tab, and who changed it last."""

    tab: str
    changes: Sequence[Did] = ()
    more: str = ""  # where all changes are


def listed(request: Request, names: Sequence[str], words: Callable[[str], str]) -> Listed:
    """What is asked for of these names; `words` is what one is found by."""
    q, after = (request.query_params.get(name, "") for name in ("q", "after"))
    sought = cleaned(q).casefold().split()
    found = sorted((it for it in names if all(word in words(it).casefold() for word in sought)), key=_order)
    begin = sum(_order(it) <= _order(after) for it in found) if after else 0
    return Listed(found[begin : begin + ROWS], begin, len(found), len(names), cleaned(q))


def list_page(
    request: Request,
    visit: Visit,
    around: Around,
    shown: Listed,
    rows: Sequence[Row],
    *,
    headline: str,
    about: str,
    empty: str,
    command: str,
    word: str,
    columns: Sequence[str],
    may: bool,
    first_step: tuple[str, str] | None = None,
) -> Response:
    """What there is of a noun; `first_step` is a link and its text, where something else comes before."""
    path = request.url.path
    numbers = [cell.is_number for cell in rows[0].cells] if rows else [False] * len(columns)
    last = shown.first + len(shown.names)
    return page(
        request,
        visit,
        "setup/list.html",
        here=HERE,
        tabs=_tabs(visit),
        tab=around.tab,
        changes=around.changes,
        did=did_told,
        more=around.more,
        may=may,
        headline=headline,
        about=about,
        empty=empty,
        command=command,
        first_step=first_step,
        path=path,
        word=word,
        a="an" if word in {"administrator", "API key"} else "a",
        plural=around.tab if around.tab.startswith("API") else around.tab.lower(),
        columns=[Cell(word[:1].upper() + word[1:]), *map(_heading, columns, numbers)],
        rows=rows,
        has_any=bool(shown.all),
        q=shown.q,
        may_find=shown.all > FIND_FROM or bool(shown.q),
        shown=f"{shown.first + 1:,} to {last:,} of {shown.matching:,}" if last < shown.all or shown.q else "",
        newer=link(visit, path, q=shown.q) if shown.first else None,
        older=None if shown.is_last else link(visit, path, q=shown.q, after=shown.names[-1]),
    )


def form_page(
    request: Request,
    visit: Visit,
    around: Around,
    form: Form,
    *,
    headline: str,
    save: str,
    back: str,
    may: bool = True,
    why_not: str = "You may look at this. An owner may change it.",
    removal: str | None = None,
    ending: int = 0,
    template: str = "setup/form.html",
    **more: Any,
) -> Response:
    """A form, at the address that takes it. `ending` sessions would end with it."""
    return page(
        request,
        visit,
        template,
        here=HERE,
        status=422 if form.is_wrong else 409 if form.meanwhile or ending else 200,
        tabs=_tabs(visit),
        tab=around.tab,
        changes=around.changes,
        did=did_told,
        more=around.more,
        headline=headline,
        form=form,
        may=may,
        why_not=why_not,
        ending=ending,
        here_path=_here(request),
        save=save,
        back=back,
        remove=removal,
        **more,
    )


def removal_page(
    request: Request,
    visit: Visit,
    tab: str,
    headline: str,
    *,
    goes: Sequence[str],
    after: str,
    button: str,
    back: str,
    ends: int = 0,
    refused: Refusal | None = None,
    must_type: str = "",
    wrong: str = "",
) -> Response:
    """Is it meant? And what ends with it."""
    return page(
        request,
        visit,
        "setup/remove.html",
        here=HERE,
        status=409 if refused else 422 if wrong else 200,
        tabs=_tabs(visit),
        tab=tab,
        headline=headline,
        goes=goes,
        ends=ends,
        after=after,
        refused=sentence(str(refused)) if refused else "",
        places=places(visit, refused) if refused else (),
        button=button,
        back=back,
        must_type=must_type,
        wrong=wrong,
        here_path=_here(request),
    )


def secret_page(
    request: Request,
    visit: Visit,
    tab: str,
    headline: str,
    *,
    secret: str,
    label: str,
    what: str,
    back: str,
    example: str = "",
    example_title: str = "",
    is_once: bool = True,
) -> Response:
    """A secret in a box, to be copied; most can never be shown again."""
    return page(
        request,
        visit,
        "setup/secret.html",
        here=HERE,
        tabs=_tabs(visit),
        tab=tab,
        headline=headline,
        secret=secret,
        label=label,
        what=what,
        back=back,
        example=example,
        example_title=example_title,
        is_once=is_once,
    )


def _tabs(visit: Visit) -> Sequence[tuple[str, str]]:
    return TABS + OWNERS_TABS if visit.may(Role.OWNER) else TABS


def must_be_owner(visit: Visit) -> None:
    """Return if the reader may change the set-up.

    Raises Problem.
    """
    must_be(visit.identity, Role.OWNER)


def must_see_all(visit: Visit, what: str) -> None:
    """Return if the reader may change what concerns all tenants.

    Raises Problem.
    """
    must_be_owner(visit)
    if visit.identity.tenant_id is not None:
        raise not_allowed(f"Only an owner of all tenants may {what}.")


def must_own_licence(visit: Visit, word: str) -> None:
    """Return if the reader may add and remove one of these, where that changes the licence.

    Raises Problem.
    """
    must_be_owner(visit)
    if is_counted(word) and not visit.identity.owns_licence:
        raise not_allowed(f"{WHY} Your role is for one tenant.")


def may_change(visit: Visit, word: str, fields: Sequence[Field]) -> bool:
    """Whether there is anything in a form of this noun that the reader may change."""
    if not visit.may(Role.OWNER):
        return False
    licence = _in_licence(word)
    return visit.identity.owns_licence or any(
        field.kind is not Kind.FIXED and field.name not in licence for field in fields
    )


def keeping_licence(visit: Visit, word: str, fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields of a form; those of the licence are only shown to a reader who does not own it."""
    if visit.identity.owns_licence or not may_change(visit, word, fields):
        return tuple(fields)
    licence = _in_licence(word)
    return tuple(_only_shown(it) if it.name in licence else it for it in fields)


def _only_shown(field: Field) -> Field:
    nothing = NEVER if field.kind is Kind.END else WHY  # what stands there when it holds nothing
    return replace(field, kind=Kind.FIXED, help=nothing)


def _in_licence(word: str) -> frozenset[str]:
    """What a form calls the settings that are part of the licence."""
    return licence_names(word)


async def chosen_tenant(desk: Desk, visit: Visit) -> Tenant:
    """The tenant that is looked at, as it is now.

    Raises Problem, NotFound.
    """
    if visit.the_tenant is None:
        raise not_found("Say of which tenant.")
    return await desk.tenant(visit.identity, visit.the_tenant.name)


def shown_form(fields: Sequence[Field], texts: Texts, visit: Visit) -> Form:
    """A form as it is shown: with what was typed before a sign-in expired, if anything was."""
    if not visit.kept:
        return Form(fields, texts)
    seen = read_seen(next((text for name, text in visit.kept if name == "seen"), ""))
    return Form(fields, dict(texts) | read_texts(fields, visit.kept), dict(texts) | seen)


def typed_form(fields: Sequence[Field], texts: Texts, posted: Posted) -> Form:
    """A form as it came back. What it does not say that it showed, it showed as it is now."""
    seen = read_seen(posted.text("seen"))
    return Form(fields, dict(texts) | read_texts(fields, posted.items), dict(texts) | seen)


def ends_of(posted: Posted) -> int:
    """How many sessions the person has agreed to end."""
    text = posted.text("ends")
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(ENDS_MAX))
    return min(int(text), ENDS_MAX) if is_number else 0


async def removed(
    desk: Desk, visit: Visit, do: Callable[[SetupChange], object], ends: int | None
) -> tuple[Outcome, Refusal | None]:
    """Remove something, or rehearse it without `ends`; and why it cannot be."""
    try:
        return await desk.run(remove, desk, visit.identity, do, ends=ends), None
    except SetupError as refusal:
        return Outcome(is_done=False), refusal


def changes_of(connection: Connection, tenant: Tenant | None, word: str, name: str | None) -> Sequence[Did]:
    """Who changed this noun last, or this one of it, newest first."""
    only = HistoryFilter(
        kinds=frozenset({history.Kind.EVENT}),
        pool=name or "" if word == "pool" else "",
        client=name or "" if word == "client" else "",
        user=name or "" if word == "user" else "",
    )
    entries = history.history(connection, tenant, only=only, limit=LIMIT_MAX).entries
    events = [it for it in entries if isinstance(it, Did)]
    if name is None:
        return [it for it in events if it.target.startswith(f"{word} ")][:CHANGES]
    return [it for it in events if it.target == f"{word} {name}"][:CHANGES]


def with_it(sessions: int) -> str:
    """What ended with a change, as the end of a sentence."""
    return f", and {counted(sessions, 'session')} ended" if sessions else ""


def _here(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _heading(name: str, is_number: bool) -> Cell:
    return Cell(name, is_number=is_number)


def _order(name: str) -> tuple[str, str]:
    return name.casefold(), name
