"""Runs `licet key`: rotates and prunes the keys that sign tokens, in `secrets.json` of the data directory.

What is done to them becomes an event in the store, if that can be opened: a store that is down must not
keep anybody from a rotation.
"""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, Yes, actor, confirm, read_duration
from licet.cli.output import Instant, Record, note, say, show_list
from licet.cli.stores import data_directory, opened
from licet.cli.suggested_options import of_data
from licet.clock import SystemClock
from licet.credentials.keyring import (
    FILE_NAME,
    KEYS_MAX,
    SIGNS_AFTER_MS,
    TokenKey,
    fingerprint,
    new_keyring,
    read_keyring,
    write_keyring,
)
from licet.formats import counted, instant
from licet.store.contract import Purpose
from licet.store.errors import StoreUnavailable

SIGNS_AFTER_S_MAX = 31 * 86_400  # a guess: who has not copied a file in a month will not

app = Noun("The keys that sign tokens: one signs, all are accepted.")

_HEADINGS = {
    "id": "key",
    "fingerprint": "fingerprint",
    "created_at": "created",
    "signs_at": "signs from",
    "signs": "signs",
}


@app.verb("list")
def list_(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the keys by their ids; the keys themselves are never shown.

    Example: [bold]licet key list[/]
    """
    keyring = read_keyring(_path(data))
    signing = keyring.signing(_soon_ms())
    records: list[Record] = [
        {
            "id": key.id,
            "fingerprint": fingerprint(key.key),
            "created_at": Instant(key.created_at_ms),
            "signs_at": Instant(key.signs_at_ms),
            "signs": key is signing,
        }
        for key in keyring.token_keys
    ]
    show_list(records, _HEADINGS, as_json=as_json, empty="")


@app.verb("rotate")
def rotate(
    *,
    signs_after: Annotated[
        str | None,
        typer.Option("--signs-after", metavar="TIME", help="Time to copy the file to other nodes: 1h."),
    ] = None,
    data: Data = None,
) -> None:
    """Add a key, which signs from now on or later. Tokens signed with older keys still work.

    It signs JWT access tokens ten minutes later, so that APIs have time to fetch its public key.

    Example: [bold]licet key rotate --signs-after 1h[/]
    """
    path, after_ms = _path(data), _after_ms(signs_after)
    before = read_keyring(path)
    if len(before.token_keys) >= KEYS_MAX:
        raise Refused(
            f"there are {KEYS_MAX} keys already; remove the older ones first: licet key prune{of_data(data)}"
        )
    keyring = before.rotated(SystemClock().now_ms(), signs_after_ms=after_ms)
    write_keyring(path, keyring)
    key = keyring.newest
    if signs_after is None:
        say(f"Key {key.id} signs from now on; a running server has it within a second.")
    else:
        say(f"Key {key.id} signs from {instant(key.signs_at_ms)} on; copy {path} to all nodes before.")
    _keep_event(data, "add", key, detail=f"signs from {instant(key.signs_at_ms)}")


@app.verb("new")
def new(*, data: Data = None, yes: Yes = False) -> None:
    """Make new keys if the file of the old ones is lost. It never replaces an existing file.

    No token and no generated client secret made with the old keys works any more.

    Example: [bold]licet key new --data /var/lib/licet[/]
    """
    path = _path(data)
    if path.exists():
        raise Refused(f"{path} is there; to add a key: licet key rotate{of_data(data)}")
    question = "Make new keys? All tokens and generated client secrets of the old ones stop working."
    confirm(question, yes=yes)
    keyring = new_keyring(SystemClock().now_ms())
    write_keyring(path, keyring)
    say(f"Made {path}; keep a copy of it.")
    _keep_event(data, "add", keyring.newest, detail="new secrets, as the old ones were lost")


@app.verb("prune")
def prune(*, data: Data = None, yes: Yes = False) -> None:
    """Remove the keys older than the one that signs. Tokens signed with them stop working.

    Example: [bold]licet key prune[/]
    """
    path = _path(data)
    keyring = read_keyring(path)
    pruned = keyring.pruned(SystemClock().now_ms())
    older = [key for key in keyring.token_keys if key not in pruned.token_keys]
    if not older:
        say(_nothing_older(keyring.token_keys))
        return
    confirm(f"Remove {counted(len(older), 'older key')}? What they signed stops working.", yes=yes)
    write_keyring(path, pruned)
    say(f"{counted(len(older), 'older key')} removed.")
    _keep_event(data, "remove", *older)


def _path(data: Path | None) -> Path:
    return data_directory(data) / FILE_NAME


def _soon_ms() -> int:
    """A key that was made this moment counts as the one that signs."""
    return SystemClock().now_ms() + SIGNS_AFTER_MS


def _after_ms(signs_after: str | None) -> int:
    if signs_after is None:
        return SIGNS_AFTER_MS
    after_s = read_duration("--signs-after", signs_after)
    if after_s > SIGNS_AFTER_S_MAX:
        raise WrongUse(f"--signs-after is 31d at most; this is not: {signs_after}")
    return max(SIGNS_AFTER_MS, after_s * 1000)


def _nothing_older(keys: tuple[TokenKey, ...]) -> str:
    if len(keys) == 1:
        return "There is one key only; nothing to remove."
    return f"Key {keys[0].id} signs until {instant(keys[1].signs_at_ms)}; nothing to remove before."


def _keep_event(data: Path | None, action: str, *keys: TokenKey, detail: str = "") -> None:
    from licet.store.events import Event, keep_events

    events = [
        Event(
            actor=actor(),
            tenant="",
            action=action,
            target=f"key {key.id}",
            detail=", ".join(filter(None, (f"fingerprint {fingerprint(key.key)}", detail))),
        )
        for key in keys
    ]
    try:
        with opened(data) as store, store.transaction(Purpose.UPKEEP) as transaction:
            keep_events(transaction, events)
    except StoreUnavailable as fault:
        note(f"No event was recorded: {fault}")
