"""Serves the pages of a noun: its list, and the forms to add one, to change it and to remove it.

They are the same for each noun; its description (`noun.py`, `nouns/`) has the words, fields and changes. What
would end with a change is found by making it and rolling it back, so that the question before it is exact.
"""

from typing import Any, Generic, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Form, read_seen, read_texts
from licet.admin.pages.frame import Posted, Visit, link, posting, see, visiting
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.frame import list_file, list_page, question_page, secret_page, setup_page
from licet.admin.pages.setup.noun import Noun, capital
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.rights import keeping_licence, may_add, may_change, must_add
from licet.admin.pages.setup.saving import REHEARSED, Gone, Outcome, remove, save
from licet.admin.problems import not_allowed, not_found
from licet.formats import counted, sentence
from licet.model import Role
from licet.setup.licence_terms import WHY

ENDS_MAX = 10_000_000  # sessions that a person may confirm to end


AnyNoun = TypeVar("AnyNoun", bound=Noun[Any])


class NounPages(Generic[AnyNoun]):
    """The pages of one noun."""

    def __init__(self, context: AdminContext, noun: type[AnyNoun]) -> None:
        self.context = context
        self._noun = noun
        self._path = f"{ROOT}/{noun.path}"
        self._sees_list = visiting(context, noun.sees_list or Role.OWNER)
        self._sees_one = visiting(context, noun.sees_one)
        self._owned = posting(context, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Add their routes."""
        if self._noun.sees_list is not None:
            routes.add_api_route(self._path, self.show_list, methods=["GET"])
            routes.add_api_route(f"{self._path}/download.csv", self.download, methods=["GET"])
        pages = {
            "add": (self.show_new, self.take_new),
            "rotate": (self.show_new, self.take_new),
            "edit": (self.show, self.take),
            "remove": (self.show_removal, self.take_removal),
        }
        for action in self._noun.actions:
            show, take = pages[action]
            routes.add_api_route(f"{self._path}/{action}", show, methods=["GET"])
            routes.add_api_route(f"{self._path}/{action}", take, methods=["POST"])

    async def show_list(self, request: Request) -> Response:
        """The list, and its last changes."""
        visit = await self._sees_list(request)
        if issubclass(self._noun, OfTenant) and visit.the_tenant is None:
            return RedirectResponse(f"{ROOT}/tenants", 303)
        noun = await self._noun.seen(self.context, request, visit)
        return await self.context.run(list_page, request, noun, may_add=may_add(visit, noun.word))

    async def download(self, request: Request) -> Response:
        """The list as a file, for who may see the list."""
        visit = await self._sees_list(request)
        noun = await self._noun.seen(self.context, request, visit)
        return await self.context.run(list_file, request, noun)

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._sees_one(request)
        must_add(visit, self._noun.word)
        noun = await self._noun.seen(self.context, request, visit)
        return await self._form_page(request, noun, None, None, _shown(noun, None))

    async def take_new(self, request: Request) -> Response:
        """A form for a new one."""
        posted = await self._owned(request)
        must_add(posted.visit, self._noun.word)
        noun = await self._noun.seen(self.context, request, posted.visit)
        return await self._save(request, posted, noun, None, None)

    async def show(self, request: Request) -> Response:
        """One, as a form."""
        visit = await self._sees_one(request)
        if self._noun.named_in(request, visit) is None:  # as from another page of the same path
            return RedirectResponse(link(visit, self._path), 303)
        noun, name, part = await self._one(request, visit)
        return await self._form_page(request, noun, name, part, _shown(noun, part))

    async def take(self, request: Request) -> Response:
        """A form that changes one."""
        posted = await self._owned(request)
        noun, name, part = await self._one(request, posted.visit)
        if not may_change(posted.visit, noun.word, noun.fields(part)):
            raise not_allowed(WHY)
        return await self._save(request, posted, noun, name, part)

    async def show_removal(self, request: Request) -> Response:
        """The question before a removal, with what would end."""
        visit = await self._sees_one(request)
        must_add(visit, self._noun.word)
        noun, name, part = await self._one(request, visit)
        outcome = Outcome(is_done=False)
        if noun.is_rehearsed:
            outcome = await self.context.run(remove, noun, name, REHEARSED)
        return await self._removal_page(request, noun, name, part, outcome)

    async def take_removal(self, request: Request) -> Response:
        """Remove it, after the confirmation."""
        posted = await self._owned(request)
        must_add(posted.visit, self._noun.word)
        noun, name, part = await self._one(request, posted.visit)
        typed = noun.must_type(part)
        if typed and posted.text("typed").strip() != typed:
            wrong = "This is not its name. Nothing is removed."
            return await self._removal_page(request, noun, name, part, Outcome(is_done=False), wrong)
        outcome = await self.context.run(remove, noun, name, ENDS_MAX if typed else _ends_of(posted))
        if not outcome.is_done:
            return await self._removal_page(request, noun, name, part, outcome)
        return see(request, noun.back, f"{capital(noun.called(name))} removed{_with_it(outcome)}.")

    async def _one(self, request: Request, visit: Visit) -> tuple[AnyNoun, str, Any]:
        """The one that an address names: its noun, name and value.

        Raises Problem, NotFound.
        """
        noun = await self._noun.seen(self.context, request, visit)
        name = noun.named_in(request, visit) or ""
        part = await self.context.run(noun.find, name)
        if part is None:
            raise not_found(f"There is no {noun.word} {name[:64]}{noun.of}. It may have been removed.")
        return noun, name, part

    async def _save(
        self, request: Request, posted: Posted, noun: Noun[Any], name: str | None, part: Any
    ) -> Response:
        form = _typed(noun, part, posted)
        values = form.values()
        await self.context.run(noun.prepare, form, values, part)
        outcome = Outcome(is_done=False)
        if not form.is_wrong:
            try:
                outcome = await self.context.run(save, noun, form, name, values, _ends_of(posted))
            except Gone as gone:
                raise not_found(sentence(str(gone))) from None
        if not outcome.is_done:
            return await self._form_page(request, noun, name, part, form, outcome.sessions_ended)
        if name is not None:
            return see(request, noun.back, f"{capital(noun.called(name))} saved{_with_it(outcome)}.")
        secret = await self.context.run(noun.secret, values)
        return see(request, *noun.added(values)) if secret is None else secret_page(request, noun, secret)

    async def _form_page(  # noqa: PLR0917 - what a form needs around it
        self, request: Request, noun: Noun[Any], name: str | None, part: Any, form: Form, ending: int = 0
    ) -> Response:
        """The page with a form. `ending` sessions would end with its change."""
        visit, is_new = noun.visit, name is None
        may = may_change(visit, noun.word, form.fields)
        can_go = not is_new and may_add(visit, noun.word) and not noun.is_built_in(name or "")
        return setup_page(
            request,
            noun,
            noun.template,
            noun.headline(name),
            status=422 if form.is_wrong else 409 if form.meanwhile or ending else 200,
            changes=() if is_new else await self.context.run(noun.changes, name),
            more=noun.journal(name),
            form=form,
            may=may,
            why_not=f"You may look at this. {WHY if visit.may(Role.OWNER) else 'An owner may change it.'}",
            ending=ending,
            save=(noun.add_button or f"Add this {noun.word}") if is_new else "Save",
            back=noun.back,
            remove=noun.link_to("remove", name or "") if can_go else None,
            part=part,
            profile=noun.profile(name) if name else None,
        )

    async def _removal_page(  # noqa: PLR0917 - what a question needs around it
        self, request: Request, noun: Noun[Any], name: str, part: Any, outcome: Outcome, wrong: str = ""
    ) -> Response:
        ended = outcome.sessions_ended
        sessions = [f"{counted(ended, 'session')}: their tokens stop working"] if ended else []
        return question_page(
            request,
            noun,
            noun.question(name, part),
            goes=[*sessions, *await self.context.run(noun.goes, part)],
            after=noun.after,
            ends=ended,
            refused=outcome.refusal,
            button=f"Remove {noun.word}" + (f" and end {counted(ended, 'session')}" if ended else ""),
            back=noun.link_to("edit", name) if "edit" in noun.actions else noun.back,
            must_type=noun.must_type(part),
            wrong=wrong,
        )


def _fields(noun: Noun[Any], part: Any) -> tuple[Field, ...]:
    return keeping_licence(noun.visit, noun.word, noun.fields(part))


def _shown(noun: Noun[Any], part: Any) -> Form:
    """A form to show, with what was typed before a sign-in expired, if anything."""
    fields, texts, kept = _fields(noun, part), noun.texts(part), noun.visit.kept
    if not kept:
        return Form(fields, texts)
    seen = read_seen(next((text for name, text in kept if name == "seen"), ""))
    return Form(fields, dict(texts) | read_texts(fields, kept), dict(texts) | seen)


def _typed(noun: Noun[Any], part: Any, posted: Posted) -> Form:
    """A posted form. For fields without a shown value, the current one counts as shown."""
    fields, texts = _fields(noun, part), noun.texts(part)
    return Form(
        fields, dict(texts) | read_texts(fields, posted.items), dict(texts) | read_seen(posted.text("seen"))
    )


def _ends_of(posted: Posted) -> int:
    """How many sessions the person has confirmed to end."""
    text = posted.text("ends")
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(ENDS_MAX))
    return min(int(text), ENDS_MAX) if is_number else 0


def _with_it(outcome: Outcome) -> str:
    """The end of a sentence that says what a change ended."""
    ended = outcome.sessions_ended
    return f", and {counted(ended, 'session')} ended" if ended else ""
