"""Plans the tenants of a run, which have few seats and many clients, and puts them into a store.

Every tenant is of another kind: seats are held by clients, users or sessions (L2), sessions live for seconds
or twenty minutes (L3), clients may have few of them (L8). Each client has two secrets: an administrator
removes one and adds it again, so the load knows both from the start. Every fifth client also has a key, and
authenticates by assertions that it signs. Three pools are signed by a vendor, with
reference tokens and with JWTs; guards in front of APIs count their seats again.

A run with options has other kinds of tenants, each with a line:

- a pool with a reserve, limits, exclusion and inclusion; the same with seats held by sessions;
- a pool for named users;
- two signed pools, one of them with JWTs;
- options for users with four clients each, and a pool with seats held by users (L2);
- a pool with a line and priorities only, and one with few seats and a line that nobody changes.
"""

import msgspec
from msgspec.structs import replace

from chaos.history import POOL, ApiPlan, ClientPlan, HolderKind, Limits, RunPlan, TenantPlan
from chaos.site.keys import new_key
from chaos.site.vendor import Vendor, first
from licet.accounts.administrators import changing as changing_accounts
from licet.credentials.generated import ApiKeys, ClientSecrets, NewClientSecret
from licet.credentials.keyring import Keyring
from licet.model import Duplicates, PublicKey, Role, TokenFormat
from licet.options import Priority, Share
from licet.setup.change import SetupChange, changing
from licet.setup.licences import install, trust
from licet.setup.tenant import TenantSetup
from licet.store.contract import Store

ACTOR = "chaos"
ASKER = "Asker"  # the client that introspects; no administrator changes it
SECRETS = 2
KEY_EVERY, KEY_FIRST = 5, 3  # clients, of which one has a key: so there are some in each group below

_Kind = tuple[str, int, HolderKind, int, int, int, int, int, int]
# Name, seats, who holds a seat, life of a session and of a token in seconds, clients, users, sessions of each
# client, hold in seconds. In a signed pool, the seats are the signed ones.
_TENANTS: tuple[_Kind, ...] = (
    ("Client", 6, "client", 20, 10, 60, 60, 100, 0),
    ("User", 5, "user", 8, 4, 60, 20, 6, 0),
    ("Session", 8, "none", 5, 5, 60, 60, 3, 0),
    ("Short", 4, "client", 2, 1, 50, 50, 2, 0),
    ("Long", 10, "client", 1200, 600, 40, 40, 4, 0),
    ("Crowd", 3, "client", 6, 3, 60, 60, 5, 0),
    ("Held", 6, "client", 3, 2, 20, 20, 3, 2),
)
_SIGNED: tuple[_Kind, ...] = (
    ("SignedClient", 12, "client", 10, 5, 30, 30, 3, 2),
    ("SignedUser", 8, "user", 8, 4, 40, 20, 4, 3),
    ("SignedJwt", 12, "client", 8, 3, 30, 30, 3, 3),
)
_JWT = frozenset({"SignedJwt", "LimitedJwt"})
# The tenants whose pools have options: mostly 64 clients, two of each user.
LIMITS = Limits(reserve=2, max=2, max_per_user=1, excludes=True, queue=12, includes=True, level=3)
_LINE = Limits(reserve=0, max=0, max_per_user=0, excludes=False, queue=40, level=3)
_LIMITED: tuple[tuple[_Kind, Limits, int], ...] = (  # how long a place in line is kept, in seconds
    (("Limited", 10, "client", 8, 4, 64, 32, 100, 0), LIMITS, 5),
    (("LimitedLine", 10, "client", 8, 4, 64, 64, 100, 0), _LINE, 30),
    (
        ("LimitedSession", 12, "none", 6, 4, 64, 32, 100, 0),
        replace(LIMITS, max=3, max_per_user=3, max_per_client=2),
        20,
    ),
    (
        ("LimitedNamed", 6, "client", 8, 4, 24, 12, 100, 0),
        replace(LIMITS, reserve=1, includes=False, names=True, max_per_user=2, queue=6),
        20,
    ),
    (
        ("LimitedSigned", 10, "client", 8, 4, 64, 32, 100, 2),
        replace(LIMITS, includes=False, max_per_user=2),
        20,
    ),
    (
        ("LimitedJwt", 10, "client", 8, 3, 48, 24, 100, 3),
        replace(LIMITS, includes=False, max=3, max_per_user=1),
        20,
    ),
    (
        ("LimitedUser", 10, "client", 8, 4, 64, 16, 100, 0),
        replace(LIMITS, includes=False, max=4, max_per_user=2, max_of_user=1),
        20,
    ),
    (
        ("LimitedByUser", 8, "user", 8, 4, 64, 20, 100, 0),
        replace(LIMITS, includes=False, max=3, max_per_user=0),
        20,
    ),
    (("LimitedFew", 3, "client", 30, 15, 32, 32, 100, 0), replace(_LINE, level=1), 20),
)
_SIGNED_NAMES = frozenset({"LimitedSigned", "LimitedJwt"})
_BY_USERS = frozenset({"LimitedUser", "LimitedByUser"})
_STEADY = frozenset({"LimitedFew"})
# The members of the groups, as slices of the clients; or, below, of the users.
_DESK, _SALES, _OUT, _FIRST = slice(4), slice(2, 18), slice(-4, None), slice(12, 24)
_STAFF, _NAMED = slice(2, -8), slice(5)
_DESK_USERS, _SALES_USERS, _OUT_USERS, _FIRST_USERS = slice(2), slice(1, 6), slice(-1, None), slice(5, 8)
_CAPPED = slice(5, 8)  # one user of `sales`, and two of no limited group


class ClientSite(msgspec.Struct, frozen=True, kw_only=True):
    """A client as the load knows it. At any time one of its secrets may not work.

    With a `private_key`, in PEM, it authenticates by assertions and uses no secret.
    """

    client_id: str
    secrets: tuple[str, ...]
    private_key: str = ""


class TenantSite(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as the load knows it."""

    name: str
    session_ttl_s: int
    clients: tuple[ClientSite, ...]
    asker_secret: str
    is_signed: bool = False
    is_jwt: bool = False
    has_line: bool = False
    is_steady: bool = False
    line_hold_s: int = 0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The tenants of a store for the load; for the administrator the clients' secrets and an API key."""

    tenants: tuple[TenantSite, ...]
    secrets: dict[tuple[str, str], tuple[NewClientSecret, ...]]
    vendor: Vendor
    operator_key: str


def plan(
    seed: int,
    store: str,
    nodes: int,
    *,
    share: float = 1.0,
    copies: int = 1,
    apis: tuple[ApiPlan, ...] = (),
    with_options: bool = False,
    only: tuple[str, ...] = (),
) -> RunPlan:
    """The plan of a run, with this `share` of the clients, and `copies` tenants of each kind.

    If `with_options`, it has only tenants whose pools have options. `only` names the kinds; none is all.
    """
    if with_options:
        limited = tuple(
            _limited(_copied(kind, copy), share, limits, line_hold_s)
            for copy in range(copies)
            for kind, limits, line_hold_s in _LIMITED
            if not only or kind[0] in only
        )
        return RunPlan(seed=seed, store=store, nodes=nodes, tenants=limited, apis=apis)
    kinds = [kind for kind in _TENANTS if not only or kind[0] in only]
    tenants = [_tenant_plan(_copied(kind, copy), share) for copy in range(copies) for kind in kinds]
    tenants += [_tenant_plan(kind, share, is_signed=True) for kind in _SIGNED if not only or kind[0] in only]
    return RunPlan(seed=seed, store=store, nodes=nodes, tenants=tuple(tenants), apis=apis)


def _copied(kind: _Kind, copy: int) -> _Kind:
    """The kind of a copy: the first has the name of the kind, the others a number as well."""
    return (f"{kind[0]}-{copy}" if copy else kind[0], *kind[1:])


def _tenant_plan(kind: _Kind, share: float, *, is_signed: bool = False) -> TenantPlan:
    name, seats, duplicates, session_ttl_s, access_ttl_s, clients, users, sessions_max, hold_s = kind
    return TenantPlan(
        name=name,
        seats=seats,
        duplicates=duplicates,
        session_ttl_s=session_ttl_s,
        access_ttl_s=access_ttl_s,
        hold_s=hold_s,
        signed=seats if is_signed else 0,
        is_jwt=name.partition("-")[0] in _JWT,
        clients=tuple(
            ClientPlan(
                client_id=f"{name}{number}",
                user=f"{number % users:03}",
                sessions_max=sessions_max,
                has_key=number % KEY_EVERY == KEY_FIRST,
            )
            for number in range(max(seats + 2, round(clients * share)))
        ),
    )


def _limited(kind: _Kind, share: float, limits: Limits, line_hold_s: int) -> TenantPlan:
    """The plan of a tenant with options, for groups of its clients or of its users."""
    name = kind[0].partition("-")[0]
    plan = _tenant_plan(kind, share, is_signed=name in _SIGNED_NAMES)
    names = tuple(client.client_id for client in plan.clients)
    users = tuple(dict.fromkeys(client.user for client in plan.clients))
    plan = replace(plan, limits=limits, line_hold_s=line_hold_s, is_steady=name in _STEADY)
    if name in _BY_USERS:

        def clients_of(some: slice) -> tuple[str, ...]:
            return tuple(client.client_id for client in plan.clients if client.user in users[some])

        return replace(
            plan,
            by_users=True,
            desk=clients_of(_DESK_USERS),
            sales=clients_of(_SALES_USERS),
            out=clients_of(_OUT_USERS),
            first=clients_of(_FIRST_USERS),
            capped=users[_CAPPED] if limits.max_of_user else (),
        )
    return replace(
        plan,
        desk=names[_DESK],
        sales=names[_SALES],
        out=names[_OUT],
        staff=names[_STAFF],
        first=names[_FIRST],
        named=users[_NAMED],
    )


def set_options(tenant: TenantSetup, plan: TenantPlan, limits: Limits) -> None:
    """Give the pool of a tenant these options."""
    tenant.set_pool(
        POOL,
        reserve=(Share(who="group:desk", seats=limits.reserve),) if limits.reserve else (),
        max=_max_of(plan, limits),
        max_per_user=limits.max_per_user or None,
        max_per_client=limits.max_per_client or None,
        exclude=("group:out",) if limits.excludes else (),
        include=("group:staff",) if limits.includes else (),
        named=plan.named if limits.names else (),
        priority=(Priority(who="group:first", level=limits.level),) if limits.level else (),
        queue=limits.queue,
        queue_hold_s=plan.line_hold_s,
    )


def _max_of(plan: TenantPlan, limits: Limits) -> tuple[Share, ...]:
    of_group = (Share(who="group:sales", seats=limits.max),) if limits.max else ()
    each = plan.capped if limits.max_of_user else ()
    return (*of_group, *(Share(who=f"user:{user}", seats=limits.max_of_user) for user in each))


def make_site(store: Store, keyring: Keyring, run_plan: RunPlan, vendor: Vendor) -> Made:
    """Put the tenants of a plan and their licences into a store.

    Raises StoreUnavailable.
    """
    generating = ClientSecrets(keyring.pepper)
    secrets = {
        (tenant.name, client.client_id): tuple(generating.generate() for _ in range(SECRETS))
        for tenant in run_plan.tenants
        for client in tenant.clients
    }
    askers = {tenant.name: generating.generate() for tenant in run_plan.tenants}
    keys = {
        (tenant.name, client.client_id): new_key()
        for tenant in run_plan.tenants
        for client in tenant.clients
        if client.has_key
    }
    with changing(store, ACTOR) as change:
        for tenant in run_plan.tenants:
            _add(change, tenant, secrets, askers[tenant.name])
        for (name, client_id), (_, key) in keys.items():
            change.tenant(name).add_key(client_id, key)
    with changing(store, ACTOR) as change:
        trust(change, vendor.file)
        for tenant in run_plan.tenants:
            if tenant.signed:
                install(change, tenant.name, vendor.file_of(tenant, first(tenant)))
    operator_key = ApiKeys(keyring.pepper).generate()
    with changing_accounts(store, ACTOR) as accounts:
        accounts.add_api_key(ACTOR, operator_key, role=Role.OPERATOR)
    return Made(
        tenants=tuple(
            _tenant_site(plan, secrets, askers[plan.name].secret, keys) for plan in run_plan.tenants
        ),
        secrets=secrets,
        vendor=vendor,
        operator_key=operator_key.key,
    )


def _add(
    change: SetupChange,
    plan: TenantPlan,
    secrets: dict[tuple[str, str], tuple[NewClientSecret, ...]],
    asker: NewClientSecret,
) -> None:
    tenant = change.add_tenant(
        plan.name,
        seats=plan.seats,
        session_ttl_s=plan.session_ttl_s,
        access_ttl_s=plan.access_ttl_s,
        token_format=TokenFormat.JWT if plan.is_jwt else TokenFormat.REFERENCE,
    )
    tenant.set_pool(POOL, duplicates=Duplicates(plan.duplicates), hold_s=0 if plan.signed else plan.hold_s)
    for initials in dict.fromkeys(client.user for client in plan.clients):
        tenant.add_user(initials)
    for client in plan.clients:
        own = secrets[plan.name, client.client_id]
        tenant.add_client(client.client_id, own[0], user=client.user, sessions_max=client.sessions_max)
        for secret in own[1:]:
            tenant.add_secret(client.client_id, secret)
    if plan.limits is not None:
        user_of = {client.client_id: client.user for client in plan.clients}
        for name in ("desk", "sales", "out", "staff", "first"):
            members = frozenset[str](getattr(plan, name))
            if plan.by_users:
                tenant.add_group(name, users=frozenset(user_of[client] for client in members))
            else:
                tenant.add_group(name, clients=members)
        set_options(tenant, plan, plan.limits)
    tenant.add_user("API")
    tenant.add_client(ASKER, asker, user="API", introspects=True)


def _tenant_site(
    plan: TenantPlan,
    secrets: dict[tuple[str, str], tuple[NewClientSecret, ...]],
    asker_secret: str,
    keys: dict[tuple[str, str], tuple[str, PublicKey]],
) -> TenantSite:
    return TenantSite(
        name=plan.name,
        session_ttl_s=plan.session_ttl_s,
        clients=tuple(
            ClientSite(
                client_id=client.client_id,
                secrets=tuple(secret.secret for secret in secrets[plan.name, client.client_id]),
                private_key=keys[plan.name, client.client_id][0] if client.has_key else "",
            )
            for client in plan.clients
        ),
        asker_secret=asker_secret,
        is_signed=plan.signed > 0,
        is_jwt=plan.is_jwt,
        has_line=plan.limits is not None,
        is_steady=plan.is_steady,
        line_hold_s=plan.line_hold_s,
    )
