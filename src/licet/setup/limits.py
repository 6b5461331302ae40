"""What is looked at before a tenant's set-up changes: names, and what goes together."""

from collections.abc import Iterable, Mapping, Sequence

from licet.model import InvalidValue, PublicKey, User
from licet.store.errors import AlreadyThere, StillInUse

NAME_CHARS_MAX = 100  # a guess: longer than names are
KEYS_MAX = 16  # as many as secrets
_NAMES_TOLD = 10  # of all that there are, in an error


def must_be_new(what: str, name: str, known: Mapping[str, object]) -> None:
    """Return if there is no thing of this kind and name yet.

    Raises AlreadyThere.
    """
    if name in known:
        raise AlreadyThere(f"there is a {what} {name} already; change it with: licet {what} set")


def must_be_other_initials(initials: str, known: Iterable[str]) -> None:
    """Return if no other user's initials are the same but for the case: TC and tc would be taken for one.

    Raises AlreadyThere.
    """
    if twin := next((it for it in known if it.casefold() == initials.casefold()), None):
        raise AlreadyThere(
            f"there is a user {twin} already, and {initials} differs by case alone; choose others"
        )


def names_of(names: Sequence[str]) -> str:
    """Some names for an error, `A, B and 3 more`."""
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(sorted(names)[:_NAMES_TOLD]) + more


def check_keys(client_id: str, keys: Sequence[PublicKey]) -> None:
    """Return if these may be the keys of one client: an assertion that names one means no other."""
    if len(keys) > KEYS_MAX:
        raise StillInUse(f"client {client_id} has {KEYS_MAX} keys; remove one first")
    names = [it for key in keys for it in {key.thumbprint, key.kid or key.thumbprint}]
    if len(set(names)) < len(names):
        raise AlreadyThere(f"client {client_id}: two of its keys would have the same kid")


def check_name(user: User) -> None:
    """Return if the user's name in full may be one.

    Raises InvalidValue.
    """
    if not 0 < len(user.name) <= NAME_CHARS_MAX or not user.name.isprintable():
        raise InvalidValue(
            f"user {user.initials}: a name is 1 to {NAME_CHARS_MAX} characters without control characters"
        )
