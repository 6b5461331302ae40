"""The admin API, upkeep: signing keys, what is wrong with the set-up, and the set-up as a file.

The keys are in a file of this node. Where there are several nodes with a file each, a new key begins to sign
when its time has come: until then the file has to be brought to all of them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from starlette.requests import Request

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import (
    API,
    Call,
    OwningAll,
    Reading,
    ReadingAll,
    Shown,
    answer,
    must_match,
    represent_text,
)
from licet.admin.api.dry_run import asked, is_asked
from licet.admin.problems import Problem
from licet.credentials.keyring import (
    KEYS_MAX,
    SIGNS_AFTER_MS,
    Keyring,
    TokenKey,
    fingerprint,
    read_keyring,
    write_keyring,
)
from licet.formats import instant
from licet.model import Tenant
from licet.refusal import Code, Subject
from licet.setup.check import check, check_nodes
from licet.setup.file import read, write
from licet.setup.plan import apply
from licet.store.contract import Purpose
from licet.store.errors import SetupError
from licet.store.events import Event, keep_events
from licet.store.nodes import read_nodes

DECLARATION = f"{API}/declaration"
DECLARATION_BYTES_MAX = 4 * 1024 * 1024  # of some twenty thousand clients

keys = APIRouter(prefix="/keys", tags=["Upkeep"])
upkeep = APIRouter(tags=["Upkeep"])


# Signing keys


@keys.get(
    "",
    operation_id="listKeys",
    **openapi.many(responses.SigningKey),
)
async def list_keys(call: ReadingAll) -> Response:
    """The keys that sign tokens, the newest last; what they are is never shown."""
    return await call.show(lambda: _shown_keys(call, read_keyring(call.desk.keyring_path)))


@keys.post(
    "",
    operation_id="rotateKeys",
    **openapi.added(responses.SigningKey),
)
async def rotate_keys(call: OwningAll, body: requests.KeyRotation) -> Response:
    """Add a key, which signs from now on or later; tokens of the older ones go on working."""
    after_ms = max(SIGNS_AFTER_MS, body.signs_after_s * 1000)

    def work() -> Response:
        with call.desk.keyring_lock:
            before = read_keyring(call.desk.keyring_path)
            if len(before.token_keys) >= KEYS_MAX:
                text = f"there are {KEYS_MAX} keys already; prune the older ones first"
                about = Subject("signing key")
                raise SetupError(text, code=Code.TOO_MANY, subject=about, limit=KEYS_MAX)
            keyring = before.rotated(call.now_ms(), signs_after_ms=after_ms)
            write_keyring(call.desk.keyring_path, keyring)
        newest = keyring.newest
        _keep_event(call, "add", newest, detail=f"signs from {instant(newest.signs_at_ms)}")
        return answer(_shown_keys(call, keyring)[-1], 201, {"Location": "/api/v1/keys"})

    return await call.desk.run(work)


@keys.post(
    "/prune",
    operation_id="pruneKeys",
    **openapi.many(responses.SigningKey),
)
async def prune_keys(call: OwningAll) -> Response:
    """Remove the keys before the one that signs: tokens that they signed stop working."""

    def work() -> Response:
        with call.desk.keyring_lock:
            before = read_keyring(call.desk.keyring_path)
            keyring = before.pruned(call.now_ms())
            gone = [key for key in before.token_keys if key not in keyring.token_keys]
            if gone:
                write_keyring(call.desk.keyring_path, keyring)
        _keep_event(call, "remove", *gone)
        return answer(_shown_keys(call, keyring))

    return await call.desk.run(work)


def _shown_keys(call: Call, keyring: Keyring) -> tuple[responses.SigningKey, ...]:
    # A key that was made this moment counts as the one that signs.
    return responses.signing_keys(keyring, call.now_ms() + SIGNS_AFTER_MS)


def _keep_event(call: Call, action: str, *changed: TokenKey, detail: str = "") -> None:
    events = [
        Event(
            actor=call.identity.actor,
            tenant="",
            action=action,
            target=f"key {key.id}",
            detail=", ".join(filter(None, (f"fingerprint {fingerprint(key.key)}", detail))),
        )
        for key in changed
    ]
    if events:
        with call.desk.store.transaction(Purpose.UPKEEP) as transaction:
            keep_events(transaction, events)


# The check


@upkeep.get(
    "/check",
    operation_id="getCheck",
    **openapi.one(responses.Checked),
)
async def get_check(call: Reading) -> Response:
    """What is wrong with the set-up or worth knowing, and which servers work on the store."""

    def make() -> responses.Checked:
        seen = {tenant.id: tenant for tenant in call.desk.tenants_now(call.identity)}
        is_all = call.identity.tenant_id is None
        own_pepper = fingerprint(read_keyring(call.desk.keyring_path).pepper) if is_all else None
        with call.desk.store.reporting() as connection:
            now_ms = call.now_ms()
            nodes = read_nodes(connection) if is_all else []
            findings = check_nodes(
                nodes,
                now_ms,
                many_machines=call.desk.store.differences.many_machines,
                own_pepper=own_pepper,
            )
            findings += check(connection, seen, now_ms)
        return responses.Checked(
            findings=tuple(finding for finding in findings if is_all or finding.tenant),
            nodes=tuple(responses.node(node, now_ms) for node in nodes),
        )

    return await call.show(make)


# The set-up as a file

_TOML_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A set-up as `licet export` writes it.",
        "content": {
            openapi.TOML: {
                "schema": {"type": "string"},
                "example": "[tenant.Jim_Test.pool.full]\nseats = 5\n",
            }
        },
    }
}


@upkeep.get(
    "/declaration",
    operation_id="getDeclaration",
    **openapi.shown(None, media=openapi.TOML),
)
async def get_declaration(
    call: Reading,
    tenant: Annotated[str | None, Query(max_length=64, description="Of this tenant only.")] = None,
) -> Response:
    """The set-up as a TOML file, without passwords and secrets."""

    def work() -> Response:
        found = call.desk.tenants_now(call.identity) if tenant is None else [call.tenant(tenant)]
        return call.shown(represent_text(write(found)), f"{openapi.TOML}; charset=utf-8")

    return await call.desk.run(work)


@upkeep.put(
    "/declaration",
    operation_id="applyDeclaration",
    **openapi.edited(responses.Plan, also=_TOML_BODY),
    dependencies=[Depends(asked)],
)
async def apply_declaration(
    call: OwningAll,
    request: Request,
    *,
    prune: Annotated[bool, Query(description="Also remove what the file does not name.")] = False,
    rehearse: Annotated[bool, Query(description="The same as dry_run.")] = False,
) -> Response:
    """Make the store match a TOML file, all of it or nothing; passwords and secrets stay as they are."""
    condition, rehearse = call.condition(), rehearse or is_asked(request)
    sent = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != openapi.TOML:
        raise Problem(415, "wrong-media-type", f"A declaration is {openapi.TOML}.")

    def must_be_meant(tenants: Mapping[str, Tenant]) -> None:
        must_match(condition, represent_text(write(tenants.values())))

    def work() -> Response:
        wanted = read(_text(sent), "the declaration")
        done = apply(
            call.desk.store,
            wanted,
            call.identity.actor,
            prune=prune,
            rehearse=rehearse,
            must_be_meant=must_be_meant,
        )
        call.desk.store.refresh_tenants()
        return answer(responses.plan(done, is_done=not rehearse), headers={"ETag": _declared(call).etag})

    return await call.desk.run(work)


def _declared(call: Call) -> Shown:
    return represent_text(write(call.desk.tenants_now(call.identity)))


def _text(sent: bytes) -> str:
    """Raises Problem."""
    try:
        return sent.decode()
    except UnicodeDecodeError:
        raise Problem(400, "malformed-request", "The declaration is not UTF-8.") from None
