"""Serves the page on which administrators change their password and end their other sign-ins.

The old password is required, so that nobody else can take over the account at an open browser. It counts as
an attempt to sign in. All sign-ins of the administrator end, and the reader continues with a new one. The
sign-ins at other browsers can also be ended without a new password.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from licet.admin.authentication import SignInRefused, TooManyAttempts
from licet.admin.context import AdminContext, address, cookie_name, request_id
from licet.admin.pages.frame import Posted, Visit, page, posting, see, visiting
from licet.admin.pages.sign_in import set_cookie
from licet.credentials.passwords import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from licet.formats import counted, sentence
from licet.model import InvalidValue, Role

PATH = "/password"
ELSEWHERE = f"{PATH}/sign-out-elsewhere"


def router(context: AdminContext) -> APIRouter:
    """`/password`."""
    made = APIRouter()

    async def shown(
        request: Request, visit: Visit, *, status: int = 200, errors: dict[str, str] | None = None
    ) -> Response:
        return page(
            request,
            visit,
            "password.html",
            status=status,
            errors=errors or {},
            bounds=(PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX),
            sign_ins=await context.access.own_sign_ins(request.cookies.get(cookie_name(request), "")),
        )

    @made.post(ELSEWHERE)
    async def elsewhere(
        request: Request, posted: Annotated[Posted, Depends(posting(context, Role.VIEWER))]
    ) -> Response:
        del posted
        ended = await context.access.sign_out_elsewhere(request.cookies.get(cookie_name(request), ""))
        if not ended:
            return see(request, PATH, "You are signed in here only.")
        return see(request, PATH, f"{counted(ended, 'other sign-in')} ended. You are signed in here only.")

    @made.get(PATH)
    async def form(request: Request, visit: Annotated[Visit, Depends(visiting(context))]) -> Response:
        return await shown(request, visit)

    @made.post(PATH)
    async def change(
        request: Request, posted: Annotated[Posted, Depends(posting(context, Role.VIEWER))]
    ) -> Response:
        old, new, again = (posted.text(f"{which}_password") for which in ("old", "new", "again"))
        if new != again:
            errors = {"again_password": "This is another one than above."}
            return await shown(request, posted.visit, status=422, errors=errors)
        cookie = request.cookies.get(cookie_name(request), "")
        try:
            token = await context.access.change_password(
                cookie, old, new, address(request), request_id=request_id(request)
            )
        except InvalidValue as wrong:
            errors = {"new_password": sentence(str(wrong))}
            return await shown(request, posted.visit, status=422, errors=errors)
        except SignInRefused:
            errors = {"old_password": "This is not your password."}
            return await shown(request, posted.visit, status=422, errors=errors)
        except TooManyAttempts as refused:
            errors = {
                "old_password": f"Too many attempts have failed. Try again in {refused.retry_after_s} s."
            }
            return await shown(request, posted.visit, status=429, errors=errors)
        answer = see(request, "/", "Your password is changed. You are signed in here, and nowhere else.")
        set_cookie(request, answer, token)
        return answer

    return made
