"""Serves the page of help: what each page shows, the keys, and where the manual is."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.frame import Visit, page, visiting


def router(context: AdminContext) -> APIRouter:
    """`/help`."""
    made = APIRouter()
    visitor = visiting(context)

    @made.get("/help")
    async def show(request: Request, visit: Annotated[Visit, Depends(visitor)]) -> Response:
        return page(request, visit, "help.html", here="Help")

    return made
