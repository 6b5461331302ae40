"""Renders what set-up pages share: tabs, lists, the question before a removal, and a new secret."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from licet.admin.pages.downloads import csv_file, file_name, moment
from licet.admin.pages.filters import cleaned
from licet.admin.pages.frame import link, page
from licet.admin.pages.journal import did_text
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.setup.cells import Cell, Row
from licet.admin.pages.setup.error_links import ROOT, places
from licet.admin.pages.setup.first_run import Steps, is_unfinished, steps_of
from licet.admin.pages.setup.noun import Noun, Secret, capital
from licet.admin.pages.setup.owners import OfTenant
from licet.formats import counted, sentence
from licet.model import Role
from licet.refusal import Refusal

ROWS = 100  # of one page of a list
FIND_FROM = 10  # fewer fit on one screen

TABS = (
    (f"{ROOT}/tenants", "Tenants"),
    (f"{ROOT}/pools", "Pools"),
    (f"{ROOT}/scopes", "Scopes"),
    (f"{ROOT}/users", "Users"),
    (f"{ROOT}/clients", "Clients"),
    (f"{ROOT}/groups", "Groups"),
    (f"{ROOT}/webhooks", "Webhooks"),
)
OWNERS_TABS = ((f"{ROOT}/administrators", "Administrators"), (f"{ROOT}/keys", "API keys"))


def setup_page(
    request: Request, noun: Noun[Any], template: str, headline: str, *, status: int = 200, **context: Any
) -> Response:
    """A page of the set-up, under the tab of its noun."""
    path, query = request.url.path, request.url.query
    return page(
        request,
        noun.visit,
        template,
        here="Set-up",
        status=status,
        tabs=TABS + OWNERS_TABS if noun.visit.may(Role.OWNER) else TABS,
        tab=noun.tab,
        here_path=f"{path}?{query}" if query else path,
        headline=headline,
        noun=noun,
        did=did_text,
        **context,
    )


def list_page(request: Request, noun: Noun[Any], *, may_add: bool) -> Response:
    """The part of a list that an address asks for: those that match `q`, after the name `after`.

    It may read many: call it in a thread. Raises StoreUnavailable.
    """
    parts, visit, path = noun.parts(), noun.visit, request.url.path
    q, after = cleaned(request.query_params.get("q", "")), request.query_params.get("after", "")
    found = _fitting(noun, parts, q)
    first = sum(_order(name) <= _order(after) for name in found) if after else 0
    names = found[first : first + ROWS]
    last = first + len(names)
    action = "edit" if "edit" in noun.actions else "remove"
    may_see = visit.may(noun.sees_one)
    return setup_page(
        request,
        noun,
        "setup/list.html",
        f"{counted(len(parts), noun.word)}{noun.of}",
        changes=noun.changes(None),
        more=noun.journal(None),
        may=may_add,
        path=path,
        headings=[capital(noun.word), *noun.columns],
        rows=[
            Row(name, noun.link_to(action, name) if may_see else "", noun.row(parts[name])) for name in names
        ],
        has_any=bool(parts),
        empty=noun.nothing_yet(),
        download=link(visit, f"{path}/download.csv", q=q),
        first_steps=first_steps(noun),
        q=q,
        may_find=len(parts) > FIND_FROM or bool(q),
        shown=f"{first + 1:,} to {last:,} of {len(found):,}" if last < len(parts) or q else "",
        newer=link(visit, path, q=q) if first else None,
        older=link(visit, path, q=q, after=names[-1]) if last < len(found) else None,
    )


def list_file(request: Request, noun: Noun[Any]) -> Response:
    """All of a list that match `q`, as a file with its columns.

    It may read many: call it in a thread. Raises StoreUnavailable.
    """
    parts, zone = noun.parts(), zone_of(request)
    names = _fitting(noun, parts, cleaned(request.query_params.get("q", "")))
    of_tenant = [noun.tenant.name] if isinstance(noun, OfTenant) else []
    headings = [*("tenant" for _ in of_tenant), noun.key, *noun.columns]
    return csv_file(
        file_name("licet", *of_tenant, noun.plural.lower().replace(" ", "-")),
        [text.lower().replace(" ", "_") for text in headings],
        ([*of_tenant, name, *(_value(cell, zone) for cell in noun.row(parts[name]))] for name in names),
    )


def _value(cell: Cell, zone: str) -> int | str:
    """What a file has of a cell."""
    if cell.at_ms is not None:
        return moment(cell.at_ms, zone)
    return cell.text if cell.whole is None else cell.whole


def _fitting(noun: Noun[Any], parts: Mapping[str, Any], q: str) -> list[str]:
    """The names of those in which all words of a search occur, in their order."""
    words = q.casefold().split()
    found = (name for name, part in parts.items() if _fits(noun.sought(name, part), words))
    return sorted(found, key=_order)


def _fits(text: str, words: Sequence[str]) -> bool:
    return all(word in text.casefold() for word in words)


def first_steps(noun: Noun[Any]) -> Steps | None:
    """The path to the first token, while no client of the tenant could get one."""
    tenant, visit = noun.tenant, noun.visit
    if tenant is None and not visit.tenants:
        return steps_of(visit, None, None)
    return steps_of(visit, tenant, None) if tenant and is_unfinished(tenant, visit.now_ms) else None


def question_page(
    request: Request,
    noun: Noun[Any],
    question: str,
    *,
    button: str,
    back: str,
    goes: Sequence[str] = (),
    after: str = "",
    ends: int = 0,
    refused: Refusal | None = None,
    must_type: str = "",
    wrong: str = "",
) -> Response:
    """The question before a removal, and what ends with it."""
    return setup_page(
        request,
        noun,
        "setup/remove.html",
        question,
        status=409 if refused else 422 if wrong else 200,
        goes=goes,
        ends=ends,
        after=after,
        refused=sentence(str(refused)) if refused else "",
        places=places(noun.visit, refused) if refused else (),
        button=button,
        back=back,
        must_type=must_type,
        wrong=wrong,
    )


def secret_page(request: Request, noun: Noun[Any], shown: Secret) -> Response:
    """A secret in a box, to be copied."""
    return setup_page(request, noun, "setup/secret.html", shown.headline, shown=shown)


def _order(name: str) -> tuple[str, str]:
    return name.casefold(), name
