"""Makes the measured set-up, tenants with one client and with many, and the requests of its clients.

A tenant has three pools, each with a scope: `full`, with a seat for each client and two more, whose scope is
`all`; `scarce`, with one seat, which the client `Holder` has; and `each`, in which every session takes a
seat of its own. The client `Api` may introspect. Sessions last for a day, so that none expires during a
measurement.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import insert

from bench.measured.stores import Place
from bench.measured.wire import Answer, Request, ask_all, basic, form
from licet.client.client_assertion import Signing
from licet.client.tokens import Secret
from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.credentials.keyring import Keyring
from licet.credentials.passwords import Passwords
from licet.credentials.public_keys import read_keys
from licet.model import SEATS_MAX, SESSIONS_MAX, SESSIONS_MAX_MAX, Duplicates, GrantType
from licet.setup.change import SetupChange, changing
from licet.store import schema

MANY = "Many"  # each client has a seat
COMING = "Coming"  # no client has a seat
LIMITED, LIMITED_SINGLE = "Limited", "LimitedOne"  # each client has all the sessions that it may have
SIGNING = "Signing"  # each client has its seat, and a key as well as a secret
SCARCE, EACH = "scarce", "each"
PASSWORD = "password"
CLIENTS_MANY = 10_000
SINGLES = 16  # tenants of one client: each round uses a new one
DAY_S = 86_400
_TRIES = 20  # more for a grant of the set-up
_USER, _HOLDER, _API = "BN", "Holder", "Api"


class Plan(NamedTuple):
    """A tenant to make; `sessions_max` is that of each of its clients."""

    name: str
    clients: int
    sessions_max: int = SESSIONS_MAX_MAX
    seats: int | None = None  # None: two more than there are clients
    has_keys: bool = False  # whether each client can authenticate by `private_key_jwt` as well


class Site:
    """The secrets of a set-up, the same in every store, and the requests that its clients make."""

    def __init__(self, keyring: Keyring, plans: Sequence[Plan]) -> None:
        self.plans = {plan.name: plan for plan in plans}
        self._made = {plan.name: _secrets(ClientSecrets(keyring.pepper), plan) for plan in plans}
        self._password_hash = Passwords().hash(PASSWORD)
        self._key = ec.generate_private_key(ec.SECP256R1())  # of all clients that have one
        self._signing: dict[tuple[int, str], Signing] = {}

    def fill(self, place: Place) -> None:
        """Put the tenants into an empty store."""
        store = place.open()
        with changing(store, "bench") as change:
            for name, plan in self.plans.items():
                self._fill_tenant(change, plan, self._made[name])
        store.close()

    def _fill_tenant(self, change: SetupChange, plan: Plan, made: Sequence[NewClientSecret]) -> None:
        seats = plan.clients + 2 if plan.seats is None else plan.seats
        tenant = change.add_tenant(plan.name, seats=seats, session_ttl_s=DAY_S, access_ttl_s=DAY_S)
        tenant.add_pool(SCARCE, seats=1)
        tenant.add_pool(EACH, seats=SEATS_MAX, duplicates=Duplicates.NONE)
        for scope in (SCARCE, EACH):
            tenant.add_scope(scope, pool=scope)
        tenant.add_user(_USER, password_hash=self._password_hash)
        for client_id, secret in zip((_HOLDER, _API), made, strict=False):
            tenant.add_client(client_id, secret, user=_USER, introspects=client_id == _API)
        # The others are inserted as rows, because an event for each of so many is of no use.
        connection, tenant_id = change.transaction.connection, tenant.tenant.id
        common = {
            "tenant_id": tenant_id,
            "initials": _USER,
            "enabled": True,
            "sessions_max": plan.sessions_max,
            "scopes": None,
            "grant_types": " ".join(sorted(GrantType)),
            "introspects": False,
            "password_allowed": True,
        }
        rows = [{"client_id": f"Client{number}"} | common for number in range(plan.clients)]
        inserted = connection.execute(
            insert(schema.client).returning(schema.client.c.key, sort_by_parameter_order=True), rows
        )
        client_keys = inserted.scalars().all()
        secrets = [
            {
                "secret_id": secret.secret_id,
                "tenant_id": tenant_id,
                "client_key": key,
                "hash": secret.hash,
                "created_at_ms": change.transaction.now_ms,
            }
            for key, secret in zip(client_keys, made[2:], strict=True)
        ]
        connection.execute(insert(schema.client_secret), secrets)
        if plan.has_keys:
            self._add_public_keys(change, tenant_id, client_keys)

    def _add_public_keys(self, change: SetupChange, tenant_id: int, client_keys: Sequence[int]) -> None:
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        [key] = read_keys(public.decode())
        common = {
            "tenant_id": tenant_id,
            "thumbprint": key.thumbprint,
            "jwk": key.jwk,
            "created_at_ms": change.transaction.now_ms,
        }
        rows = [{"client_key": it} | common for it in client_keys]
        change.transaction.connection.execute(insert(schema.public_key), rows)

    def grant(self, tenant: str, number: int, *, scope: str = "", password: str = "") -> Request:
        """A grant of a client, with its secret or this password."""
        header = basic(f"Client{number}", password or self.secret(tenant, number))
        return _grant(tenant, header, scope)

    def grant_by_assertion(
        self, tenant: str, number: int, issuer: str, now_s: Callable[[], float] = time.time
    ) -> Request:
        """A grant of a client with an assertion of its own (RFC 7523), signed with ES256."""
        signing = self._signing.get((number, issuer))
        if signing is None:
            private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            signing = Signing(f"Client{number}", issuer, Secret(private), None, now_s)
            self._signing[number, issuer] = signing
        return form(f"/{tenant}/token", grant_type="client_credentials", **signing.form())

    def refresh(self, tenant: str, number: int, refresh_token: str) -> Request:
        """A refresh of a client with its refresh token."""
        header = basic(f"Client{number}", self.secret(tenant, number))
        return form(f"/{tenant}/token", header, grant_type="refresh_token", refresh_token=refresh_token)

    def introspect(self, tenant: str, token: str) -> Request:
        """An introspection of a token by `Api`."""
        return form(f"/{tenant}/introspect", basic(_API, self.api_secret(tenant)), token=token)

    def verify(self, tenant: str, token: str) -> Request:
        """A request for forward authentication of a POST with this token."""
        headers = (("Authorization", f"Bearer {token}"), ("X-Original-Method", "POST"))
        return Request("GET", f"/{tenant}/verify", headers)

    def logoff(self, tenant: str, token: str) -> Request:
        """A logoff with an access token."""
        return Request("POST", f"/{tenant}/logoff", (("Authorization", f"Bearer {token}"),))

    def hold(self, tenant: str) -> Request:
        """A grant to `Holder` of the only seat of `scarce`."""
        return _grant(tenant, basic(_HOLDER, self._made[tenant][0].secret), SCARCE)

    def secret(self, tenant: str, number: int) -> str:
        """The secret of a client."""
        return self._made[tenant][number + 2].secret

    def api_secret(self, tenant: str) -> str:
        """The secret of `Api`."""
        return self._made[tenant][1].secret


def _grant(tenant: str, header: tuple[str, str], scope: str) -> Request:
    wanted = {"scope": scope} if scope else {}
    return form(f"/{tenant}/token", header, grant_type="client_credentials", **wanted)


def _secrets(secrets: ClientSecrets, plan: Plan) -> list[NewClientSecret]:
    return [secrets.generate() for _ in range(plan.clients + 2)]


def single(round_number: int) -> str:
    """The tenant of one client for this round."""
    return f"One{round_number % SINGLES}"


def plans(clients: int = CLIENTS_MANY) -> list[Plan]:
    """The tenants of a full run."""
    return [
        *(Plan(single(number), 1) for number in range(SINGLES)),
        Plan(LIMITED_SINGLE, 1, sessions_max=SESSIONS_MAX),
        Plan(MANY, clients),
        Plan(COMING, clients),
        Plan(LIMITED, clients, sessions_max=1),
        Plan(SIGNING, clients, has_keys=True),
    ]


class Held(NamedTuple):
    """The tokens of a live session."""

    access: str
    refresh: str


class Filled(NamedTuple):
    """A place with a set-up and sessions; `held` are those of each tenant, of its clients in turn.

    `journal` counts the entries of the journal so far, by kind.
    """

    place: Place
    held: dict[str, list[Held]]
    journal: Counter[str]


def begin_sessions(site: Site, url: str) -> dict[str, list[Held]]:
    """Begin sessions of all clients except those of `COMING`, and let `Holder` take its seat."""
    held = {}
    for name, plan in site.plans.items():
        _granted(url, [site.hold(name)])
        times = plan.sessions_max if plan.sessions_max < SESSIONS_MAX_MAX else 1
        if name != COMING:
            grants = [site.grant(name, number) for number in range(plan.clients) for _ in range(times)]
            held[name] = _granted(url, grants)
    return held


def _granted(url: str, grants: Sequence[Request]) -> list[Held]:
    """The tokens of these grants; one that a busy machine answers with 503 is sent again."""
    answers = ask_all(url, grants)
    for _ in range(_TRIES):
        late = [at for at, answer in enumerate(answers) if answer.status == HTTPStatus.SERVICE_UNAVAILABLE]
        for at, answer in zip(late, ask_all(url, [grants[at] for at in late]), strict=True):
            answers[at] = answer
    return tokens_of(answers)


def tokens_of(answers: Sequence[Answer]) -> list[Held]:
    """The tokens of these answers to grants."""
    contents = [json.loads(answer.body) for answer in answers if answer.status == HTTPStatus.OK]
    refused = [answer for answer in answers if answer.status != HTTPStatus.OK]
    assert not refused, f"a grant of the set-up was refused: {refused[0]}"
    return [Held(content["access_token"], content["refresh_token"]) for content in contents]
