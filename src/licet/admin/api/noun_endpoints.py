"""Registers the endpoints that nouns have in common: list, add, show, change and remove.

    scopes = Endpoints("Scope", OfTenant(lambda of: of.scopes), path="/tenants/{tenant}/scopes", ...)
    scopes.lists("The scopes of a tenant.")
    scopes.removes("Remove it; its sessions end.", LICENSING, TenantSetup.remove_scope)

The rules:

- A noun has a file, which says in which collection its things are and how one is shown. There, each endpoint
  that is like those of other nouns is one call; any other is a function on the noun's `router`.
- What can be changed has an entity tag. To change or remove it, `If-Match` has to fit what the transaction
  finds (`licet.admin.api.call`); for the others, no condition is read.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Concatenate, Generic, NamedTuple, TypeVar

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.api import openapi
from licet.admin.api.call import READING, Call, Rights, TenantNotThere, created, edited, there
from licet.admin.api.collection import Collection, Owner
from licet.admin.api.conditional import Condition, Shown, condition_of, must_match, represent
from licet.admin.api.dry_run import agreeable, rehearsable
from licet.admin.api.parameters import Paged, name_in_path
from licet.admin.api.requests import Body
from licet.model import Value
from licet.setup.noun import Noun

Change = TypeVar("Change")
Thing = TypeVar("Thing")
Made = TypeVar("Made")
Given = dict[str, Any]

# A dependency that reads from the query which are looked for.
Only = Callable[..., Awaitable[Callable[[Thing], bool]]]
# Adds, changes or removes, in a transaction. It is given the client, where that is the owner, then the name,
# and as keywords what was sent.
Do = Callable[Concatenate[Change, str, ...], object]
# Makes what was sent ready before the transaction, as the hash of a password.
Prepare = Callable[[Call, Owner, str, Given], Awaitable[Given]]


async def _every() -> Callable[[object], bool]:
    return lambda _: True


async def _any_content() -> str:
    return "*"


async def _as_sent(_: Call, __: Owner, ___: str, given: Given) -> Given:
    return given


class New(NamedTuple, Generic[Thing]):
    """How one is shown that was just made: its shape, and what makes that."""

    shape: type[Value]
    show: Callable[[Thing], Value]


class Endpoints(Generic[Change, Thing]):
    """The endpoints of a noun. `operation` is its name in the ids of operations, `word` in sentences.

    `path` is where the list is, ordered by name or by `order`. `key` is the parameter behind it that names
    one, and `named_by` what a body calls that. `shape` is what `show` makes of one; `hidden` counts for its
    tag and is never shown. `noun` knows the model's names of what is sent, where they are others.
    """

    def __init__(
        self,
        operation: str,
        collection: Collection[Change, Thing],
        *,
        path: str,
        tag: str,
        key: str,
        word: str,
        shape: type[Value],
        show: Callable[[Call, Thing], Value],
        hidden: Callable[[Thing], bytes] = lambda _: b"",
        order: Callable[[Thing], str] | None = None,
        named_by: str = "name",
        noun: Noun | None = None,
        has_tag: bool = True,
    ) -> None:
        self.router = APIRouter(prefix=path, tags=[tag])
        self.collection = collection
        self._operation = operation
        self._word, self._key, self._named_by = word, key, named_by
        self._shape, self._show, self._hidden, self._order = shape, show, hidden, order
        self._noun = noun
        self._has_tag = has_tag

    # One of them

    def find(self, call: Call, owner: Owner, name: str) -> Thing:
        """One as it is now; call it in a thread.

        Raises NotThere.
        """
        found = self.collection.find(call, owner, name)
        known = self.collection.all(call, owner) if found is None else ()
        return there(found, self._word, name, known)

    def find_in(self, change: Change, call: Call, owner: Owner, name: str) -> Thing:
        """One as it is in a transaction.

        Raises NotThere.
        """
        found = self.collection.find_in(change, call, owner, name)
        return there(found, self._word, name, self.collection.names_in(change, owner))

    async def change_one(
        self, call: Call, owner: Owner, name: str, do: Callable[[Change, str], Made]
    ) -> Made:
        """What `do` gives, which changes one of this name, whatever its content is.

        Raises NotThere.
        """

        def work(change: Change) -> Made:
            self.find_in(change, call, owner, name)
            return do(change, name)

        return await self.collection.change(call, owner, work)

    def shown(self, call: Call, thing: Thing) -> Shown:
        """One as it is shown, with its tag."""
        return represent(self._show(call, thing), self._hidden(thing))

    # Endpoints

    def lists(self, text: str, who: Rights = READING, only: Only[Thing] = _every) -> None:
        """Show a page of them. `only` reads which are looked for."""

        async def endpoint(
            call: Annotated[Call, Depends(who)],
            owner: Annotated[Owner, Depends(self.collection.owner)],
            is_wanted: Annotated[Callable[[Thing], bool], Depends(only)],
            page: Paged,
        ) -> Response:
            def found() -> dict[str, Thing]:
                every = self.collection.all(call, owner).items()
                return {
                    self._order(value) if self._order else name: value
                    for name, value in every
                    if is_wanted(value)
                }

            return await call.show_list(found, lambda value: self._show(call, value), page)

        problems = (404,) if "{" in self.router.prefix else ()
        self._register("GET", "list", text, endpoint, openapi.listed(self._shape, *problems))

    def adds(
        self,
        text: str,
        who: Rights,
        body: type[Body],
        do: Do[Change],
        *,
        prepare: Prepare = _as_sent,
        new: New[Thing] | None = None,
    ) -> None:
        """Add one, and show it: as `new` says, where more is said of one that was just made."""

        async def endpoint(
            call: Annotated[Call, Depends(who)],
            owner: Annotated[Owner, Depends(self.collection.owner)],
            sent: body,  # type: ignore[valid-type]  # FastAPI reads the annotation when this is registered
        ) -> Response:
            given = self._settings(call, sent)
            name = given.pop(self._named_by)
            given = await prepare(call, owner, name, given)

            def work(change: Change) -> Thing:
                do(change, *owner[1:], name, **given)
                return self.find_in(change, call, owner, name)

            made = await self.collection.change(call, owner, work)

            def answer() -> Response:
                shown = self.shown(call, made)
                if new is not None:
                    shown = replace(shown, body=represent(new.show(made)).body)
                return created(shown, call.below(name))

            return await call.context.run(answer)

        route = openapi.added(self._shape if new is None else new.shape)
        self._register("POST", "add", text, endpoint, route)

    def shows(self, text: str, who: Rights = READING) -> None:
        """Show one."""

        async def endpoint(
            call: Annotated[Call, Depends(who)],
            owner: Annotated[Owner, Depends(self.collection.owner)],
            name: Annotated[str, Depends(name_in_path(self._key))],
        ) -> Response:
            if self._has_tag:
                return await call.show_edited(lambda: self.shown(call, self.find(call, owner, name)))
            return await call.show(lambda: self._show(call, self.find(call, owner, name)))

        route = openapi.shown(self._shape) if self._has_tag else openapi.one(self._shape, 404)
        self._register("GET", "get", text, endpoint, route)

    def changes(
        self, text: str, who: Rights, body: type[Body], do: Do[Change], prepare: Prepare = _as_sent
    ) -> None:
        """Change one, if it is still what the caller means, and show it as it is then."""

        async def endpoint(
            call: Annotated[Call, Depends(who)],
            owner: Annotated[Owner, Depends(self.collection.owner)],
            name: Annotated[str, Depends(name_in_path(self._key))],
            condition: Condition,
            sent: body,  # type: ignore[valid-type]  # FastAPI reads the annotation when this is registered
        ) -> Response:
            given = await prepare(call, owner, name, self._settings(call, sent))

            def work(change: Change) -> Shown:
                must_match(condition, self.shown(call, self.find_in(change, call, owner, name)))
                do(change, *owner[1:], name, **given)
                return self.shown(call, self.find_in(change, call, owner, name))

            return edited(await self.collection.change(call, owner, work))

        self._register("PATCH", "change", text, endpoint, openapi.edited(self._shape))

    def removes(self, text: str, who: Rights, do: Do[Change]) -> None:
        """Remove one, if it is still what the caller means; 204 also when it is gone."""

        async def endpoint(
            call: Annotated[Call, Depends(who)],
            owner: Annotated[Owner, Depends(self.collection.owner)],
            name: Annotated[str, Depends(name_in_path(self._key))],
            condition: Annotated[str, Depends(condition_of if self._has_tag else _any_content)],
        ) -> Response:

            def work(change: Change) -> None:
                try:
                    found = self.collection.find_in(change, call, owner, name)
                except TenantNotThere:
                    return
                if found is not None:
                    must_match(condition, self.shown(call, found))
                    do(change, *owner[1:], name)

            await self.collection.change(call, owner, work)
            return Response(status_code=204)

        route = openapi.removed() if self._has_tag else openapi.one(None, 404, status=204)
        self._register("DELETE", "remove", text, endpoint, route)

    def _settings(self, call: Call, sent: Body) -> Given:
        given = call.given(sent)
        return given if self._noun is None else self._noun.taken(given)

    def _register(
        self, method: str, verb: str, text: str, endpoint: Callable[..., Any], route: openapi.Route
    ) -> None:
        if self.collection.can_be_rehearsed and method != "GET":
            may_end_sessions = self.collection.ends_sessions and verb in {"change", "remove"}
            route = agreeable(route) if may_end_sessions else rehearsable(route)
        self.router.add_api_route(
            "" if verb in {"list", "add"} else f"/{{{self._key}}}",
            endpoint,
            methods=[method],
            operation_id=f"{verb}{self._operation}{'s' if verb == 'list' else ''}",
            description=text,
            **route,
        )
