"""Authenticates callers of the admin listener: administrators by a password, programs by an API key.

The rules:

- One answer for an unknown name, a disabled administrator and a wrong password, after the same work: a read
  of the store and a hash, in the few threads that hash clients' passwords too, with turns of their own.
- Failures are counted by name and by source, and an attempt under way counts until it succeeds.
- A sign-in is a random token in the browser's cookie; the store has its hash. The CSRF token of forms is
  derived from it: nobody can make it without the cookie, and it is not stored.
- Administrators never need a seat (L10): nothing here uses the ledger.

The store is read on a lane of its own: a store that hangs takes no thread from the public listener.
"""

import asyncio
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from msgspec.structs import replace

from licet.accounts import sign_ins
from licet.accounts.account import is_name
from licet.accounts.administrators import Admin, changing, find_admin
from licet.accounts.api_keys import ApiKey, find_api_key
from licet.accounts.sign_ins import Lives, OwnSignIn, SignIn
from licet.credentials.generated import ApiKeys
from licet.credentials.passwords import PASSWORD_CHARS_MAX, Passwords, check_new_password
from licet.lanes.contract import QueueFull
from licet.lanes.hashing import Check, Hashing, Part, TooManyFailures
from licet.lanes.thread import Lane
from licet.log import Log
from licet.model import FailureCause, Role, Value, Who
from licet.store.contract import Store
from licet.store.errors import NotFound, StoreUnavailable
from licet.web.last_uses import LastUses
from licet.web.log_rate_limit import Kind, LogRateLimit
from licet.web.recording import Caller, Recorder
from licet.web.source import source_of
from licet.web.throttle import Throttle

FAILURES_PER_NAME_MAX = 10  # in a minute
FAILURES_PER_SOURCE_MAX = 20
WRITE_DOWN_EVERY_S = 30.0
QUEUE_MAX = 256  # a guess: more requests than a few dozen open pages send at once

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME_CHARS_MAX = 64
_REFUSED = "unknown name or wrong password"

Found = TypeVar("Found")
Work = Callable[[], Any]


class SignInRefused(Exception):
    """Unknown name, disabled, or a wrong password: one answer, whatever it was."""


class TooManyAttempts(Exception):
    """So many attempts failed that the next one has to wait for `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed attempts; wait {retry_after_s} s before the next one")
        self.retry_after_s = retry_after_s


class Identity(Value, frozen=True, kw_only=True):
    """The caller. Events name it by `actor`: `ada`, or `key deploy`; `tenant_id` is None for all tenants."""

    actor: str
    role: Role
    tenant_id: int | None

    def may(self, role: Role) -> bool:
        """Whether it has the rights of this role."""
        return self.role.includes(role)

    @property
    def owns_licence(self) -> bool:
        """Whether it may change licences, as `licet.setup.licence_terms` defines them."""
        return self.role is Role.OWNER and self.tenant_id is None

    def sees(self, tenant_id: int | None) -> bool:
        """Whether it may see this tenant; None is what concerns all of them."""
        return self.tenant_id is None or self.tenant_id == tenant_id

    @property
    def sees_sign_ins(self) -> bool:
        """Whether it may see which sign-ins of administrators and which API keys failed."""
        return self.tenant_id is None and self.may(Role.OWNER)


class SignedIn(Value, frozen=True, kw_only=True):
    """An administrator who is signed in. Without use it ends at `ends_at_ms`."""

    identity: Identity
    csrf: str
    since_ms: int
    ends_at_ms: int

    def __repr__(self) -> str:
        """Never the CSRF token."""
        return f"SignedIn({self.identity.actor})"


_SIGN_IN_REFUSED = Kind("warning", "sign_in_refused", 0, "")
_KEY_REFUSED = Kind("warning", "api_key_refused", 0, "")


class Access:
    """Make it in a running event loop, and `await close()` it. `passwords` and `hashing` are the server's.

    `api_keys_used` collects when each key was last used; now and then it is written to the store.
    """

    def __init__(
        self,
        *,
        store: Store,
        passwords: Passwords,
        hashing: Hashing,
        pepper: bytes,
        log: Log,
        refusals: LogRateLimit,
        recorder: Recorder,
        lives: Lives = Lives(),  # noqa: B008 - a frozen value
        failures_per_name_max: int = FAILURES_PER_NAME_MAX,
        failures_per_source_max: int = FAILURES_PER_SOURCE_MAX,
    ) -> None:
        self.api_keys_used: LastUses[str, int] = LastUses()
        self._store = store
        self._passwords = passwords
        self._hashing = hashing
        self._api_keys = ApiKeys(pepper)
        self._log = log
        self._refusals = refusals
        self._recorder = recorder
        self._lives = lives
        self._sign_in_throttle, self._key_throttle = (
            Throttle(
                store.clock, per_client_max=failures_per_name_max, per_source_max=failures_per_source_max
            )
            for _ in range(2)
        )
        self._lane: Lane[Work, Any] = Lane(
            _each,
            name="licet-access",
            queue_max=QUEUE_MAX,
            answer_within_s=store.differences.answer_within_s,
        )
        self._writing = asyncio.create_task(self._write_now_and_then())

    async def sign_in(self, name: str, password: str, address: str, *, request_id: str = "") -> str:
        """The token for the cookie of an administrator who authenticated.

        Raises SignInRefused, TooManyAttempts, QueueFull, StoreUnavailable.
        """
        admin, stronger = await self._authenticated(name, password, address, request_id)
        return await self._begin(admin, address, stronger)

    async def change_password(
        self, token: str, old: str, new: str, address: str, *, request_id: str = ""
    ) -> str:
        """Change the password of an administrator who knows the old one; return the token of a new sign-in.

        All sign-ins of the administrator end, and the new one begins. Raises InvalidValue where the new
        password is not allowed, SignInRefused, TooManyAttempts, QueueFull, StoreUnavailable.
        """
        found = await self.signed_in(token)
        if found is None:
            raise SignInRefused("nobody is signed in any more")
        await asyncio.to_thread(check_new_password, new, found.identity.actor)
        admin, hashed = await self._authenticated(found.identity.actor, old, address, request_id, new=new)
        assert hashed is not None
        await self._ask(partial(self._set_password, admin, hashed))
        return await self._begin(replace(admin, password_hash=hashed), address)

    async def signed_in(self, token: str, *, is_use: bool = True) -> SignedIn | None:
        """The administrator with this token, if the sign-in has not ended.

        A page that looks by itself, without its reader, is no use and keeps nobody signed in.
        Raises QueueFull, StoreUnavailable.
        """
        if not _TOKEN.fullmatch(token):
            return None
        find = partial(sign_ins.find, self._store, _hash(token), self._lives, is_use=is_use)
        found: SignIn | None = await self._ask(find)
        if found is None:
            return None
        return SignedIn(
            identity=Identity(actor=found.name, role=found.role, tenant_id=found.tenant_id),
            csrf=self.csrf(token),
            since_ms=found.since_ms,
            ends_at_ms=found.ends_at_ms,
        )

    async def sign_out(self, token: str) -> None:
        """End a sign-in; one that has ended already is no error.

        Raises QueueFull, StoreUnavailable.
        """
        if _TOKEN.fullmatch(token):
            await self._ask(partial(sign_ins.end, self._store, _hash(token)))

    async def own_sign_ins(self, token: str) -> list[OwnSignIn]:
        """Where else the one who has this token is signed in, and here; the newest first.

        Raises QueueFull, StoreUnavailable.
        """
        found: list[OwnSignIn] = await self._ask(
            partial(sign_ins.own, self._store, _hash(token), self._lives)
        )
        return found

    async def sign_out_elsewhere(self, token: str) -> int:
        """End all sign-ins of the one who has this token but this one; how many that were.

        Raises QueueFull, StoreUnavailable.
        """
        ended: int = await self._ask(partial(sign_ins.end_others, self._store, _hash(token), self._lives))
        return ended

    async def of_key(self, key: str, address: str, *, request_id: str = "") -> Identity | None:
        """Whose API key this is; None when it is nobody's, or has expired.

        Raises TooManyAttempts, QueueFull, StoreUnavailable.
        """
        key_id = ApiKeys.id_of(key)
        subject, source = (0, key_id or ""), source_of(address)
        if (wait_s := self._key_throttle.wait_s(subject, source)) is not None:
            self._record(Caller(Who.API_KEY, 0, ""), FailureCause.THROTTLED, address, request_id)
            raise TooManyAttempts(wait_s)
        kept = await self._kept_key(key_id) if key_id else None
        now_ms = self._store.clock.now_ms()
        is_right = self._api_keys.matches(key, kept.hash if kept else None)
        if kept is None or not is_right or kept.is_expired(now_ms):
            self._key_throttle.failed(subject, source)
            if self._refusals.admits(_KEY_REFUSED):
                self._refusals.write(_KEY_REFUSED, key=kept.name if kept else None, address=address)
            cause = FailureCause.EXPIRED_SECRET if is_right else FailureCause.WRONG_SECRET
            caller = Caller(Who.API_KEY, 0, kept.name if kept else "")
            self._record(caller, cause if kept else FailureCause.UNKNOWN_API_KEY, address, request_id)
            return None
        self._key_throttle.succeeded(subject, source)
        self.api_keys_used.note(kept.id, now_ms)
        return Identity(actor=f"key {kept.name}", role=kept.role, tenant_id=kept.tenant_id)

    @staticmethod
    def csrf(token: str) -> str:
        """What a form of the one who has this token sends with it."""
        made = hmac.digest(token.encode(), b"licet csrf", sha256)
        return urlsafe_b64encode(made).rstrip(b"=").decode()

    @classmethod
    def is_csrf(cls, token: str, sent: str) -> bool:
        """Whether a form was sent by the one who has this token."""
        return hmac.compare_digest(cls.csrf(token).encode(), sent.encode(errors="replace"))

    async def write_down(self) -> None:
        """Write when which API key was last used.

        Raises QueueFull, StoreUnavailable.
        """
        used = self.api_keys_used.take()
        if not used:
            return
        try:
            await self._ask(partial(sign_ins.note_api_keys_used, self._store, used))
        except BaseException:
            self.api_keys_used.put_back(used)
            raise

    async def close(self) -> None:
        """Finish what is under way."""
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        with suppress(StoreUnavailable, QueueFull):
            await self.write_down()
        await self._lane.close()

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(WRITE_DOWN_EVERY_S)
            with suppress(StoreUnavailable, QueueFull):  # then the next time does it
                await self.write_down()

    async def _authenticated(
        self, name: str, password: str, address: str, request_id: str, *, new: str | None = None
    ) -> tuple[Admin, str | None]:
        """The administrator whose password this is, and the hash to keep from now on if there is another.

        That is the one of a new password, or a stronger one where the kept one is outdated. What fails is
        recorded. Raises SignInRefused, TooManyAttempts, QueueFull, StoreUnavailable.
        """
        try:
            found, is_right, hashed = await self._checked(name, password, address, new)
        except TooManyAttempts:
            self._record(Caller(Who.ADMINISTRATOR, 0, ""), FailureCause.THROTTLED, address, request_id)
            raise
        if is_right and found is not None:
            return found, hashed
        is_usable = found is not None and found.enabled
        if self._refusals.admits(_SIGN_IN_REFUSED):
            # What is not the name of an administrator could be anything, a password as well.
            admin = found.name if found is not None and is_usable else None
            self._refusals.write(_SIGN_IN_REFUSED, admin=admin, address=address)
        cause = FailureCause.WRONG_SECRET if is_usable else FailureCause.ADMINISTRATOR_DISABLED
        caller = Caller(Who.ADMINISTRATOR, 0, found.name if found else "")
        self._record(caller, cause if found else FailureCause.UNKNOWN_ADMINISTRATOR, address, request_id)
        raise SignInRefused(_REFUSED)

    async def _checked(
        self, name: str, password: str, address: str, new: str | None
    ) -> tuple[Admin | None, bool, str | None]:
        """Who has this name, whether it may come in with this password, and another hash to keep.

        Raises TooManyAttempts, QueueFull, StoreUnavailable.
        """
        name = name.strip().lower()[: _NAME_CHARS_MAX + 1]  # a telephone begins words with a capital
        subject, source = (0, name), source_of(address)
        _must_not_wait(self._sign_in_throttle.wait_s(subject, source))
        found = await self._admin_named(name)
        admin = found if found is not None and found.enabled else None
        check = Check(
            key=object(),
            do=partial(self._verify, admin, password, new),
            is_right=lambda outcome: outcome[0] and admin is not None,
        )
        try:
            is_right, hashed = await self._hashing.start(
                check, self._sign_in_throttle.attempt(subject, source), Part.ADMIN
            )
        except TooManyFailures as refused:
            raise TooManyAttempts(refused.wait_s) from None
        return found, is_right and admin is not None, hashed

    def _record(self, caller: Caller, cause: FailureCause, address: str, request_id: str) -> None:
        self._recorder.failed(caller, cause, request_id=request_id, address=address)

    async def _begin(self, admin: Admin, address: str, stronger_hash: str | None = None) -> str:
        """The token of a new sign-in. Raises SignInRefused when the administrator was changed meanwhile."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        begin = partial(sign_ins.begin, self._store, admin, _hash(token), address, self._lives)
        if not await self._ask(partial(begin, stronger_hash=stronger_hash)):
            raise SignInRefused(_REFUSED)
        self._log.info("signed_in", admin=admin.name, address=address)
        return token

    def _set_password(self, admin: Admin, hashed: str) -> None:
        with suppress(NotFound), changing(self._store, admin.name) as change:
            # Whoever was given another password meanwhile is not the one who authenticated.
            if change.admin(admin.name) == admin:
                change.set_admin(admin.name, password_hash=hashed)

    async def _admin_named(self, name: str) -> Admin | None:
        if not is_name(name):
            return None
        admin: Admin | None = await self._ask(partial(self._find, find_admin, name))
        return admin

    def _verify(self, admin: Admin | None, password: str, new: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and then the hash of a new one, or a stronger one of this."""
        if len(password) > PASSWORD_CHARS_MAX or not password.isprintable():
            admin, password = None, ""  # It can be nobody's; what it is made of may not even be encoded.
        kept = admin.password_hash if admin else None
        is_right = self._passwords.verify_hash(kept, password)
        if is_right and new is not None:
            return True, self._passwords.hash(new)
        if is_right and kept is not None and self._passwords.is_outdated(kept):
            return True, self._passwords.hash(password)
        return is_right, None

    async def _kept_key(self, key_id: str) -> ApiKey | None:
        key: ApiKey | None = await self._ask(partial(self._find, find_api_key, key_id))
        return key

    def _find(self, find: Callable[..., Found], name: str) -> Found:
        with self._store.reading() as connection:
            return find(connection, name)

    async def _ask(self, work: Work) -> Any:
        return await self._lane.submit(work)


def _each(batch: Sequence[Work]) -> list[Any]:
    """Each by itself: what one cannot have, another may."""
    answers = []
    for work in batch:
        try:
            answers.append(work())
        except Exception as fault:  # noqa: BLE001 - it goes to the one who waits for it
            answers.append(fault)
    return answers


def _must_not_wait(wait_s: int | None) -> None:
    if wait_s is not None:
        raise TooManyAttempts(wait_s)


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
