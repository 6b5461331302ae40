"""Serves the lists of what happens as CSV files: `download.csv` behind the path of each page.

The pages of denials, failed authentications and usage, and those of the set-up, serve their own.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.downloads import csv_file, file_name
from licet.admin.pages.files.alerts import alerts_listed, messages_listed
from licet.admin.pages.files.held import held_listed, holders_listed
from licet.admin.pages.files.journal import journal_listed
from licet.admin.pages.files.licences import licences_listed
from licet.admin.pages.files.listed import Describe
from licet.admin.pages.files.overview import overview_listed
from licet.admin.pages.files.queue import queue_listed
from licet.admin.pages.files.seats import seats_listed
from licet.admin.pages.frame import visiting
from licet.admin.pages.profiles.reading import Who

_LISTS: Mapping[str, Describe] = {
    "/seats": seats_listed,
    "/queue": queue_listed,
    "/journal": journal_listed,
    "/alerts": alerts_listed,
    "/alerts/messages": messages_listed,
    "/licences": licences_listed,
    "/client": partial(held_listed, who=Who.CLIENT),
    "/user": partial(held_listed, who=Who.USER),
    "/denials/holders": holders_listed,
    "/overview": overview_listed,
}


def router(context: AdminContext) -> APIRouter:
    """`/seats/download.csv` and the others."""
    routes = APIRouter()
    for path, describe in _LISTS.items():
        routes.add_api_route(f"{path}/download.csv", _download(context, describe), methods=["GET"])
    return routes


def _download(context: AdminContext, describe: Describe) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def download(request: Request) -> Response:
        listed = describe(request, await seen(request))
        headings, values = zip(*listed.columns, strict=True)

        def make(connection: Connection) -> Response:
            rows = ([value(row) for value in values] for row in listed.rows(connection))
            return csv_file(file_name(*listed.words), headings, rows)

        return await context.read(make)

    return download
