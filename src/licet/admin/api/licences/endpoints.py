"""Serves vendors that are trusted, and the licences of a tenant: what counts, and installing and removing it.

The rules:

- A licence, and a vendor's file, is sent as it is: the body is the file.
- Owners of a tenant install. Trust and removal are for owners of all tenants.
- What would end more sessions than the caller agrees to (`may_end`) is refused, and says what would end.
- A file that is refused changes nothing, and the refusal says why, and what helps.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from starlette.requests import Request

from licet.admin.api import openapi
from licet.admin.api.call import API, LICENSING, Call, Owning, Reading, ReadingAll, answer, at, there
from licet.admin.api.dry_run import agreeable
from licet.admin.api.licences import shapes
from licet.admin.api.parameters import LINE, NamePath, Paged, SerialPath, TenantPath
from licet.admin.problems import Problem
from licet.licences.vendor_file import read_vendor
from licet.setup import licences as setup
from licet.setup.change import SetupChange
from licet.setup.consequences import Consequences
from licet.setup.licence_states import LicenceNow, states
from licet.store.errors import NotFound

LICENCES = f"{API}/tenants/*/licences"
_BETWEEN = "\x1f"  # in no name

Licensing = Annotated[Call, Depends(LICENSING)]
Whose = Annotated[
    str,
    Query(max_length=100, pattern=LINE, description="Its vendor, if several have a licence with this id."),
]

trust = APIRouter(prefix="/trust", tags=["Licences"])
licences = APIRouter(prefix="/tenants/{tenant}/licences", tags=["Licences"])
pools = APIRouter(prefix="/tenants/{tenant}/pools", tags=["Licences"])

_FILE = openapi.sent(
    openapi.TEXT,
    "A file of licences as the vendor sent it, in its armour: 16 licences at most, of 16 KiB each.",
    {"type": "string"},
    "-----BEGIN LICET LICENCE-----\neyJhbGciOi...\n-----END LICET LICENCE-----\n",
)
_VENDOR = openapi.sent(
    openapi.JSON,
    "The vendor's vendor.json.",
    {"type": "object"},
    {
        "vendor": "acme",
        "product": "jim2-api",
        "keys": [{"kty": "EC", "crv": "P-256", "x": "...", "y": "..."}],
    },
)


# Who is trusted


@trust.get("", operation_id="listVendors", **openapi.listed(shapes.Vendor))
async def list_vendors(call: ReadingAll, page: Paged) -> Response:
    """The vendors whose licences count."""

    def found() -> dict[str, setup.TrustedVendor]:
        every = call.context.read_now(setup.vendors)
        return {f"{it.name}{_BETWEEN}{it.product}": it for it in every}

    return await call.show_list(found, shapes.vendor, page)


@trust.post(
    "",
    operation_id="trustVendor",
    **agreeable(openapi.one(shapes.Vendor, 409, 413, 415, status=201) | {"openapi_extra": _VENDOR}),
)
async def trust_vendor(call: Licensing, request: Request) -> Response:
    """Trust the vendor of this vendor.json, or take its new keys; licences of other keys no longer count."""
    content = await _sent(request, openapi.JSON)

    def work(change: SetupChange) -> setup.TrustedVendor:
        setup.trust(change, content)
        sent = read_vendor(content)
        every = setup.vendors(change.transaction.connection)
        return next(it for it in every if (it.name, it.product) == (sent.name, sent.product))

    made, _ = await call.change_agreed(work)
    return answer(shapes.vendor(made), 201, {"Location": at("trust", made.name, made.product)})


@trust.get("/{vendor}/{product}", operation_id="getVendor", **openapi.one(shapes.Vendor, 404))
async def get_vendor(call: ReadingAll, vendor: NamePath, product: NamePath) -> Response:
    """A vendor whose licences count."""

    def make() -> shapes.Vendor:
        every = call.context.read_now(setup.vendors)
        found = (it for it in every if (it.name, it.product) == (vendor, product))
        return shapes.vendor(there(next(found, None), "vendor", vendor))

    return await call.show(make)


@trust.delete(
    "/{vendor}/{product}",
    operation_id="distrustVendor",
    **agreeable(openapi.one(None, 404, 409, status=204)),
)
async def distrust_vendor(call: Licensing, vendor: NamePath, product: NamePath) -> Response:
    """Stop trusting a vendor; its licences stay installed, but give no seats."""
    await call.change_agreed(lambda change: _if_there(lambda: setup.distrust(change, vendor, product)))
    return Response(status_code=204)


# The licences of a tenant


@licences.get("", operation_id="listLicences", **openapi.listed(shapes.Licence, 404))
async def list_licences(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """All serials of all licences of a tenant, including those that no longer count or were removed."""

    def found() -> dict[str, LicenceNow]:
        return {_place(it): it for it in _now(call, tenant)}

    return await call.show_list(found, shapes.licence, page)


@licences.get("/{licence}", operation_id="getLicence", **openapi.listed(shapes.Licence, 404))
async def get_licence(call: Reading, tenant: TenantPath, licence: NamePath, page: Paged) -> Response:
    """The serials of a licence."""

    def serials() -> dict[str, LicenceNow]:
        found = {_place(it): it for it in _now(call, tenant) if it.row.name == licence}
        return there(found or None, "licence", licence)

    return await call.show_list(serials, shapes.licence, page)


@licences.post(
    "/check",
    operation_id="checkLicences",
    **openapi.one(shapes.LicencesInstalled, 404, 409, 413, 415) | {"openapi_extra": _FILE},
)
async def check_licences(call: Owning, tenant: TenantPath, request: Request) -> Response:
    """What installing a file would do; nothing is changed."""
    install = await _installing(call, tenant, request)
    new: list[LicenceNow] = []

    tried = await call.attempt(lambda change: new.extend(install(change)))
    return answer(_installed(new, tried.ending, is_done=False))


@licences.post(
    "",
    operation_id="installLicences",
    **agreeable(openapi.one(shapes.LicencesInstalled, 404, 409, 413, 415) | {"openapi_extra": _FILE}),
)
async def install_licences(call: Owning, tenant: TenantPath, request: Request) -> Response:
    """Install the licences of a file: all of them, or nothing."""
    install = await _installing(call, tenant, request)
    new, ending = await call.change_agreed(install)
    return answer(_installed(new, ending, is_done=True))


@licences.delete(
    "/{licence}/{serial}",
    operation_id="removeLicence",
    **agreeable(openapi.one(None, 404, 409, status=204)),
)
async def remove_licence(
    call: Licensing,
    tenant: TenantPath,
    licence: NamePath,
    serial: SerialPath,
    *,
    vendor: Whose = "",
    product: Whose = "",
) -> Response:
    """Remove a serial of a licence and those below it; they cannot be installed again."""

    def work(change: SetupChange) -> None:
        call.setup(change, tenant)
        _if_there(lambda: setup.remove(change, tenant, licence, serial, vendor=vendor, product=product))

    await call.change_agreed(work)
    return Response(status_code=204)


@pools.post(
    "/{pool}/unsign",
    operation_id="unsignPool",
    **agreeable(openapi.one(None, 404, 409, status=204)),
)
async def unsign_pool(call: Licensing, tenant: TenantPath, pool: NamePath) -> Response:
    """Make a pool unsigned whose licences were all removed: it has the seats that are set."""

    def work(change: SetupChange) -> None:
        call.setup(change, tenant)
        setup.unsign(change, tenant, pool)

    await call.change_agreed(work)
    return Response(status_code=204)


async def _installing(call: Call, tenant: str, request: Request) -> Callable[[SetupChange], list[LicenceNow]]:
    """What installs the file that is sent, and says what is new."""
    await call.context.run(call.tenant, tenant)  # before anything is said about the file
    content = await _sent(request, openapi.TEXT)

    def install(change: SetupChange) -> list[LicenceNow]:
        of = call.setup(change, tenant).tenant
        new = {(*it.key, it.serial) for it in setup.install(change, tenant, content)}
        connection, now_ms = change.transaction.connection, change.transaction.now_ms
        every = states(setup.installed(connection, of.id, of.name), now_ms)
        return [it for it in every if (it.row.vendor, it.row.product, it.row.name, it.row.serial) in new]

    return install


def _installed(new: Iterable[LicenceNow], ending: Consequences, *, is_done: bool) -> shapes.LicencesInstalled:
    found = tuple(shapes.licence(it) for it in new)
    return shapes.LicencesInstalled(is_done=is_done, licences=found, ending=ending)


def _now(call: Call, tenant: str) -> list[LicenceNow]:
    """The licences of a tenant as of now; call it in a thread.

    Raises NotFound.
    """
    of = call.tenant(tenant)
    rows = call.context.read_now(lambda connection: setup.installed(connection, of.id, of.name))
    return states(rows, call.now_ms())


def _place(it: LicenceNow) -> str:
    """Where it stands in the list."""
    return _BETWEEN.join((it.row.name, f"{it.row.serial:010}", it.row.vendor, it.row.product))


def _if_there(remove: Callable[[], None]) -> None:
    """Remove what is there: what is not there any more is removed already."""
    with suppress(NotFound):
        remove()


async def _sent(request: Request, media: str) -> bytes:
    """Raises Problem."""
    content = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media:
        raise Problem(415, "wrong-media-type", f"Send the file as it is, with Content-Type: {media}.")
    return content
