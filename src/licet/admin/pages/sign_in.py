"""Serves the pages on which administrators sign in to the dashboard and sign out of it.

The rules:

- The cookie is for this host alone, not readable by scripts, and not sent by other sites' pages. It ends with
  the browser; the sign-in expires after a time without use.
- What was typed into a form whose sign-in had expired is kept, and shown again in that form.
- The answer never says why a sign-in is refused, except that there were too many attempts.
"""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from licet.accounts.administrators import has_admin
from licet.admin.authentication import SignInRefused, TooManyAttempts
from licet.admin.context import AdminContext, address, cookie_name, is_secure, request_id
from licet.admin.pages.frame import Kept, Posted, local_path, posting, read_form, see, sign_in_form
from licet.lanes.contract import QueueFull
from licet.model import Role
from licet.store.errors import StoreUnavailable

_KEPT = "kept."
_NO_STORE = "The store does not answer, or cannot be written; the log of the server says why."


def router(context: AdminContext) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    made = APIRouter()

    @made.get("/sign-in")
    async def form(request: Request, then: str = "/") -> Response:
        then = local_path(then)
        token = request.cookies.get(cookie_name(request))
        if token and await context.access.signed_in(token):
            return RedirectResponse(then, 303)
        return sign_in_form(request, then=then, has_admin=await context.read(has_admin))

    @made.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        items = await read_form(request)
        texts = dict(items)
        name, password, then = texts.get("name", ""), texts.get("password", ""), texts.get("then", "/")
        kept = _kept(items)
        try:
            token = await context.access.sign_in(
                name, password, address(request), request_id=request_id(request)
            )
        except (SignInRefused, TooManyAttempts, QueueFull, StoreUnavailable) as refused:
            status, refusal = _refusal(request, refused)
            return sign_in_form(
                request, status=status, then=local_path(then), kept=kept, name=name[:64], refusal=refusal
            )
        answer = await _shown_again(request, token, local_path(then), kept) if kept else None
        answer = answer or RedirectResponse(local_path(then), 303)
        set_cookie(request, answer, token)
        return answer

    @made.post("/sign-out")
    async def sign_out(
        request: Request, posted: Annotated[Posted, Depends(posting(context, Role.VIEWER))]
    ) -> Response:
        del posted
        await context.access.sign_out(request.cookies.get(cookie_name(request), ""))
        answer = see(request, "/sign-in", "You are signed out.")
        answer.delete_cookie(
            cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="strict"
        )
        return answer

    return made


def _refusal(request: Request, refused: Exception) -> tuple[int, str]:
    """The status and the sentence of a refused sign-in."""
    match refused:
        case TooManyAttempts():
            wait = f"{refused.retry_after_s} second{'' if refused.retry_after_s == 1 else 's'}"
            return 429, f"Too many attempts have failed. Try again in {wait}."
        case SignInRefused():
            return 401, "The name or the password is wrong."
        case _:
            return 503, f"{_NO_STORE} (Request {request_id(request)})"


def set_cookie(request: Request, answer: Response, token: str) -> None:
    """Set the cookie with the token of a sign-in."""
    answer.set_cookie(
        cookie_name(request), token, path="/", secure=is_secure(request), httponly=True, samesite="strict"
    )


def _kept(items: Iterable[tuple[str, str]]) -> Kept:
    return tuple((name.removeprefix(_KEPT), text) for name, text in items if name.startswith(_KEPT))


def _is_page(start: Any) -> bool:
    """Whether the page exists, and may have a form."""
    content_type = dict(start["headers"]).get(b"content-type", b"")
    is_there: bool = start["status"] == 200  # noqa: PLR2004 - the form is there, or it is not
    return is_there and content_type.startswith(b"text/html")


async def _shown_again(request: Request, token: str, then: str, kept: Kept) -> Response | None:
    """The page with the form that was sent too late, filled again; None where that page does not exist now.

    The server requests it, and not the browser: so what was typed is stored nowhere.
    """
    parts = urlsplit(then)
    left_out = {b"cookie", b"content-length", b"content-type"}
    headers = [(name, value) for name, value in request.scope["headers"] if name not in left_out]
    scope = {
        **request.scope,
        "method": "GET",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [*headers, (b"cookie", f"{cookie_name(request)}={token}".encode())],
        "state": {**request.scope["state"], "kept": kept},
        "path_params": {},
    }
    sent: list[Any] = []
    is_over = asyncio.Event()

    async def receive() -> Any:
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start" and not _is_page(message):
            is_over.set()  # A stream of events would never end.
        sent.append(message)

    await request.app(scope, receive, keep)
    start, *bodies = sent
    if not _is_page(start):
        return None
    answer = Response(b"".join(message.get("body", b"") for message in bodies))
    answer.raw_headers = [header for header in start["headers"] if header[0] != b"content-length"]
    answer.headers["content-length"] = str(len(answer.body))
    return answer
