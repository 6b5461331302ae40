"""Renders the layout, static files and errors of all pages; checks sign-in, role and CSRF token.

A page is made in three steps:

    visit = Depends(visiting(context))                        # signed in, and may see this tenant
    posted = Depends(posting(context, Role.OPERATOR))         # the same for a form, whose CSRF token is right
    return page(request, visit, "seats.html", here="seats", ...)

The rules:

- A page is read with GET, and every change is a plain form that is posted to the path that shows it. When it
  is done, `see` redirects the reader (303) with a sentence; when it is not, the page is shown again with what
  was typed. htmx only reads: it fetches whole pages and takes a part of them (`hx-select`).
- Where a sign-in has expired, what was typed is carried through the sign-in page to `Visit.kept` of the page
  that shows the form. A password never is.
- Templates escape all they are given. There is no script or style within a page: the listener's
  Content-Security-Policy forbids it. Times are written by `time` in `macros/parts.html`, in UTC; `app.js`
  puts them into the reader's zone.

It knows nothing of the content of a page.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from unicodedata import category
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from licet.admin.authentication import Identity, SignedIn
from licet.admin.context import CSRF_FIELD, AdminContext, form_of, is_secure, must_be, request_id
from licet.admin.pages.licence_state import licence_state
from licet.admin.pages.reader_zone import zone_of
from licet.admin.problems import Problem, not_found
from licet.formats import countdown, counted, escaped
from licet.model import Role, Tenant, Value
from licet.seat_sources import counted_addresses
from licet.store.errors import StoreUnavailable

KEPT_CHARS_MAX = 100_000  # of a form that waits for a sign-in
NOTICE_CHARS_MAX = 300
NOTICE_S = 30

_NOTICE_COOKIE = "licet-told"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)", re.ASCII)
_TAG = re.compile(r"(<textarea\b.*?</textarea>|<[^>]*>)", re.DOTALL)  # a > in a value is escaped
_LABEL = re.compile(r'\s(?:title|aria-label)="[^"]*"')
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_UNSEEN = frozenset({"Cf", "Zl", "Zp"})  # format characters, and separators of lines and paragraphs
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_ARROW = "\N{RIGHTWARDS ARROW}"
_EXPIRES = re.compile(rf"\bexpires (?:never {_ARROW} )?$")
_NEVER_KEPT = ("password", "secret", CSRF_FIELD)
# Fields about passwords or secrets that contain none: marks, and a date.
_KEPT_ANYHOW = frozenset(
    {"generate_secret", "no_password", "password_allowed", "secret_expires", "secret_expires_zone"}
)
_NO_SIGN_IN = frozenset({"sign-in-needed", "forged-request"})
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

Kept = tuple[tuple[str, str], ...]


class Visit(Value, frozen=True, kw_only=True):
    """One request for a page: its reader, the tenants, and what was typed before a sign-in expired.

    `tenant` is the chosen one; None is all that the reader may see, which are `tenants`, by name.
    """

    identity: Identity
    csrf: str
    tenants: tuple[Tenant, ...]
    tenant: Tenant | None
    now_ms: int
    kept: Kept = ()
    zone: str = "UTC"  # the reader's
    is_ready: bool = True  # else this server commits nothing at the moment

    def may(self, role: Role) -> bool:
        """Whether the reader has this role or a higher one."""
        return self.identity.may(role)

    @property
    def the_tenant(self) -> Tenant | None:
        """The chosen tenant, or the only one."""
        return self.tenants[0] if self.tenant is None and len(self.tenants) == 1 else self.tenant


class Posted(Value, frozen=True, kw_only=True):
    """A form that was posted, and by whom. `items` has each field as often as it was sent."""

    visit: Visit
    items: Kept

    def text(self, name: str) -> str:
        """The text of a field; the last one counts."""
        return next((text for key, text in reversed(self.items) if key == name), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """All marks of this name."""
        return tuple(text for key, text in self.items if key == name)


class SignInNeeded(Problem):
    """Nobody is signed in, or no longer. `kept` is what was typed into the form that was sent."""

    def __init__(self, kept: Kept = ()) -> None:
        super().__init__(401, "sign-in-needed", "Sign in first.")
        self.kept = kept


def visiting(context: AdminContext, role: Role = Role.VIEWER) -> Callable[[Request], Awaitable[Visit]]:
    """What finds out who looks at a page that takes this role.

    It raises Problem.
    """

    async def visit(request: Request) -> Visit:
        return await _visit(context, request, role, ())

    return visit


def posting(context: AdminContext, role: Role) -> Callable[[Request], Awaitable[Posted]]:
    """What takes in a form of somebody who has this role.

    It raises Problem.
    """

    async def posted(request: Request) -> Posted:
        items = await read_form(request)
        return Posted(visit=await _visit(context, request, role, kept_of(items)), items=items)

    return posted


async def read_form(request: Request) -> Kept:
    """The fields of a form, each as often as it was sent; Starlette takes 1,000 of them."""
    form = await form_of(request)
    return tuple((name, text) for name, text in form.multi_items() if isinstance(text, str))


def kept_of(items: Kept) -> Kept:
    """Of what was typed, all that may wait for a sign-in."""
    kept = tuple((name, text) for name, text in items if name in _KEPT_ANYHOW or not _may_be_secret(name))
    return kept if sum(len(name) + len(text) for name, text in kept) <= KEPT_CHARS_MAX else ()


def _may_be_secret(name: str) -> bool:
    return any(secret in name for secret in _NEVER_KEPT)


def page(
    request: Request, visit: Visit | None, template: str, *, here: str = "", status: int = 200, **values: Any
) -> HTMLResponse:
    """A page; `here` is its entry in the navigation."""
    notice = "" if request.headers.get("hx-request") else unquote(request.cookies.get(_NOTICE_COOKIE, ""))
    html = (
        _templates()
        .get_template(template)
        .render(
            visit=visit, here=here, notice=notice[:NOTICE_CHARS_MAX], request=request, Role=Role, **values
        )
    )
    answer = HTMLResponse(visible(html), status, {"cache-control": "no-store"})
    if notice:
        answer.delete_cookie(_NOTICE_COOKIE, path="/")
    return answer


def part(template: str, block: str, **values: Any) -> str:
    """One block of a template, for who has the rest of the page already."""
    found = _templates().get_template(template)
    made = found.new_context({"Role": Role, "here": "", "notice": "", **values})
    return visible("".join(found.blocks[block](made)))


def visible(html: str) -> str:
    """The HTML with an escape for each character that cannot be seen, where a reader reads it.

    An older name may have one that turns round the rest of the name, where `<bdi>` does not help. What a form
    or a script sends back stays: values, addresses, what is typed.
    """
    if html.replace("\n", "").isprintable():
        return html
    pieces = _TAG.split(html)
    pieces[::2] = map(_escaped, pieces[::2])
    pieces[1::2] = [_LABEL.sub(lambda found: _escaped(found[0]), tag) for tag in pieces[1::2]]
    return "".join(pieces)


def _escaped(text: str) -> str:
    return _NOT_ASCII.sub(
        lambda found: escaped(found[0]) if category(found[0]) in _UNSEEN else found[0], text
    )


def see(request: Request, path: str, notice: str = "") -> Response:
    """Send the reader on to another page when a form is done, with one sentence about it."""
    answer = RedirectResponse(path, 303)
    if notice:
        answer.set_cookie(
            _NOTICE_COOKIE,
            quote(notice[:NOTICE_CHARS_MAX]),
            max_age=NOTICE_S,
            path="/",
            secure=is_secure(request),
            httponly=True,
            samesite="strict",
        )
    return answer


async def visit_if_signed_in(context: AdminContext, request: Request) -> Visit | None:
    """Who looks at a page that is not there, for its navigation; None where nobody is known to."""
    if request.method != "GET":
        return None
    try:
        found = await context.signed_in(request)
    except (Problem, StoreUnavailable):
        return None
    return _visit_of(context, request, found, None)


def problem_page(request: Request, problem: Problem, visit: Visit | None = None) -> Response:
    """A page that says what is wrong, with the id under which the log has more."""
    if problem.kind == "sign-in-needed":
        return _sign_in_needed(request, problem)
    answer = page(
        request,
        visit,
        "error.html",
        status=problem.status,
        problem=problem,
        id=request_id(request),
        again=_again(request),
    )
    answer.headers.update(problem.headers)
    if request.headers.get("hx-request"):  # who asked for a part gets all there is to say
        answer.headers.update({"hx-retarget": "#main", "hx-reselect": "#main", "hx-reswap": "outerHTML"})
    return answer


def _again(request: Request) -> str:
    """What was asked for, if it is a path of ours: a page about a mistake must not lead to another site."""
    query = f"?{request.url.query}" if request.url.query else ""
    return local_path(f"{request.url.path}{query}")


def _sign_in_needed(request: Request, problem: Problem) -> Response:
    """To the page for it and back; a form that was sent goes there along with it."""
    then = _again(request)  # the path of a form shows it, too
    if isinstance(problem, SignInNeeded) and problem.kept:
        return sign_in_form(request, status=401, then=then, kept=problem.kept)
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        # A link in a mail or on another site: the browser holds back the cookie (SameSite=Strict) until one
        # of our own pages requests the same.
        return page(request, None, "again.html")
    to = "/sign-in" if then == "/" else f"/sign-in?{urlencode({'then': then})}"
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": _page_of(request)})
    return RedirectResponse(to, 303)


def _page_of(request: Request) -> str:
    """The answer that sends the reader of a page to sign in, after a request for a part of it."""
    looked_at = urlsplit(request.headers.get("hx-current-url", ""))
    query = f"?{looked_at.query}" if looked_at.query else ""
    return f"/sign-in?{urlencode({'then': local_path(looked_at.path + query)})}"


def sign_in_form(
    request: Request,
    *,
    status: int = 200,
    then: str = "/",
    kept: Kept = (),
    name: str = "",
    refusal: str = "",
    has_admin: bool = True,
) -> Response:
    """The sign-in page, which continues to `then` with what was typed there."""
    return page(
        request,
        None,
        "sign_in.html",
        status=status,
        then=then,
        kept=kept,
        name=name,
        refusal=refusal,
        has_admin=has_admin,
    )


def local_path(text: str) -> str:
    """A path of the dashboard to continue to; anything else is the first page."""
    parts = urlsplit(text)
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc
    return text if is_ours and text.isprintable() else "/"


def link(visit: Visit | None, path: str, **query: object) -> str:
    """A path with its query, for the chosen tenant; parameters that are None or empty are left out."""
    chosen = {"tenant": visit.tenant.name} if visit and visit.tenant else {}
    given = {name: value for name, value in (chosen | query).items() if value not in {None, ""}}
    return f"{path}?{urlencode(given)}" if given else path


def router(context: AdminContext) -> APIRouter:
    """The static files that are served."""
    del context
    made = APIRouter()

    @made.get("/static/{name}")
    def static(name: str) -> Response:
        if (found := _static().get(name)) is None:
            raise not_found()
        mark, content = found
        headers = {"cache-control": "public, max-age=31536000, immutable", "etag": f'"{mark}"'}
        return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])

    return made


async def _visit(context: AdminContext, request: Request, role: Role, kept: Kept) -> Visit:
    try:
        found = await context.signed_in(request)
    except Problem as problem:
        if problem.kind in _NO_SIGN_IN:
            raise SignInNeeded(kept) from None
        raise
    must_be(found.identity, role)
    asked = request.query_params.get("tenant", "")
    visit = _visit_of(context, request, found, asked)
    if asked and visit.tenant is None:
        raise not_found(f"There is no tenant {asked[:64]}, or it is not yours to see.")
    return visit


def _visit_of(context: AdminContext, request: Request, found: SignedIn, asked: str | None) -> Visit:
    seen = [one for one in context.store.tenants().values() if found.identity.sees(one.id)]
    tenants = tuple(sorted(seen, key=lambda one: one.name.casefold()))
    tenant = next((one for one in tenants if one.name == asked), None)
    return Visit(
        identity=found.identity,
        csrf=found.csrf,
        tenants=tenants,
        tenant=tenant,
        now_ms=context.clock.now_ms(),
        kept=getattr(request.state, "kept", ()),
        zone=zone_of(request),
        is_ready=context.is_ready(),
    )


@cache
def _static() -> Mapping[str, tuple[str, bytes]]:
    """The static files, with a hash of their content; some 150 kB."""
    found = {}
    ours = files("licet.admin").joinpath("static")
    for file in (*ours.iterdir(), *ours.joinpath("vendor").iterdir()):
        if file.name.rpartition(".")[2] in _TYPES:
            content = file.read_bytes()
            found[file.name] = (hashlib.sha256(content).hexdigest()[:12], content)
    return found


class _Templates(PackageLoader):
    """The templates without their indentation, which would make a long page half as large again.

    One space is left, because white space between two words, or two links, is visible.
    """

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, path, is_current = super().get_source(environment, template)
        return _INDENTATION.sub(" ", source), path, is_current


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=_Templates("licet.admin"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {"asset": _asset, "link": link, "iso": iso, "utc": _utc, "counted": counted}
    environment.globals["countdown"] = countdown
    environment.globals |= {
        "counted_addresses": counted_addresses,
        "licence_state": licence_state,
        "text_parts": text_parts,
        "licet_version": version("licet"),
    }
    environment.filters |= {"json_text": _json_text}
    return environment


def _asset(name: str) -> str:
    return f"/static/{name}?v={_static()[name][0]}"


def iso(at_ms: int) -> str:
    """An instant in ISO 8601."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(at_ms: int) -> str:
    """An instant for a browser without scripts."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def text_parts(text: str) -> list[tuple[str, int | None, str]]:
    """The detail of an event as pieces of text, and instants in milliseconds.

    An instant comes with the form in which it is shown: `last` for an expiry.
    """
    parts: list[tuple[str, int | None, str]] = []
    is_end = False
    for number, piece in enumerate(_INSTANT.split(text.replace(" -> ", f" {_ARROW} "))):
        if number % 2:
            at_ms = round(datetime.fromisoformat(piece).timestamp() * 1000)
            parts.append((piece, at_ms, "last" if is_end else "moment"))
        elif piece:
            is_end = _EXPIRES.search(piece) is not None or (is_end and piece == f" {_ARROW} ")
            parts.append((piece, None, ""))
    return parts


def _json_text(value: object) -> str:
    """For an attribute; the template escapes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
