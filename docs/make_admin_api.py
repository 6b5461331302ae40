"""Prints docs/reference/admin-api.md: the operations of the admin API, as its document has them.

    .venv/bin/python docs/make_admin_api.py > docs/reference/admin-api.md

The text around them is here; what an operation takes and shows is in the document itself, which a running
server serves.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from licet.admin.api import routers
from licet.admin.problems import TITLES
from licet.refusal import MEANING

HEAD = """# Admin API

<!-- Made by `docs/make_admin_api.py`; edit that instead. -->

What the dashboard and the command line can do, for programs. It is on the admin listener
([`admin_host`, `admin_port`](configuration.md); `http://127.0.0.1:8081`), never on the public one. A
running server serves its OpenAPI document at `/api/v1/openapi.json`, with all that an operation takes and
shows. At `/api/v1/docs` it can be read and tried out in a browser, by whoever is signed in to the dashboard
or has an API key.

```sh
licet admin key add deploy --role owner          # prints the key, once
curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8081/api/v1/tenants
```

## Who asks

An [API key](roles.md) in `Authorization: Bearer lck_...`; or the cookie of the dashboard, and then for every
method but GET and HEAD the page's token in `X-CSRF-Token`. A *viewer* reads, an *operator* also ends
sessions, an *owner* also changes. Whoever is of one tenant meets that tenant only: another one is 404, as one
that does not exist.

Requests are refused (421) that name the server by a name it does not know. It knows every address,
`localhost`, its machine's name and those of `admin_url` and `public_url`. What a browser sends from a page of
another site is refused (403).

## Changing what somebody else may change

What can be edited has an `ETag`, which is of its content. PATCH, PUT and DELETE of it need `If-Match` with
that tag, or `*` for whatever is there.

| answer | when |
| --- | --- |
| 428 | there is no `If-Match`; this is answered before the body is looked at |
| 412 | somebody was first: `current` has what is there now, `ETag` its tag |
| 204 | to DELETE: it is not there any more, also when it was not there before |
| 304 | to GET with `If-None-Match`: it is what you have |

PATCH changes the members that it names, and no others; `null` is a value. What is made is answered with 201
and `Location`. A generated secret or key is in that one answer.

## What would end

A change of the set-up with `?dry_run=true` is not made. All of it is looked at as for the change itself, also
`If-Match`, and the answer is 200 with what would end:

```sh
curl -X PATCH -H "Authorization: Bearer $KEY" -H 'If-Match: *' -H 'Content-Type: application/json' \\
  -d '{"expires_at": "2026-12-31"}' \\
  'http://127.0.0.1:8081/api/v1/tenants/Jim_Test/pools/full?dry_run=true'
```

```json
{
  "dry_run": true,
  "sessions_ended": 2,
  "sessions_cut_short": 0,
  "clients": [{"tenant": "Jim_Test", "client_id": "TestClientId", "user": "TC", "sessions": 2}],
  "clients_more": 0
}
```

`clients` are 20 at most, those with most sessions first. The dry run of the set-up file answers its plan. An
operation that has no dry run refuses to be asked for one (422).

A change with which sessions would end is refused until `?may_end=` says how many may: 409
`would-end-sessions`, with the same members in `ending`. So one wrong digit throws nobody out, and a session
that began meanwhile is not ended unseen. This holds for PATCH and DELETE of tenants, pools, scopes, users and
clients, and for vendors and licences.

## Vendors and licences

Send the files as the vendor sent them:

```sh
curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' --data-binary @vendor.json \
  http://127.0.0.1:8081/api/v1/trust
curl -H "Authorization: Bearer $KEY" -H 'Content-Type: text/plain' --data-binary @c1.licence \
  'http://127.0.0.1:8081/api/v1/tenants/Jim_Test/licences?may_end=0'
```

A file that is refused changes nothing. The answer is 422 `licence-refused`, or 409 where it does not go with
the licences that are installed; `code` is one of [these](licence-file.md#why-a-file-is-refused), `field` the
member that is wrong, such as `pools.full.seats`, and `detail` says what to do. `POST .../licences/check`
shows what installing a file would do.

A licence `counts`, or its `state` says why not. `steps` of a pool is what its licences give, from the first
one on to the last: each step counts until the next, and those with a later `from` than now are to come.

## Lists

Every list is `{"items": [...], "next": ...}`, in pages of `limit` (50, at most 500). `next` is the cursor of
the next page, to be sent as `cursor`, and null at the end; the `Link` header has the whole address. A page
stays right while rows are added and removed. What happened is looked for with `from` and `until`.

Names in addresses are percent-encoded: a slash in a `client_id` is `%2F`.

## Times

An instant is a text in ISO 8601, in answers always in UTC: `"expires_at": "2027-01-31T13:00:00Z"`. Durations
are seconds (`..._s`). What you send may also be a date, or a time of another zone:

| you send | it means |
| --- | --- |
| `2027-01-31` | as `expires_at` or `until` the end of that day, as `from` its start; by the tenant's clocks |
| `2027-01-31T18:00` | that time by the tenant's clocks |
| `2027-01-31T18:00:00Z`, `...+11:00` | that instant; in an address `+` is `%2B` |
| `null` | never |

Where no single tenant is meant, as in `/journal` or for an API key, it is UTC.

## Names that are not there

A name in an address, a field of a body or a parameter that does not exist is refused, and the answer says
which one was probably meant: `There is no pool ful; did you mean full?` Only names that you may see are among
those.

## Errors

`application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with a `request_id` that the
[log](logs.md) has as well. `errors` has for each wrong value a pointer, a code, a message
and, where there is one, the limit.

```json
{"type": "tag:licet,2026:invalid-value", "title": "A value is not what it may be", "status": 422,
 "detail": "At least 0.", "request_id": "a5f0c11aa-1c",
 "errors": [{"pointer": "#/seats", "code": "out_of_range", "message": "At least 0.", "limit": 0}]}
```

Where the set-up refuses something, the problem has a `code` as well. `subject` is what it is about, and
`others` are what stands in the way, or what there is instead; `detail` names the operation that helps.

```json
{"type": "tag:licet,2026:not-possible", "title": "It cannot be done as things are", "status": 409,
 "detail": "Scope a is the default of tenant B; choose another first. changeTenant sets default_scope.",
 "request_id": "a5f0c11aa-1d", "code": "is_default",
 "subject": {"kind": "scope", "name": "a", "tenant": "B"},
 "others": [{"kind": "tenant", "name": "B", "tenant": "B"}]}
```

| type, behind `tag:licet,2026:` | what it says |
| --- | --- |
"""

CODES = """
Programs go by the codes, which are never given another meaning; there may be more in a later version.

| code | what it says |
| --- | --- |
"""

TAIL = """
A body has at most 256 KiB, a declaration 4 MiB. What takes the store longer than 30 s is given up (503).
"""


def page() -> Iterator[str]:
    """The page, in parts."""
    yield HEAD
    for kind, title in TITLES.items():
        yield f"| `{kind}` | {title} |\n"
    yield CODES
    for code, meaning in MEANING.items():
        yield f"| `{code}` | {meaning} |\n"
    yield TAIL
    application = FastAPI(version="0", openapi_url=None)
    application.include_router(routers.router())
    document = routers.openapi_document(application)
    by_tag: defaultdict[str, list[str]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            by_tag[operation["tags"][0]].append(_row(path, method, operation))
    for tag in document["tags"]:
        yield f"\n## {tag['name']}\n\n{tag['description']}\n\n"
        yield "| operation | what | role |\n| --- | --- | --- |\n"
        yield from by_tag[tag["name"]]


def _row(path: str, method: str, operation: dict[str, Any]) -> str:
    role = operation["description"].removeprefix("It takes the role ").rstrip(".")
    short = path.removeprefix("/api/v1")
    return f"| `{method.upper()} {short}` | {operation['summary']} | {role} |\n"


if __name__ == "__main__":
    sys.stdout.write("".join(page()))
