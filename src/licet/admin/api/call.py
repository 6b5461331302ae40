"""Handles a call of the admin API: required role, `If-Match`, transaction, and the JSON answer.

    async def get_pool(call: Reading, tenant: TenantPath, pool: NamePath) -> Response:
        return await call.show(lambda: responses.pool(...))

The rules:

- All that meets the store, and the making of the answer's bytes, happens in a thread of the context.
- What can be edited has an entity tag, of its content. To change or remove it, `If-Match` has to say which
  content is meant (428 without, before the body is looked at): two who edit at once are distinguished in the
  transaction itself, and the one who comes second gets what is there now (412). `*` is any content.
- Removing what is not there any more is done already (RFC 9110 13.1.1). What is not for the one who asks is
  not there either, but for the names of its own tenant.
- A list is `items` and `next`, the cursor of the page behind it; a `Link` header has the address of that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends
from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.requests import Request

from licet.admin.api.conditional import Shown, matches
from licet.admin.api.dry_run import (
    Rehearsed,
    is_agreed,
    is_asked,
    must_be_possible,
    needs_agreement,
    would_end,
)
from licet.admin.api.parameters import Page, must_be_known, must_have_no_body
from licet.admin.api.requests import Body
from licet.admin.api.wire import encoded
from licet.admin.authentication import Identity
from licet.admin.context import AdminContext, must_be
from licet.admin.gate import SLASH
from licet.admin.problems import Problem, not_allowed
from licet.model import Role, Tenant, Value
from licet.nearest import or_rather
from licet.refusal import Subject
from licet.setup.change import SetupChange
from licet.setup.consequences import Attempt, Consequences, attempt
from licet.setup.licence_terms import WHY
from licet.setup.tenant import TenantSetup
from licet.store.errors import NotFound, unknown
from licet.store.paging import read_cursor, write_cursor

API = "/api/v1"
JSON = "application/json"

Made = TypeVar("Made")
Found = TypeVar("Found")


class NotThere(Problem):
    """What an address names is not there; `known` are the names that the caller may see."""

    def __init__(self, what: str, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(404, "not-found", f"There is no {what} {name}{or_rather(name, known)}")


class TenantNotThere(NotThere):
    """It is a tenant, or is not for this caller to see."""


class Call:
    """A call by somebody who may make it."""

    def __init__(self, context: AdminContext, identity: Identity, request: Request) -> None:
        self.context = context
        self.identity = identity
        self.request = request

    # Answers

    async def show(self, make: Callable[[], Any]) -> Response:
        """What `make` gives, as JSON."""
        return await self.context.run(lambda: answer(make()))

    async def show_edited(self, make: Callable[[], Shown]) -> Response:
        """The same of something that can be edited; 304 where the caller has it already."""
        return await self.context.run(lambda: self.shown(make()))

    def shown(self, found: Shown, content_type: str = JSON) -> Response:
        """The answer to a conditional GET."""
        known = self.request.headers.get("if-none-match")
        headers = {"ETag": found.etag, "Cache-Control": "no-cache, private"}
        if known is not None and matches(known, found.etag, weakly=True):
            return Response(None, 304, headers)
        return Response(found.body, 200, headers, content_type)

    async def show_list(
        self, make: Callable[[], Mapping[str, Made]], shape: Callable[[Made], Any], page: Page
    ) -> Response:
        """A page of these, in the order of their keys."""

        def work() -> Response:
            after = read_cursor(page.cursor, tuple[str])[0] if page.cursor is not None else None
            found = make()
            rest = sorted(key for key in found if after is None or key > after)
            keys = rest[: page.limit]
            next_ = write_cursor(keys[-1]) if len(rest) > len(keys) else None
            return self.page([shape(found[key]) for key in keys], next_)

        return await self.context.run(work)

    def page(self, items: Sequence[Any], next_: str | None) -> Response:
        """A page of a list with the address of the next one."""
        headers = {}
        if next_ is not None:
            given = [
                (name, text) for name, text in self.request.query_params.multi_items() if name != "cursor"
            ]
            path = quote(self.request.scope["path"].replace(SLASH, "%2F"), safe="/%:@!$&'()*+,;=~")
            headers["Link"] = f'<{path}?{urlencode([*given, ("cursor", next_)])}>; rel="next"'
        return answer({"items": items, "next": next_}, headers=headers)

    async def show_of(self, tenant: str, read: Callable[[Connection, Tenant], Any]) -> Response:
        """What is read of a tenant, at one instant, as JSON."""

        def make() -> Any:
            known = self.tenant(tenant)
            return self.context.read_now(lambda connection: read(connection, known))

        return await self.show(make)

    async def show_page(self, page: Page, items: str, read: Callable[..., Any]) -> Response:
        """A page of what `read` finds, which is given a connection, `after` and `limit`.

        It has the `next` cursor, and under the name `items` what is on the page.
        """

        def work() -> Response:
            found = self.context.read_now(
                lambda connection: read(connection, after=page.cursor, limit=page.limit)
            )
            return self.page(getattr(found, items), found.next)

        return await self.context.run(work)

    async def show_page_of(
        self, tenant: str | None, page: Page, items: str, read: Callable[..., Any]
    ) -> Response:
        """The same of a tenant, which `read` is given too; None is all tenants, or the caller's only one."""

        def find() -> Tenant | None:
            if tenant is None and self.identity.tenant_id is not None:
                return self.context.tenants_now(self.identity)[0]
            return None if tenant is None else self.tenant(tenant)

        known = await self.context.run(find)
        return await self.show_page(page, items, lambda connection, **part: read(connection, known, **part))

    # Tenants

    def tenant(self, name: str) -> Tenant:
        """A tenant as it is now; call it in a thread.

        Raises NotThere.
        """
        try:
            return self.context.tenant_now(self.identity, name)
        except NotFound:
            raise self._no_tenant(name) from None

    def _no_tenant(self, name: str) -> TenantNotThere:
        """For who does not see it, as for everybody where it is not there."""
        seen = (it.name for it in self.context.store.tenants().values() if self.identity.sees(it.id))
        return TenantNotThere("tenant", name, seen)

    def tenant_id(self, name: str | None) -> int | None:
        """The id of the tenant that a body names, None for all of them; call it in a thread.

        Raises NotFound at this member of the body.
        """
        if name is None:
            return None
        known = {it.name: it.id for it in self.context.tenants_now(self.identity)}
        if name not in known:
            raise unknown(Subject("tenant", name), known, field="tenant")
        return known[name]

    def now_ms(self) -> int:
        """The store's clock."""
        return self.context.clock.now_ms()

    # Changes

    def given(self, body: Body) -> dict[str, Any]:
        """What the body changes. Where a value is refused, its fields are known from here on."""
        given = body.given()
        self.request.state.field_names = tuple(given)
        return given

    async def change(self, tenant: str, do: Callable[[TenantSetup], Made]) -> Made:
        """What `do` gives, which changes something of a tenant; with `dry_run` it is taken back."""
        return await self.change_setup(lambda change: do(self.setup(change, tenant)))

    async def change_setup(self, work: Callable[[SetupChange], Made]) -> Made:
        """What `work` gives, which changes the set-up; with `dry_run` it is taken back.

        Of an operation with `may_end`, no more sessions end than the caller agrees to. Raises Rehearsed, with
        would end, where only that was asked; Problem, with the same.
        """
        if needs_agreement(self.request):
            return (await self.change_agreed(work))[0]
        if not is_asked(self.request):
            return await self.context.change(self.identity, work)

        raise Rehearsed((await self.attempt(work)).ending)

    async def attempt(
        self, work: Callable[[SetupChange], Any], *, agrees: Callable[[Consequences], bool] = lambda _: False
    ) -> Attempt:
        """What becomes of a change that is made only if its consequences are agreed to; else taken back."""

        def run() -> Attempt:
            return attempt(lambda do: self.context.change_now(self.identity, do), work, agrees=agrees)

        return await self.context.run(run)

    async def change_agreed(self, work: Callable[[SetupChange], Made]) -> tuple[Made, Consequences]:
        """The same of a change that is made only if no more sessions end than the caller agrees to.

        Also what ended with it. Raises Rehearsed; Problem, with what would end.
        """
        made: list[Made] = []

        def do(change: SetupChange) -> None:
            made.append(work(change))

        def agrees(ending: Consequences) -> bool:
            return not is_asked(self.request) and is_agreed(self.request, ending)

        tried = await self.attempt(do, agrees=agrees)
        if is_asked(self.request):
            raise Rehearsed(tried.ending)
        if not tried.is_made:
            raise would_end(tried.ending)
        return made[0], tried.ending

    def setup(self, change: SetupChange, name: str) -> TenantSetup:
        """A tenant, to be changed.

        Raises NotThere.
        """
        try:
            found = change.tenant(name)
        except NotFound:
            raise self._no_tenant(name) from None
        if not self.identity.sees(found.tenant.id):
            raise self._no_tenant(name)
        return found

    def below(self, name: str) -> str:
        """The address of what has this name in the list that is called."""
        segments = self.request.scope["path"].removeprefix(f"{API}/").split("/")
        return at(*(segment.replace(SLASH, "/") for segment in segments), name)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(encoded(content), status, headers, JSON)


def created(made: Shown, at: str) -> Response:
    """The answer when something was made; `at` is its address."""
    return Response(made.body, 201, {"Location": at, "ETag": made.etag}, JSON)


def edited(found: Shown) -> Response:
    """The answer when something was changed."""
    return Response(found.body, 200, {"ETag": found.etag}, JSON)


def at(*segments: str) -> str:
    """The address of something, from the API's beginning on."""
    return "/".join([API, *(quote(segment, safe="") for segment in segments)])


def there(found: Found | None, what: str, name: str, known: Iterable[str] = ()) -> Found:
    """What was found; `known` are the names that there are.

    Raises NotThere.
    """
    if found is None:
        raise NotThere(what, name, known)
    return found


# Who calls


def desk_of(request: Request) -> AdminContext:
    """The context of the listener that a request came to."""
    context: AdminContext = request.app.state.context
    return context


class Rights(Value, frozen=True, kw_only=True):
    """What a call takes of who makes it, as a dependency that gives the call: a role, and of all tenants."""

    role: Role
    of_all: bool = False
    why_of_all: str = "This concerns all tenants, and yours is one of them."

    async def __call__(self, request: Request) -> Call:
        """Raises Problem."""
        context = desk_of(request)
        identity = await context.identity(request)
        must_be(identity, self.role)
        must_be_possible(request)
        must_be_known(request)
        await must_have_no_body(request)
        if self.of_all and identity.tenant_id is not None:
            raise not_allowed(self.why_of_all)
        return Call(context, identity, request)

    @property
    def words(self) -> str:
        """What is needed."""
        return f"{self.role} of all tenants" if self.of_all else str(self.role)


READING = Rights(role=Role.VIEWER)
READING_ALL = Rights(role=Role.VIEWER, of_all=True)
OPERATING = Rights(role=Role.OPERATOR)
OWNING = Rights(role=Role.OWNER)
OWNING_ALL = Rights(role=Role.OWNER, of_all=True)
LICENSING = Rights(role=Role.OWNER, of_all=True, why_of_all=f"{WHY} Your role is for one tenant.")

Reading = Annotated[Call, Depends(READING)]
ReadingAll = Annotated[Call, Depends(READING_ALL)]
Operating = Annotated[Call, Depends(OPERATING)]
Owning = Annotated[Call, Depends(OWNING)]
OwningAll = Annotated[Call, Depends(OWNING_ALL)]
