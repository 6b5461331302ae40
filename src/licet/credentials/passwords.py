"""Hashes and verifies passwords with Argon2id, and remembers those verified a moment ago.

A password is chosen by a person and stored as an Argon2id hash, which takes some 15 ms on purpose: hash and
verify on a worker thread. A generated client secret or API key has 256 random bits and is stored as a fast
keyed hash. A password that was right is remembered in memory as long as it is used, so that it need not be
hashed at every request; a wrong one never is.
"""

import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from licet.clock import Clock
from licet.credentials.generated import RENEWED_EVERY_MS, SECRET_PREFIX
from licet.model import Client, InvalidValue, Tenant, User
from licet.refusal import Code

PASSWORD_CHARS_MAX = 256  # a longer one is refused before it is hashed
PASSWORD_CHARS_MIN = 8
PASSWORD_GUESSES_MIN = 10**6  # at 110 guesses a minute for one client (licet.web.throttle), six days

_CHARS_BESIDE_MIN = 5  # a guess: a year and a sign are too few
_CHARS_ESTIMATED_MAX = 40  # only so many are estimated: the time grows with the square of the length


class Passwords:
    """Hashes and verifies passwords: Argon2id, 19 MiB, t=2, p=1 (OWASP's least), or stronger.

    Both methods take some 15 ms and release the GIL.
    """

    def __init__(self, *, memory_kib: int = 19_456, time_cost: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        # An unknown client is checked against this, so that it takes as long as a known one. It is of no
        # password, so that a start need not hash one.
        self._nobody = _hash_of_nothing(self._hasher)

    def hash(self, password: str) -> str:
        """The hash of a password, as it is stored.

        Raises InvalidValue when the password is not allowed.
        """
        check_password(password)
        return self._hasher.hash(password)

    def hash_new(self, password: str, *about: str) -> str:
        """The hash of a newly chosen password; `about` is what everybody knows of its owner.

        Raises InvalidValue when the password is not allowed.
        """
        check_new_password(password, *about)
        return self.hash(password)

    def verify(self, user: User | None, password: str) -> bool:
        """Whether this is the user's password; takes the same time when there is no user, or no password."""
        return self.verify_hash(user.password_hash if user else None, password)

    def verify_hash(self, kept: str | None, password: str) -> bool:
        """Whether the stored hash is of this password; where none is stored, false after the same time."""
        try:
            self._hasher.verify(kept or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than these."""
        return self._hasher.check_needs_rehash(password_hash)


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash with a random salt and tag: to find that a password is not of it takes as long as ever."""
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, tag = (
        b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${tag}"


def check_password(password: str) -> None:
    """Return if this password is allowed.

    Raises InvalidValue.
    """
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        text = f"a password is {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"
        limit = PASSWORD_CHARS_MAX if len(password) > PASSWORD_CHARS_MAX else PASSWORD_CHARS_MIN
        raise InvalidValue(text, code=Code.OUT_OF_RANGE, field="password", limit=limit)
    if not password.isprintable():
        raise _refused(Code.MALFORMED, "a password has no control characters")
    if password.startswith(SECRET_PREFIX):
        text = f"a password does not begin with {SECRET_PREFIX}, which marks generated secrets"
        raise _refused(Code.MALFORMED, text)


def check_new_password(password: str, *about: str) -> None:
    """Return if this password may be chosen; `about` is what everybody knows of its owner.

    It takes up to 0.1 s. Raises InvalidValue.
    """
    check_password(password)
    if len(_beside(password, about)) < _CHARS_BESIDE_MIN:
        text = "a password is more than a name, initials or a client_id with a few characters"
        raise _refused(Code.WEAK_PASSWORD, text)
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words; most programs never need them

    if zxcvbn(password[:_CHARS_ESTIMATED_MAX], user_inputs=about)["guesses"] < PASSWORD_GUESSES_MIN:
        text = "a password must be hard to guess; take several words that nobody expects"
        raise _refused(Code.WEAK_PASSWORD, text)


def _refused(code: Code, text: str) -> InvalidValue:
    return InvalidValue(text, code=code, field="password")


def about_user(tenant: Tenant, initials: str, name: str | None = None) -> tuple[str, ...]:
    """What everybody knows of a user, new or not: initials, names, and its clients."""
    user = tenant.users.get(initials)
    clients = (client.client_id for client in tenant.clients.values() if client.user.initials == initials)
    return tuple(
        word for word in (initials, name, user.name if user else None, tenant.name, *clients) if word
    )


def _beside(password: str, about: Iterable[str]) -> str:
    """The letters and digits of a password that are left without these texts and the words in them."""
    left = password.casefold()
    words = {word for text in about for word in (text, *re.split(r"[\W_]+", text))}
    for word in sorted(words, key=len, reverse=True):
        if len(word) > 1:
            left = left.replace(word.casefold(), " ")
    return "".join(char for char in left if char.isalnum())


class Remembered:
    """Passwords that were right, hashed under a key that is made at the start and never leaves this process.

    An entry is valid until it was unused for `ttl_s` seconds, and only for the password hash that it was
    checked against: when the user's password changes, it is void, whoever changed it. There are `entries_max`
    at most; the least recently used goes first.
    """

    def __init__(self, clock: Clock, *, ttl_s: int = 43_200, entries_max: int = 50_000) -> None:
        self._clock = clock
        self._ttl_ms = ttl_s * 1000
        self._entries_max = entries_max
        self._key = secrets.token_bytes(32)
        self._entries: dict[bytes, tuple[str, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, tenant: Tenant, client: Client, password: str) -> bool:
        """Whether this password was right before, and is still the user's."""
        key = self._name(tenant, client, password)
        entry = self._entries.get(key)
        if entry is None:
            return False
        password_hash, until_ms = entry
        left_ms = until_ms - self._clock.now_ms()
        if password_hash != client.user.password_hash or left_ms <= 0:
            del self._entries[key]
            return False
        if left_ms < self._ttl_ms - RENEWED_EVERY_MS:
            del self._entries[key]  # and add it again, so that it is the last one to go
            self._entries[key] = (password_hash, until_ms - left_ms + self._ttl_ms)
        return True

    def add(self, tenant: Tenant, client: Client, password: str) -> None:
        """Remember that this password was right."""
        if client.user.password_hash is None or self._ttl_ms == 0:
            return
        key = self._name(tenant, client, password)
        self._entries.pop(key, None)
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (client.user.password_hash, self._clock.now_ms() + self._ttl_ms)

    def _name(self, tenant: Tenant, client: Client, password: str) -> bytes:
        subject = f"{tenant.id}\0{client.key}\0{password}".encode()
        return hmac.digest(self._key, subject, sha256)
