"""Checks what a change of the set-up adds: that names are free, and that keys do not conflict."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from licet.model import InvalidValue, PublicKey, User
from licet.refusal import Code, Subject, SubjectKind
from licet.store.errors import AlreadyThere, StillInUse

NAME_CHARS_MAX = 100  # a guess: longer than names are
COST_CENTRE_CHARS_MAX = 64
KEYS_MAX = 16  # as many as secrets


_NAMED_BY: Mapping[str, str] = {"user": "initials", "client": "client_id"}  # all others by their name


def must_be_new(kind: SubjectKind, name: str, known: Mapping[str, object], tenant: str = "") -> None:
    """Return if there is no thing of this kind and name yet.

    Raises AlreadyThere.
    """
    if name in known:
        about = Subject(kind, name, tenant)
        field = _NAMED_BY.get(kind, "name")
        text = f"there is a {kind} {name} already"
        raise AlreadyThere(text, code=Code.ALREADY_THERE, field=field, subject=about)


def must_be_other_initials(initials: str, known: Iterable[str], tenant: str) -> None:
    """Return if no other user's initials differ only in case: TC and tc would be confused.

    Raises AlreadyThere.
    """
    if twin := next((other for other in known if other.casefold() == initials.casefold()), None):
        text = f"there is a user {twin} already, and {initials} differs by case alone; choose others"
        about = Subject("user", twin, tenant)
        raise AlreadyThere(text, code=Code.DIFFERS_BY_CASE, field="initials", subject=about)


def must_be_visible(field: str, text: str) -> None:
    """Return if all characters of a new name can be seen: one that turns round others shows another name.

    A space at either end is none of them: a field of a page, and a rule of a pool, lose it. Names that are
    older than this rule stay. Raises InvalidValue.
    """
    hidden = next((char for char in text if not char.isprintable()), None)
    if hidden is not None:
        known = f" ({unicodedata.name(hidden)})" if unicodedata.name(hidden, "") else ""
        wrong = f"a new {field} has only characters that can be seen; this one has U+{ord(hidden):04X}{known}"
        raise InvalidValue(wrong, code=Code.MALFORMED, field=field)
    if text.strip() != text:
        wrong = f"a new {field} neither begins nor ends with a space: nobody could see it"
        raise InvalidValue(wrong, code=Code.MALFORMED, field=field)


def check_keys(client_id: str, keys: Sequence[PublicKey]) -> None:
    """Return if a client may have these keys: the id in an assertion must identify one of them."""
    if len(keys) > KEYS_MAX:
        text = f"client {client_id} has {KEYS_MAX} keys; remove one first"
        about = Subject("key", client=client_id)
        raise StillInUse(text, code=Code.TOO_MANY, subject=about, limit=KEYS_MAX)
    names = [name for key in keys for name in {key.thumbprint, key.kid or key.thumbprint}]
    if len(set(names)) < len(names):
        text = f"client {client_id}: two of its keys would have the same kid"
        about = Subject("key", client=client_id)
        raise AlreadyThere(text, code=Code.SAME_KID, field="kid", beside="key", subject=about)


def check_texts(user: User) -> None:
    """Return if the user's full name and cost centre are allowed.

    Raises InvalidValue.
    """
    _check_line(user, "name", "a name", user.name, NAME_CHARS_MAX)
    if user.cost_centre is not None:
        _check_line(user, "cost_centre", "a cost centre", user.cost_centre, COST_CENTRE_CHARS_MAX)


def _check_line(user: User, field: str, what: str, text: str, chars_max: int) -> None:
    if not 0 < len(text) <= chars_max or not text.isprintable():
        allowed = f"user {user.initials}: {what} is 1 to {chars_max} characters without control characters"
        about = Subject("user", user.initials)
        raise InvalidValue(allowed, code=Code.MALFORMED, field=field, subject=about, limit=chars_max)
