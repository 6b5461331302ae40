"""Makes the OpenAPI document of the admin API from its routers, with the answers of each operation.

An operation says what it shows and what may go wrong with it in particular; its docstring is its summary.
What may go wrong with any of them is added here, in one place. The schemas of bodies are pydantic's, those of
answers msgspec's: they are made of the values that are sent.
"""

from collections.abc import Iterable, Mapping
from inspect import isclass
from types import UnionType
from typing import Any, Final, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from licet.admin.api.dry_run import Rehearsal
from licet.admin.api.responses import accounts, alerts, setup, upkeep
from licet.admin.api.wire import shape_of
from licet.admin.problems import MEDIA_TYPE, TITLES, FieldError
from licet.alerts.raised import Raised
from licet.journal.denials import DenialRange, Holder
from licet.journal.failures import FailureRange, Refused
from licet.journal.history import EventEntry, JournalEntry
from licet.licences.errors import LicenceCode
from licet.refusal import SubjectKind
from licet.reports.live import LiveSession, SeatsNow
from licet.reports.options.queue import Waiting
from licet.reports.options.rules_of_client import RulesOfClient
from licet.reports.options.why import Why
from licet.reports.overview import TenantOverview
from licet.reports.usage import Usage
from licet.setup.consequences import Consequences
from licet.setup.end_sessions import SessionsEnded

JSON: Final = "application/json"
TOML: Final = "application/toml"
TEXT: Final = "text/plain"
CSV: Final = "text/csv"

# All that an answer is made of; what they are made of comes with them.
SHOWN: Final = (
    *(
        shape
        for module in (setup, accounts, upkeep, alerts)
        for shape in vars(module).values()
        if isclass(shape) and shape.__module__ == module.__name__
    ),
    Rehearsal,
    Consequences,
    LicenceCode,
    FieldError,
    *map(
        shape_of,
        (
            Raised,
            SessionsEnded,
            LiveSession,
            SeatsNow,
            Waiting,
            Why,
            RulesOfClient,
            Usage,
            TenantOverview,
            DenialRange,
            Holder,
            FailureRange,
            Refused,
            JournalEntry,
            EventEntry,
        ),
    ),
)
_ANY: Final = (400, 401, 403, 421, 422, 429, 503)  # what may go wrong with every operation
_BODY: Final = (413, 415)
_KINDS: Final = {
    400: "malformed-request",
    401: "sign-in-needed",
    403: "not-allowed",
    404: "not-found",
    409: "not-possible",
    412: "changed-meanwhile",
    413: "too-large",
    415: "wrong-media-type",
    421: "wrong-host",
    422: "invalid-value",
    428: "condition-needed",
    429: "too-many-attempts",
    503: "store-unavailable",
}
_ETAG: Final = {"schema": {"type": "string"}, "description": "The tag of this content, for If-Match."}
_LOCATION: Final = {"schema": {"type": "string"}, "description": "Where it is."}
_LINK: Final = {"schema": {"type": "string"}, "description": 'The address of the next page, as rel="next".'}
_RETRY: Final = {"schema": {"type": "integer"}, "description": "Seconds."}

Route = dict[str, Any]


def one(shape: type[Any] | None, *problems: int, status: int = 200, media: str = JSON) -> Route:
    """An operation that shows one thing, or nothing."""
    description = "Done." if shape is None else "What it is."
    return _route(status, description, _schema(shape), problems, media=media)


def text(*problems: int, also: tuple[str, ...] = ()) -> Route:
    """An operation that shows a text; `also` are other types that it may have."""
    route = _route(200, "What it is.", {"type": "string"}, problems, media=TEXT)
    for media in also:
        route["responses"][200]["content"][media] = {"schema": {} if media == JSON else {"type": "string"}}
    return route


def listed(shape: type[Any] | UnionType, *problems: int) -> Route:
    """An operation that shows a list in pages; of a union each item is one of its classes."""
    schema = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": _schema(shape)},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
        },
    }
    return _route(200, "A page of them.", schema, problems, headers={"Link": _LINK})


def shown(shape: type[Any] | None, media: str = JSON) -> Route:
    """An operation that shows what can be edited."""
    schema = _schema(shape) if shape is not None else {"type": "string"}
    route = _route(200, "What it is.", schema, (404,), headers={"ETag": _ETAG}, media=media)
    route["responses"][304] = {"description": "It is what you have.", "headers": {"ETag": _ETAG}}
    return route


def added(shape: type[Any]) -> Route:
    """An operation that makes something."""
    headers = {"Location": _LOCATION}
    return _route(201, "It was made.", _schema(shape), (404, 409, *_BODY), headers=headers)


def edited(shape: type[Any], also: dict[str, Any] | None = None) -> Route:
    """An operation that changes something."""
    problems = (404, 409, 412, 428, *_BODY)
    route = _route(200, "What it is now.", _schema(shape), problems, headers={"ETag": _ETAG})
    return route | {"openapi_extra": _CONDITION | (also or {})}


def removed() -> Route:
    """An operation that removes something; what is not there is removed already."""
    route = _route(204, "It is not there any more.", None, (404, 409, 412, 428))
    return route | {"openapi_extra": _CONDITION}


def sent(media: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """What an operation takes whose body is a file, for its `openapi_extra`."""
    content = {media: {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def _route(
    status: int,
    description: str,
    schema: dict[str, Any] | None,
    problems: tuple[int, ...],
    *,
    headers: dict[str, Any] | None = None,
    media: str = JSON,
) -> Route:
    good: dict[str, Any] = {"description": description}
    if schema is not None:
        good["content"] = {media: {"schema": schema}}
    if headers:
        good["headers"] = headers
    responses: dict[int | str, Any] = {status: good}
    responses |= {number: _problem(number) for number in sorted({*_ANY, *problems})}
    return {"responses": responses, "status_code": status, "response_class": Response}


_CONDITION: Final = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The ETag of what is meant, or `*` for whatever is there.",
            "schema": {"type": "string", "pattern": r'^(\*|"[^"]*"(, *"[^"]*")*)$'},
            "example": "*",
        }
    ]
}


def _problem(status: int) -> dict[str, Any]:
    kind = _KINDS[status]
    example = {
        "type": f"tag:licet,2026:{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": f"{TITLES[kind]}.",
        "request_id": "a5f0c11aa-1",
    }
    answer: dict[str, Any] = {
        "description": TITLES[kind],
        "content": {MEDIA_TYPE: {"schema": _ref("Problem"), "example": example}},
    }
    if status in {429, 503}:
        answer["headers"] = {"Retry-After": _RETRY}
    return answer


def _schema(shape: type[Any] | UnionType | None) -> dict[str, Any] | None:
    if isinstance(shape, UnionType):
        return {"anyOf": [_ref(kind.__name__) for kind in get_args(shape)]}
    return None if shape is None else _ref(shape.__name__)


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_ABOUT = """Programs can do here what people do on the dashboard and on the command line.

**Authentication.** An API key in `Authorization: Bearer lck_...` (`licet admin key add`), or the cookie of
the dashboard, then with `X-CSRF-Token` for every method that is not safe. A *viewer* may read, an
*operator* may also end sessions, an *owner* may also change things. A key of one tenant sees that tenant
only; others are 404.

**Errors** are problem details (RFC 9457) with a `request_id`; `errors` has a JSON pointer, a `code` and a
message for each wrong value. If a change contradicts the set-up, `code` says why and `subject` what is
concerned: programs read these, people read `detail`.

**Two people who edit the same thing.** Everything that can be edited has an `ETag`. PATCH, PUT and DELETE
need `If-Match`: 428 without it, 412 with the present version if somebody else has changed it. DELETE of
something that does not exist is 204.

**Try a change first.** With `dry_run=true` a change of the set-up is checked and not made: 200 with the
sessions that would end, and their clients.

A change is refused (409) if it would end more sessions than `may_end` allows, which is 0 by default.

**Lists** are `items` and `next`, and come in pages: `limit`, and `cursor` with the `next` of the page before;
`Link` has the same as an address.

**Names** in addresses are percent-encoded, a slash as `%2F`.

**Times** are ISO 8601, in UTC (`..._at`). What is sent may also be a date, and name another zone or none:
then the tenant's is meant. Durations are seconds (`..._s`)."""

_TAGS = {
    "Tenants": "Customer databases.",
    "Pools": "Pools of seats.",
    "Licences": "Signed licences, and the trusted vendors.",
    "Scopes": "What a token may do.",
    "Users": "Persons and services.",
    "Groups": "Users and clients that the options of pools can name together.",
    "Clients": "OAuth clients, their generated secrets and their public keys.",
    "Sessions": "Active sessions, and ending them.",
    "Reports": "Seats, denials and the journal.",
    "Usage": "The use of a span of time: peaks, seat-hours and true denials.",
    "Accounts": "Administrators and API keys.",
    "Upkeep": "Signing keys, the check of the set-up, and the set-up as a file.",
    "Alerts": "Webhooks, and their messages.",
}

_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "enum": [f"tag:licet,2026:{kind}" for kind in TITLES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "The log has more under it."},
        "code": {
            "anyOf": [_ref("Code"), _ref("LicenceCode")],
            "description": "Why the set-up refuses it, or with licence-refused what is wrong with the file;"
            " it is never given another meaning.",
        },
        "field": {
            "type": "string",
            "description": "The member of the file that is refused: pools.full.seats.",
        },
        "subject": {**_ref("Subject"), "description": "What it is about."},
        "limit": {"type": "integer", "description": "The bound, where the code is about one."},
        "others": {
            "type": "array",
            "items": _ref("Subject"),
            "description": "What stands in the way, or what there is instead: 10 at most.",
        },
        "errors": {
            "type": "array",
            "items": _ref("FieldError"),
            "description": "What is wrong with which value.",
        },
        "ending": {**_ref("Consequences"), "description": "What would end."},
        "current": {"description": "What is there now, where somebody else was first."},
    },
}
_SUBJECT = {
    "type": "object",
    "description": "A thing of the set-up; what is not known of it is left out.",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": list(get_args(SubjectKind))},
        "name": {"type": "string"},
        "tenant": {"type": "string"},
        "client": {"type": "string", "description": "Of whose secret or key it is."},
    },
}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, `lck_...`."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "licet",
        "description": "The dashboard's; `__Host-licet` over TLS.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "With the cookie, for methods that are not safe.",
    },
}


_COOKIE_AND_TOKEN: Final[dict[str, list[str]]] = {"cookie": [], "csrf": []}


def document(
    application: FastAPI, roles: Mapping[str, str], shown: Iterable[type[Any]] = ()
) -> dict[str, Any]:
    """The OpenAPI document of all that an application serves and describes.

    `roles` are by operation; `shown` is what answers are made of beside `SHOWN`.
    """
    made: dict[str, Any] = get_openapi(
        title="Licet admin API",
        version=application.version,
        openapi_version="3.1.0",
        description=_ABOUT,
        routes=application.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        servers=[{"url": "http://127.0.0.1:8081", "description": "Where the admin listener is, by default."}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, answers = msgspec.json.schema_components((*SHOWN, *shown), ref_template="#/components/schemas/{name}")
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name, schema in schemas.items():
        _tidy_body(name, schema)
    schemas |= {name: _tidy_answer(schema) for name, schema in sorted(answers.items())}
    schemas |= {"Problem": _PROBLEM, "Subject": _SUBJECT}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = _SECURITY
    for item in made["paths"].values():
        for method, operation in item.items():
            operation["summary"] = operation["description"].rstrip(".")
            operation["description"] = f"It takes the role {roles[operation['operationId']]}."
            operation["security"] = [{"key": []}, {"cookie": []} if method == "get" else _COOKIE_AND_TOKEN]
            operation["responses"] = dict(map(_named_once, operation["responses"].items()))
    components["responses"] = {f"Problem{status}": _problem(status) for status in sorted(_KINDS)}
    return made


def _named_once(answer: tuple[str, Any]) -> tuple[str, Any]:
    """A problem by its name, as every operation has most of them."""
    status, described = answer
    if int(status) not in _KINDS:
        return status, described
    return status, {"$ref": f"#/components/responses/Problem{status}"}


def _tidy_body(name: str, schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is: it has no default."""
    for member in schema.get("properties", {}).values():
        member.pop("title", None)
        if name.endswith("Patch"):
            member.pop("default", None)
    schema.pop("title", None)


def _tidy_answer(schema: dict[str, Any]) -> dict[str, Any]:
    """All members of an answer are always there, and a text has no indentation."""
    tidy = {key: member for key, member in schema.items() if key != "title"}
    if "description" in tidy:
        tidy["description"] = " ".join(tidy["description"].split())
    if "properties" in tidy:
        tidy["required"] = list(tidy["properties"])
        for member in tidy["properties"].values():
            member.pop("default", None)
    return tidy
