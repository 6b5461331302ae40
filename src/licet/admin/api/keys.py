"""Serves the signing keys of the keyring: lists, rotates and prunes them.

The keys are in a file of this node. Where there are several nodes with a file each, a new key begins to sign
when its time has come: until then the file has to be brought to all of them.
"""

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests
from licet.admin.api.call import Call, OwningAll, ReadingAll, answer
from licet.admin.api.parameters import Paged
from licet.admin.api.responses import upkeep as shapes
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
from licet.refusal import Code, Subject
from licet.store.contract import Purpose
from licet.store.errors import SetupError
from licet.store.events import Event, keep_events

keys = APIRouter(prefix="/keys", tags=["Upkeep"])


@keys.get("", operation_id="listKeys", **openapi.listed(shapes.SigningKey))
async def list_keys(call: ReadingAll, page: Paged) -> Response:
    """The keys that sign tokens, the newest last; the keys themselves are never shown."""

    def found() -> dict[str, shapes.SigningKey]:
        keys = _shown_keys(call, read_keyring(call.context.keyring_path))
        return {f"{key.id:010}": key for key in keys}

    return await call.show_list(found, lambda key: key, page)


@keys.post("", operation_id="rotateKeys", **openapi.added(shapes.SigningKey))
async def rotate_keys(call: OwningAll, body: requests.KeyRotation) -> Response:
    """Add a key, which signs from now on or later; tokens signed with older keys still work."""
    after_ms = max(SIGNS_AFTER_MS, body.signs_after_s * 1000)

    def work() -> Response:
        with call.context.keyring_lock:
            before = read_keyring(call.context.keyring_path)
            if len(before.token_keys) >= KEYS_MAX:
                text = f"there are {KEYS_MAX} keys already; prune the older ones first"
                about = Subject("signing key")
                raise SetupError(text, code=Code.TOO_MANY, subject=about, limit=KEYS_MAX)
            keyring = before.rotated(call.now_ms(), signs_after_ms=after_ms)
            write_keyring(call.context.keyring_path, keyring)
        newest = keyring.newest
        _keep_event(call, "add", newest, detail=f"signs from {instant(newest.signs_at_ms)}")
        return answer(_shown_keys(call, keyring)[-1], 201, {"Location": "/api/v1/keys"})

    return await call.context.run(work)


@keys.post("/prune", operation_id="pruneKeys", **openapi.listed(shapes.SigningKey))
async def prune_keys(call: OwningAll) -> Response:
    """Remove the keys older than the one that signs: tokens signed with them stop working."""

    def work() -> Response:
        with call.context.keyring_lock:
            before = read_keyring(call.context.keyring_path)
            keyring = before.pruned(call.now_ms())
            gone = [key for key in before.token_keys if key not in keyring.token_keys]
            if gone:
                write_keyring(call.context.keyring_path, keyring)
        _keep_event(call, "remove", *gone)
        return call.page(_shown_keys(call, keyring), None)

    return await call.context.run(work)


def _shown_keys(call: Call, keyring: Keyring) -> tuple[shapes.SigningKey, ...]:
    # A key that was made this moment counts as the one that signs.
    return shapes.signing_keys(keyring, call.now_ms() + SIGNS_AFTER_MS)


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
        with call.context.store.transaction(Purpose.UPKEEP) as transaction:
            keep_events(transaction, events)
