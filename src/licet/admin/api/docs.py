"""Serves what describes the API: the OpenAPI document, and the page at which one reads it and tries it out.

The rules:

- Neither needs a sign-in: they say what there is to be asked, and nothing of what is there.
- Whoever is signed in to the dashboard tries things out as that administrator, and the page has the CSRF
  token of that sign-in. Others need an API key.
- Addresses are relative: what is on the page is found behind a proxy that puts a path before it, too.
- Where people look for the page they are sent to it; a program is answered with the addresses.
"""

from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.api.call import API, answer, desk_of
from licet.admin.api.routers import openapi_document
from licet.admin.pages import frame

PAGE: Final = f"{API}/docs"
DOCUMENT: Final = f"{API}/openapi.json"
# Where people look, with the way from there to the page.
_GUESSES: Final = {"/docs": "api/v1/docs", "/redoc": "api/v1/docs", API: "v1/docs", f"{API}/": "docs"}


def router(application: FastAPI) -> APIRouter:
    """All of it, of an application that has the API. The document is made when it is first asked for."""
    route = APIRouter(redirect_slashes=False, include_in_schema=False)
    made: dict[str, Any] = {}

    @route.get(DOCUMENT)
    def document(request: Request) -> Response:
        if not made:
            made.update(openapi_document(application))
        server = {"url": desk_of(request).base_url, "description": "This one."}
        return answer(made | {"servers": [server]})

    route.add_api_route(PAGE, _page, methods=["GET"])
    for path in _GUESSES:
        route.add_api_route(path, _lead, methods=["GET"])
    return route


async def _page(request: Request) -> Response:
    visit = await frame.visit_if_signed_in(desk_of(request), request)
    return frame.page(request, visit, "api_docs.html")


async def _lead(request: Request) -> Response:
    headers = {"Vary": "Accept"}
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(_GUESSES[request.url.path], 307, headers)
    return answer({"openapi": DOCUMENT, "docs": PAGE}, headers=headers)
