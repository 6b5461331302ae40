"""`licet key`: the keys that sign tokens, in `secrets.json` of the data directory."""

from pathlib import Path

from licet.cli.console import (
    AsJson,
    Data,
    Instant,
    Record,
    Yes,
    confirm,
    counted,
    data_directory,
    say,
    show_list,
)
from licet.cli.errors import Refused
from licet.cli.noun import Noun
from licet.clock import SystemClock
from licet.keyring import FILE_NAME, KEYS_MAX, new_keyring, read_keyring, write_keyring

app = Noun("The keys that sign tokens: the newest signs, all are accepted.")

_HEADINGS = {"id": "key", "created_at": "created", "signs": "signs"}


@app.verb("list")
def list_(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the keys by their ids; what they are is never shown.

    Example: [bold]licet key list[/]
    """
    keyring = read_keyring(_path(data))
    records: list[Record] = [
        {"id": key.id, "created_at": Instant(key.created_at_ms), "signs": key is keyring.newest}
        for key in keyring.token_keys
    ]
    show_list(records, _HEADINGS, as_json=as_json, empty="")


@app.verb("rotate")
def rotate(*, data: Data = None) -> None:
    """Add a key, which signs from now on. Tokens of the older ones go on working.

    Example: [bold]licet key rotate[/]
    """
    path = _path(data)
    before = read_keyring(path)
    if len(before.token_keys) >= KEYS_MAX:
        raise Refused(f"there are {KEYS_MAX} keys already; remove the older ones first: licet key prune")
    keyring = before.rotated(SystemClock().now_ms())
    write_keyring(path, keyring)
    say(f"Key {keyring.newest.id} signs from now on; a running server has it within a second.")


@app.verb("new")
def new(*, data: Data = None, yes: Yes = False) -> None:
    """Make new keys when the file of the old ones is lost. It never replaces a file that is there.

    Without the old ones no token and no generated client secret works any more.

    Example: [bold]licet key new --data /var/lib/licet[/]
    """
    path = _path(data)
    if path.exists():
        raise Refused(f"{path} is there; to add a key: licet key rotate")
    question = "Make new keys? All tokens and generated client secrets of the old ones stop working."
    confirm(question, yes=yes)
    write_keyring(path, new_keyring(SystemClock().now_ms()))
    say(f"Made {path}; keep a copy of it.")


@app.verb("prune")
def prune(*, data: Data = None, yes: Yes = False) -> None:
    """Remove all keys but the newest. Tokens that the others signed stop working.

    Example: [bold]licet key prune[/]
    """
    path = _path(data)
    keyring = read_keyring(path)
    older = len(keyring.token_keys) - 1
    if older == 0:
        say("There is one key only; nothing to remove.")
        return
    confirm(f"Remove {counted(older, 'older key')}? What they signed stops working.", yes=yes)
    write_keyring(path, keyring.pruned())
    say(f"{counted(older, 'older key')} removed.")


def _path(data: Path | None) -> Path:
    return data_directory(data) / FILE_NAME
