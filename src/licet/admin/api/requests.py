"""Defines the bodies of requests to the admin API: one pydantic model each, which checks every value.

A change names only what is to be another; null is a value. What one value alone can be wrong in is seen here,
what it means together with others by the model and the store. A name that nobody knows is a mistake.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import CoreSchema

from licet.admin.api.moments import End
from licet.alerts.destinations import URL_CHARS_MAX
from licet.credentials.keyring import SIGNS_AFTER_MS
from licet.credentials.passwords import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from licet.model import ACCESS_TTL_S as ACCESS_TTL
from licet.model import (
    ALERTS,
    HOLD_S_MAX,
    SEATS_MAX,
    SESSION_TTL_S,
    SESSIONS_MAX,
    SESSIONS_MAX_MAX,
    TIME_ZONE,
    TTL_S_MAX,
    Duplicates,
    GrantType,
    Role,
    TokenFormat,
)
from licet.options import (
    LEVEL_MAX,
    POOLS_MAX,
    QUEUE_HOLD_S,
    QUEUE_HOLD_S_MAX,
    QUEUE_HOLD_S_MIN,
    QUEUE_MAX,
    RULES_MAX,
)
from licet.setup.end_sessions import COOL_DOWN_S_MAX, REASON_CHARS_MAX
from licet.setup.parts.client_secrets_and_keys import OVERLAP_S_MAX
from licet.setup.validation import COST_CENTRE_CHARS_MAX, NAME_CHARS_MAX
from licet.store.paging import LIMIT_MAX
from licet.zones import NAME_CHARS_MAX as ZONE_CHARS_MAX

KEY_CHARS_MAX = 8192  # of one key, many times what the longest takes
SIDS_MAX = 1000  # of one request; more are ended by client, by user, or all
SIGNS_AFTER_S_MAX = 31 * 86_400  # as on the command line
_SCOPES_MAX = 1000
MEMBERS_MAX = 10_000  # of a group: what a body has room for
_LINE = r"^[^\x00-\x1f\x7f]*$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]{1,64}$"
_INITIALS = r"^[A-Za-z0-9.]{2,3}$"
_CLIENT_ID = r"^[^\x00-\x1f\x7f-\x9f]{1,128}$"
_ACCOUNT = r"^[a-z0-9][a-z0-9_.@+-]{0,63}$"
_ALERT = r"^([1-9][0-9]?|100|denied|expires|shared:([2-9]|1[0-6]))$"
_SID = r"^[0-9a-f]{40}$"
_URL = r"^[\x21-\x7e]+$"
_IDENTITY = r"^[A-Za-z0-9_]*$"
_WHO = r"^(user|client|group):[^\x00-\x1f\x7f-\x9f]{1,128}$"

# The message about a text without this form.
ALLOWED = {
    _LINE: "It has no control characters.",
    _NAME: "A name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit.",
    _SCOPE: 'A scope is 1 to 64 printable ASCII characters without space, " and \\.',
    _INITIALS: "Initials are 2 or 3 letters, digits or dots.",
    _CLIENT_ID: "A client_id is 1 to 128 characters without control characters.",
    _ACCOUNT: "A name is 1 to 64 small letters, digits, _ . @ + -, and begins with a letter or digit.",
    _ALERT: "An alert is a percentage from 1 to 100, denied, expires, or shared:2 to shared:16.",
    _SID: "A session is 40 hexadecimal digits.",
    _URL: "A URL is ASCII without spaces, like https://example.com/alerts.",
    _WHO: "A rule is for user:INITIALS, client:CLIENT_ID or group:NAME.",
    _IDENTITY: "A message is called as the list of deliveries has it.",
}

Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Seats = Annotated[Whole, Field(ge=0, le=SEATS_MAX, examples=[5])]
Seconds = Annotated[Whole, Field(ge=1, le=TTL_S_MAX)]
Alerts = Annotated[
    list[Annotated[str, StringConstraints(pattern=_ALERT)]],
    Field(max_length=10, examples=[list(ALERTS)]),
]
Hold = Annotated[
    Whole,
    Field(
        ge=0,
        le=HOLD_S_MAX,
        examples=[60],
        description="How long a seat is on hold for its holder after its last token, in seconds.",
    ),
]
PoolSeats = Annotated[
    Seats | None,
    Field(
        description="null is all that licences sign, and no seats in a pool without a licence.", examples=[5]
    ),
]
Overdraft = Annotated[
    Seats | None,
    Field(description="How much of the signed overdraft may be used. null is all of it."),
]
TenantName = Annotated[str, StringConstraints(pattern=_NAME), Field(examples=["Branch_2"])]
PoolName = Annotated[str, StringConstraints(pattern=_NAME), Field(examples=["mobile"])]
GroupName = Annotated[str, StringConstraints(pattern=_NAME), Field(examples=["sales"])]
ScopeName = Annotated[str, StringConstraints(pattern=_SCOPE), Field(examples=["report"])]
Initials = Annotated[str, StringConstraints(pattern=_INITIALS), Field(examples=["AB"])]
ClientId = Annotated[str, StringConstraints(pattern=_CLIENT_ID), Field(examples=["Desk"])]
AccountName = Annotated[str, StringConstraints(pattern=_ACCOUNT), Field(examples=["grace"])]
UserName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARS_MAX, pattern=_LINE),
    Field(examples=["Ada Byron"]),
]
CostCentre = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=COST_CENTRE_CHARS_MAX, pattern=_LINE)] | None,
    Field(
        description="The cost centre that pays for its seats, for reports. null is none.", examples=["4711"]
    ),
]
WebhookUrl = Annotated[
    str,
    StringConstraints(min_length=1, max_length=URL_CHARS_MAX, pattern=_URL),
    Field(examples=["https://example.com/alerts"]),
]
Password = Annotated[
    str,
    StringConstraints(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX, pattern=_LINE),
    Field(examples=["correct horse"], json_schema_extra={"format": "password", "writeOnly": True}),
]
Status = Annotated[Literal[400, 429, 503], Field(examples=[400])]
Scopes = Annotated[list[ScopeName] | None, Field(max_length=_SCOPES_MAX, description="null is every scope.")]
GrantTypes = Annotated[list[GrantType], Field(min_length=1, max_length=len(GrantType))]
MaxSessions = Annotated[Whole, Field(ge=1, le=SESSIONS_MAX_MAX)]


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        """What was sent, and not what has its default."""
        return {name: _plain(getattr(self, name)) for name in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Its own fields stand before those of the body that it extends: a name is first."""
        schema = handler.resolve_ref_schema(handler(core))
        fields: dict[str, Any] = schema["properties"]
        own = {name: fields[name] for name in cls.__annotations__ if name in fields}
        schema["properties"] = own | fields
        return schema


def _plain(value: Any) -> Any:
    """A list of bodies as their members, by the names in which they were sent; all else as it is."""
    if not isinstance(value, list):
        return value
    return [one.model_dump(by_alias=True) if isinstance(one, Body) else one for one in value]


Who = Annotated[str, StringConstraints(pattern=_WHO), Field(examples=["group:sales"])]


class Share(Body):
    """So many seats, for a user, a client or a group."""

    for_: Annotated[Who, Field(alias="for")]
    seats: Annotated[Whole, Field(ge=1, le=SEATS_MAX, examples=[2])]


class Priority(Body):
    """A level in the queue, for a user, a client or a group."""

    for_: Annotated[Who, Field(alias="for")]
    level: Annotated[Whole, Field(ge=-LEVEL_MAX, le=LEVEL_MAX, examples=[5])]


Whos = Annotated[list[Who], Field(max_length=RULES_MAX)]
Shares = Annotated[list[Share], Field(max_length=RULES_MAX)]
Bound = Annotated[
    Annotated[Whole, Field(ge=1, le=SEATS_MAX, examples=[2])] | None, Field(description="null is no limit.")
]
Pools = Annotated[
    list[PoolName],
    Field(
        max_length=POOLS_MAX,
        description="The pools its seat comes from, in order; `pool` alone is short for one.",
    ),
]

AccessTokens = Annotated[
    TokenFormat,
    Field(description="With jwt, access_ttl_s is 60 by default, and at most a day.", examples=["jwt"]),
]


TimeZone = Annotated[
    str,
    Field(
        max_length=ZONE_CHARS_MAX,
        description="The time zone of dates without one: a name of the IANA database.",
        examples=["Australia/Sydney"],
    ),
]


LicenceRequired = Annotated[Flag, Field(description="Whether a pool without a licence gives no seats.")]


class _TenantSettings(Body):
    session_ttl_s: Seconds = SESSION_TTL_S
    access_ttl_s: Seconds = ACCESS_TTL
    no_seat_status: Status = 400
    token_format: AccessTokens = TokenFormat.REFERENCE
    strict_assertions: Flag = False
    time_zone: TimeZone = TIME_ZONE
    licence_required: LicenceRequired = False


class TenantPatch(_TenantSettings):
    """Changes of a tenant itself."""

    default_scope: ScopeName = "all"


class TenantNew(_TenantSettings):
    """A new tenant; it has the scope `view`, the pool `full` of so many seats, and the scope `all` on it."""

    name: TenantName
    seats: Seats


class PoolPatch(Body):
    """Changes of a pool."""

    seats: PoolSeats = None
    duplicates: Duplicates = Duplicates.CLIENT
    expires_at: End = None
    alerts: Alerts = list(ALERTS)
    hold_s: Hold = 0
    overdraft: Overdraft = None
    exclude: Whos = []
    include: Whos = []
    named: Annotated[list[Initials], Field(max_length=RULES_MAX)] = []
    reserve: Shares = []
    max: Shares = []
    max_per_user: Bound = None
    max_per_client: Bound = None
    priority: Annotated[list[Priority], Field(max_length=RULES_MAX)] = []
    queue: Annotated[Whole, Field(ge=0, le=QUEUE_MAX, examples=[20])] = 0
    queue_hold_s: Annotated[Whole, Field(ge=QUEUE_HOLD_S_MIN, le=QUEUE_HOLD_S_MAX)] = QUEUE_HOLD_S


class PoolNew(PoolPatch):
    """A new pool."""

    name: PoolName
    seats: Seats


class ScopePatch(Body):
    """Changes of a scope."""

    pool: PoolName | None = None
    pools: Pools = []
    read_only: Flag = False


class ScopeNew(ScopePatch):
    """A new scope."""

    name: ScopeName


class UserPatch(Body):
    """Changes of a user; a password of null takes it away."""

    name: UserName = ""
    password: Password | None = None
    enabled: Flag = True
    cost_centre: CostCentre = None


class UserNew(UserPatch):
    """A new user; without a password, none is accepted."""

    initials: Initials
    name: UserName | None = None  # type: ignore[assignment]  # null: its initials


class ClientPatch(Body):
    """Changes of a client. Sessions that the new settings would not allow are ended."""

    user: Initials = ""
    enabled: Flag = True
    max_sessions: MaxSessions = SESSIONS_MAX
    scopes: Scopes = None
    grant_types: GrantTypes = list(GrantType)
    introspects: Flag = False
    password_allowed: Flag = True


class ClientNew(ClientPatch):
    """A new client. With `generate_secret` its user's password works for it only where that is said."""

    client_id: ClientId
    user: Initials
    password_allowed: Flag | None = None  # type: ignore[assignment]  # null: as the secret says
    generate_secret: Flag = False
    secret_expires_at: End = None


class GroupPatch(Body):
    """Changes of a group: a list takes the place of the one before."""

    users: Annotated[list[Initials], Field(max_length=MEMBERS_MAX)] = []
    clients: Annotated[list[ClientId], Field(max_length=MEMBERS_MAX)] = []


class GroupNew(GroupPatch):
    """A new group."""

    name: GroupName


class SecretNew(Body):
    """A new generated secret of a client."""

    expires_at: End = None


class SecretRotation(Body):
    """A generated secret in the place of all others, which work on for `overlap_s` seconds, or less."""

    overlap_s: Annotated[Whole, Field(ge=0, le=OVERLAP_S_MAX, examples=[86_400])] = 86_400
    expires_at: End = None


class ClientKeyNew(Body):
    """A public key of a client: the text of a JWK, of a JWKS with one key, or PEM."""

    key: Annotated[
        str,
        StringConstraints(min_length=1, max_length=KEY_CHARS_MAX),
        Field(
            examples=['{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}']
        ),
    ]
    kid: Annotated[
        str | None,
        StringConstraints(min_length=1, pattern=_CLIENT_ID),
        Field(
            examples=["2026-11"], description="The client's name for the key; null is that in the key itself."
        ),
    ] = None
    expires_at: End = None


class Ending(Body):
    """Which sessions end: by their ids, those of a client or user, or all; why, and for how long.

    For `cool_down_s` seconds their clients get no seat.
    """

    sids: Annotated[
        list[Annotated[str, StringConstraints(pattern=_SID)]] | None,
        Field(min_length=1, max_length=SIDS_MAX),
    ] = None
    client: ClientId | None = None
    user: Initials | None = None
    all: Flag = False
    reason: Annotated[
        str, StringConstraints(max_length=REASON_CHARS_MAX, pattern=_LINE), Field(examples=["It hangs"])
    ] = ""
    cool_down_s: Annotated[Whole, Field(ge=0, le=COOL_DOWN_S_MAX, examples=[300])] = 0

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        by_filter = self.client is not None or self.user is not None
        if (self.sids is not None) + by_filter + self.all != 1:
            raise ValueError("say which sessions: sids, or client and user, or all")
        return self


class Suspension(Body):
    """For how long a client gets no seat."""

    cool_down_s: Annotated[Whole, Field(ge=1, le=COOL_DOWN_S_MAX, examples=[300])]


class AdminNew(Body):
    """A new administrator."""

    name: AccountName
    password: Password
    role: Role = Role.VIEWER
    tenant: TenantName | None = None
    enabled: Flag = True


class AdminPatch(Body):
    """Changes of an administrator. Who may do less than before has to sign in again."""

    password: Password = ""
    role: Role = Role.VIEWER
    tenant: TenantName | None = None
    enabled: Flag = True


EndInUtc = Annotated[
    End,
    Field(
        description="ISO 8601: a date is the end of that day, and without a zone it is UTC. null is never."
    ),
]


class ApiKeyNew(Body):
    """A new API key."""

    name: AccountName
    role: Role = Role.VIEWER
    tenant: TenantName | None = None
    expires_at: EndInUtc = None


class KeyRotation(Body):
    """When a new key begins to sign: time to bring the file to other nodes."""

    signs_after_s: Annotated[
        Whole, Field(ge=0, le=SIGNS_AFTER_S_MAX, description=f"At least {SIGNS_AFTER_MS} ms in any case.")
    ] = 0


class WebhookNew(Body):
    """A new webhook, for the alerts of one tenant or, with null, of all."""

    url: WebhookUrl
    tenant: TenantName | None = None


class WebhookPatch(Body):
    """A change of a webhook."""

    url: WebhookUrl = ""
    enabled: Flag = True


class SendAgain(Body):
    """Which messages."""

    messages: Annotated[
        list[Annotated[str, StringConstraints(max_length=64, pattern=_IDENTITY)]],
        Field(min_length=1, max_length=LIMIT_MAX, examples=[["msg_0123456789abcdef0123456789abcdef"]]),
    ]
