"""Declares what an administrator sets of a tenant, a pool, a scope, a user, a client, a group: each once.

    POOL.facts(pool) == {"seats": 5, "duplicates": "client", "expires": None, ...}

The rules:

- The set-up file, the command line, the admin API, the pages and the events are made of these settings. The
  kind (`licet.setup.kinds`) says which values are allowed, the model has the default.
- A setting has one name: that of the field without its unit, `hold` and `--hold` for `hold_s`.
- Passwords and secrets are not settings: they are never written or read.
- The effects of a change, such as sessions that end, are code: `licet.setup.tenant`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from licet.model import (
    ALERTS,
    HOLD_S_MAX,
    NO_SEAT_STATUSES,
    SEATS_MAX,
    SESSIONS_MAX_MAX,
    TTL_S_MAX,
    Client,
    Duplicates,
    GrantType,
    Pool,
    Scope,
    Tenant,
    TokenFormat,
    User,
    Value,
)
from licet.options import QUEUE_HOLD_S_MAX, QUEUE_HOLD_S_MIN, QUEUE_MAX, Group
from licet.setup.kinds import (
    Alerts,
    Choice,
    Choices,
    Duration,
    End,
    Flag,
    Keys,
    Limit,
    Line,
    Names,
    Number,
    OptionalLine,
    Reference,
    ShortDuration,
    TimeZone,
    Whole,
)
from licet.setup.noun import Facts, Noun, Setting
from licet.setup.options.kinds import Bound, InOrder, Levels, Listed, Shares, Whos
from licet.setup.validation import COST_CENTRE_CHARS_MAX, NAME_CHARS_MAX

TENANT = Noun(
    word="tenant",
    model=Tenant,
    settings=(
        Setting(
            field="session_ttl_s",
            kind=Duration(1, TTL_S_MAX),
            is_always_written=True,
            label="A session lives",
            help="How long a session lives after its last token.",
            page_help="After its last token: 20m, 8h or 1200. So long a seat stays taken when a program dies."
            " Counts for new tokens.",
        ),
        Setting(
            field="access_ttl_s",
            kind=Duration(1, TTL_S_MAX),
            is_always_written=True,
            label="An access token lives",
            help="How long an access token lives at most.",
            page_help="If you change the token format and not this, it becomes that format's default: 60 s"
            " (JWT) or 10 min (reference).",
        ),
        Setting(
            field="scope_default",
            called="default_scope",
            kind=Reference("scope"),
            is_always_written=True,
            is_own=True,
            label="Default scope",
            help="The scope of a grant that requests none.",
        ),
        Setting(
            field="no_seat_status",
            kind=Number(tuple(sorted(NO_SEAT_STATUSES))),
            is_always_written=True,
            is_own=True,
            label="Status when no seat is free",
            help="The HTTP status of a denial.",
        ),
        Setting(
            field="token_format",
            kind=Choice(TokenFormat),
            label="Access tokens are",
            help="What access tokens are.",
            page_help="An API has to ask Licet about a reference, so that a logoff counts at once. It may"
            " check a JWT by itself, and a logoff does not reach it.",
        ),
        Setting(
            field="strict_assertions",
            kind=Flag(),
            off="lax-assertions",
            off_help="An assertion may name the endpoint as its audience, and RS256 is accepted.",
            is_own=True,
            label="Strict assertions",
            help="An assertion names the issuer alone as its audience, and RS256 is refused.",
            page_help="An assertion that a client signs names the issuer alone as its audience, and RS256 is"
            " refused: PS256, ES256 and EdDSA work. FAPI 2.0 asks for it.",
        ),
        Setting(
            field="time_zone",
            kind=TimeZone(),
            label="Time zone",
            help="The time zone of dates without one, like Australia/Sydney.",
            page_help="In which dates without a zone are meant, like the day on which a licence ends:"
            " Australia/Sydney, or UTC. Another zone moves no end that is set.",
        ),
        Setting(
            field="licence_required",
            kind=Flag(),
            off="licence-optional",
            off_help="A pool without a licence gives the seats that you set.",
            label="Licence required",
            help="A pool without a licence gives no seats.",
            page_help="A pool that no vendor has signed a licence for gives no seat: a grant is denied with"
            " licence_missing.",
        ),
    ),
)

POOL = Noun(
    word="pool",
    model=Pool,
    settings=(
        Setting(
            field="seats",
            kind=Limit(0, SEATS_MAX),
            help="How many may be in use at once.",
            page_help="How many may be in use at once. When it is lowered below what is in use, sessions"
            " stay, and no new seat is given until it fits. In a pool that licences sign the lesser number"
            " counts; empty is all that is signed.",
        ),
        Setting(
            field="duplicates",
            kind=Choice(Duplicates),
            is_always_written=True,
            label="A seat is shared by the sessions of",
            help="Whose sessions share a seat.",
            page_help="Counts for new sessions.",
        ),
        Setting(
            field="expires_at_ms",
            kind=End(),
            help="When the licence ends.",
            page_help="No session lives past it.",
        ),
        Setting(
            field="alerts",
            kind=Alerts(),
            is_own=True,
            help="What alerts are raised at.",
            page_help="When so many per cent of its seats are in use, when a seat is denied, and before its"
            f" licence expires: {' '.join(ALERTS)}, or none. With shared:5 also when a seat is used from 5"
            " addresses in a day.",
        ),
        Setting(
            field="hold_s",
            kind=Duration(0, HOLD_S_MAX),
            label="A seat is held for",
            help="How long a seat is on hold for its holder after the last token issued with it.",
            page_help="After the last token issued with it, however it ended: 60s, 20m, at most 24h; 0 is not"
            " at all. Meanwhile it is in use, and its holder may take it again. Where an API does not ask"
            " about each request, a hold keeps clients from taking turns on a seat.",
        ),
        Setting(
            field="overdraft",
            kind=Limit(0, SEATS_MAX),
            help="How many seats of the signed overdraft may be used.",
            page_help="How many seats above those that were bought may be in use, of as many as the licence"
            " allows; empty is all of them.",
        ),
        Setting(
            field="exclude",
            kind=Whos(),
            off="no-exclude",
            off_help="Nobody is excluded.",
            is_own=True,
            label="Excluded",
            help="Who gets no seat.",
            page_help="Who gets no seat, whatever else is set: user:TC, client:App or group:sales, one a"
            " line. Whoever has a seat keeps it.",
        ),
        Setting(
            field="include",
            kind=Whos(),
            off="no-include",
            off_help="Everybody may have a seat.",
            is_own=True,
            label="Included",
            help="The only ones who get a seat.",
            page_help="Who may have a seat, one per line; empty is everybody. Whoever has seats reserved is"
            " included.",
        ),
        Setting(
            field="named",
            kind=Listed("user"),
            off="no-named",
            off_help="No users are named.",
            is_own=True,
            label="Named users",
            help="The only users who get a seat, by initials; at most as many as seats.",
            page_help="The only users who get a seat, by initials, one per line; at most as many as seats."
            " A name that is taken off counts for 24 hours, so that names do not rotate.",
        ),
        Setting(
            field="reserve",
            kind=Shares(),
            off="no-reserve",
            off_help="No seat is reserved.",
            is_own=True,
            label="Reserved seats",
            help="How many seats nobody else gets, even while they are idle.",
            page_help="Seats that nobody else gets, even while they are idle: 2:group:sales, one per line.",
        ),
        Setting(
            field="max",
            kind=Shares(),
            off="no-max",
            off_help="Nobody has an individual limit.",
            is_own=True,
            label="Seats at most",
            help="How many seats a user, client or group has at most.",
            page_help="How many seats a user, a client or a whole group has at most: 1:user:TC, one a line.",
        ),
        Setting(
            field="max_per_user",
            kind=Bound(1, SEATS_MAX),
            off="no-max-per-user",
            off_help="A user may have as many as there are.",
            is_own=True,
            label="Seats at most, each user",
            help="How many seats each user has at most.",
            page_help="How many seats each user has at most; empty is no limit.",
        ),
        Setting(
            field="max_per_client",
            kind=Bound(1, SEATS_MAX),
            off="no-max-per-client",
            off_help="A client may have as many as there are.",
            is_own=True,
            label="Seats at most, each client",
            help="How many seats each client has at most.",
            page_help="How many seats each client has at most; empty is no limit. It matters where each"
            " session has a seat of its own.",
        ),
        Setting(
            field="priority",
            kind=Levels(),
            off="no-priority",
            off_help="All are equal in the queue.",
            is_own=True,
            label="Priorities in the queue",
            help="Priority in the queue, 0 by default, from 9 (first) to -9.",
            page_help="Priority in the queue, one per line: 5:group:sales, from 9 (first) to -9; else 0.",
        ),
        Setting(
            field="queue",
            kind=Whole(0, QUEUE_MAX),
            off="no-queue",
            off_help="Nobody waits.",
            is_own=True,
            label="Places in the queue",
            help="How many clients may wait for a seat; 0 is no queue.",
            page_help="How many clients may wait for a seat that ask for it with queue=true; 0 is no queue.",
        ),
        Setting(
            field="queue_hold_s",
            kind=ShortDuration(QUEUE_HOLD_S_MIN, QUEUE_HOLD_S_MAX),
            is_own=True,
            label="A place is kept for",
            help="How long a place in the queue is kept for a client that does not ask again.",
            page_help="For a client that does not ask again: 5s to 5m.",
        ),
    ),
)

SCOPE = Noun(
    word="scope",
    model=Scope,
    settings=(
        Setting(
            field="pool",
            kind=Reference("pool"),
            off="unlicensed",
            off_help="Without a pool.",
            is_always_written=True,
            label="A session needs a seat of",
            help="The pool that its seats come from; without one it needs no seat.",
            page_help="With another pool its sessions end: their seats are not of that pool.",
        ),
        Setting(
            field="pools",
            kind=InOrder("pool"),
            label="Pools, in order",
            help="The pools that its seats come from, the first that has one free: one to four, in order.",
            page_help="One to four pools, in order: a seat comes from the first that gives one. Sessions with"
            " a seat of a pool that is taken away end.",
        ),
        Setting(
            field="read_only",
            kind=Flag(),
            off="read-write",
            off_help="Its tokens may change data.",
            is_always_written=True,
            label="Read-only",
            help="Its tokens may not change data.",
            page_help="Its tokens may not change data: APIs behind the guard refuse them.",
        ),
    ),
)

USER = Noun(
    word="user",
    model=User,
    key="initials",
    settings=(
        Setting(
            field="name",
            kind=Line(NAME_CHARS_MAX),
            is_always_written=True,
            label="Name in full",
            help="The name in full.",
        ),
        Setting(
            field="enabled",
            kind=Flag(),
            help="Whether its clients get sessions.",
            page_help="When it is not: the sessions of its clients end at once, and they get no new ones.",
        ),
        Setting(
            field="cost_centre",
            kind=OptionalLine(COST_CENTRE_CHARS_MAX),
            off="no-cost-centre",
            off_help="No cost centre.",
            label="Cost centre",
            help="The cost centre that pays for its seats, for reports.",
            page_help="Who pays for its seats: reports can be split by it. Empty is nobody in particular.",
        ),
    ),
)

CLIENT = Noun(
    word="client",
    model=Client,
    key="client_id",
    settings=(
        Setting(
            field="user",
            kind=Reference("user"),
            help="The user for whom it acts, by initials.",
            page_help="The initials of whom it stands for. With another user its sessions end.",
        ),
        Setting(
            field="enabled",
            kind=Flag(),
            help="Whether it gets sessions.",
            page_help="When it is not: its sessions end at once, and it gets no new ones.",
        ),
        Setting(
            field="sessions_max",
            called="max_sessions",
            kind=Whole(1, SESSIONS_MAX_MAX),
            label="Sessions at most",
            help="How many sessions it may have: one more ends its oldest.",
            page_help="One more ends its oldest: so a client that asks for a token at every call is bounded.",
        ),
        Setting(
            field="scopes",
            kind=Names("scope"),
            option="scope",
            off="every-scope",
            off_help="It may have every scope.",
            help="The scopes it may have.",
            page_help="Saving ends sessions that hold a scope you untick.",
        ),
        Setting(
            field="grant_types",
            kind=Choices(GrantType),
            option="grant-type",
            label="It may",
            help="The grant types it may use.",
        ),
        Setting(
            field="introspects",
            kind=Flag(),
            off="no-introspection",
            off_help="It may not introspect tokens.",
            label="It is an API, and may ask about tokens",
            help="It may introspect tokens: an API.",
            page_help="It may use the introspection endpoint.",
        ),
        Setting(
            field="password_allowed",
            kind=Flag(),
            option="password",
            off="no-password",
            off_help="Only its secrets and keys work for it.",
            label="The user's password works for it",
            help="Its user's password works for it.",
            page_help="A secret of its own is better: it is random, and can be replaced without the user.",
        ),
        Setting(field="keys", kind=Keys(), help="The public keys by which it authenticates."),
    ),
)

GROUP = Noun(
    word="group",
    model=Group,
    settings=(
        Setting(
            field="users",
            kind=Names("user"),
            option="user",
            off="no-users",
            off_help="It has no users.",
            help="The users in it, by initials.",
            page_help="The users in it. A user may be in several groups.",
        ),
        Setting(
            field="clients",
            kind=Names("client"),
            option="client",
            off="no-clients",
            off_help="It has no clients.",
            help="The clients in it.",
            page_help="The clients in it, whatever user they stand for.",
        ),
    ),
)

_NOUNS: Mapping[type[Value], Noun] = MappingProxyType(
    {noun.model: noun for noun in (TENANT, POOL, SCOPE, USER, CLIENT, GROUP)}
)


def noun_of(value: Value) -> Noun:
    """The noun of a value."""
    return _NOUNS[type(value)]


def facts(value: Value) -> Facts:
    """The settings of a value, as in the set-up file."""
    return noun_of(value).facts(value)


def described(value: Value) -> str:
    """A value in one line, without absent settings and defaults."""
    return noun_of(value).described(value)


def differences(before: Value, after: Value) -> str:
    """What changed, in one line: `seats 5 -> 7`."""
    return noun_of(after).differences(before, after)


def said(value: Value) -> Facts:
    """The facts of a value to mention: those that are present and not the default."""
    return noun_of(value).said(value)
