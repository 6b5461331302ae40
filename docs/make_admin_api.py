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

With this API, programs can do what people do on the dashboard and on the command line. It is on the admin
listener ([`admin_host`, `admin_port`](configuration.md); `http://127.0.0.1:8081`), never on the public one. A
running server serves its OpenAPI document at `/api/v1/openapi.json`, with all parameters and answers of each
operation. Everybody who is signed in to the dashboard, or has an API key, can read it and try it out in a
browser at `/api/v1/docs`.

```sh
licet admin key add deploy --role owner          # prints the key once
curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8081/api/v1/tenants
```

## Authentication

Send an [API key](roles.md) in `Authorization: Bearer lck_...`. A page of the dashboard sends its cookie
instead, and for every method except GET and HEAD also its token in `X-CSRF-Token`. The role *viewer* can
read, an *operator* can also end sessions, and an *owner* can also make changes. A key or administrator of one
tenant sees only that tenant: any other gets 404, like a tenant that does not exist.

A request whose `Host` is not a name of the server is refused (421). Its names are every IP address,
`localhost`, the machine's name, and those of `admin_url` and `public_url`. A request that a browser sends
from a page of another site is refused (403).

## Two people who edit the same thing

Everything that can be edited has an `ETag`, computed from its content. PATCH, PUT and DELETE need `If-Match`
with that tag, or with `*` to overwrite any version.

| answer | when |
| --- | --- |
| 428 | `If-Match` is missing; the body is not read |
| 412 | somebody else has changed the object since: `current` has the present version, and `ETag` its tag |
| 204 | to DELETE: the object is removed, or did not exist |
| 304 | to GET with `If-None-Match`: your version is the present one |

PATCH changes only the members in its body; `null` is a value. An operation that takes no body refuses one
that says something (422). A request that adds an object gets 201 and `Location`. A generated secret or key is
only in that answer.

## Try a change first

With `?dry_run=true` a change of the set-up is checked, including `If-Match`, but not made. The answer is 200
with the sessions that would end:

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

`clients` has at most 20 clients, those with most sessions first. The dry run of a set-up file answers with
its plan. An operation without a dry run refuses the parameter (422).

A change is refused (409 `would-end-sessions`) if it would end more sessions than `?may_end=` allows, which
is 0 by default; `ending` has the members above. So a typing error ends no session, nor does a session end
that began after you looked. This applies to PATCH and DELETE of tenants, pools, scopes, users and clients,
and to vendors and licences.

## Vendors and licences

Send the files as the vendor sent them:

```sh
curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' --data-binary @vendor.json \
  http://127.0.0.1:8081/api/v1/trust
curl -H "Authorization: Bearer $KEY" -H 'Content-Type: text/plain' --data-binary @c1.licence \
  'http://127.0.0.1:8081/api/v1/tenants/Jim_Test/licences?may_end=0'
```

A refused file changes nothing. The answer is 422 `licence-refused`, or 409 if the file contradicts the
installed licences; `code` is one of [these](licence-file.md#why-a-file-is-refused), `field` is the wrong
member, such as `pools.full.seats`, and `detail` says what to do. `POST .../licences/check` shows what
installing a file would do.

If `counts` is false, the `state` of a licence says why. `steps` of a pool lists the seats that its licences
give over time: each step holds until the next, and those with a `from` in the future are still to come.

## Lists

Every list is `{"items": [...], "next": ...}`, in pages of `limit` (50, at most 500). `next` is the cursor of
the next page, to be sent as `cursor`, and null at the end; the `Link` header has the whole address. Pages
stay correct while rows are added and removed. Lists of events take `from` and `until`.

Names in addresses are percent-encoded: a slash in a `client_id` is `%2F`.

## Times

An instant is a text in ISO 8601, in answers always in UTC: `"expires_at": "2027-01-31T13:00:00Z"`. Durations
are seconds (`..._s`). What you send may also be a date, or a time of another zone:

| you send | it means |
| --- | --- |
| `2027-01-31` | as `expires_at` or `until` the end of that day, as `from` its start; in the tenant's zone |
| `2027-01-31T18:00` | that time in the time zone of the tenant |
| `2027-01-31T18:00:00Z`, `...+11:00` | that instant; in an address `+` is `%2B` |
| `null` | never |

For requests about no single tenant, such as `/journal` or an API key, the zone is UTC.

## Names that do not exist

A name in an address, a field of a body or a parameter that does not exist is refused, and the answer suggests
a similar name: `There is no pool ful; did you mean full?` It suggests only names that you can see.

## Errors

`application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with a `request_id` that the
[log](logs.md) has as well. `errors` has for each wrong value a pointer, a code, a message
and, where there is one, the limit.

```json
{"type": "tag:licet,2026:invalid-value", "title": "A value is not what it may be", "status": 422,
 "detail": "At least 0.", "request_id": "a5f0c11aa-1c",
 "errors": [{"pointer": "#/seats", "code": "out_of_range", "message": "At least 0.", "limit": 0}]}
```

If the change contradicts the set-up, the problem also has a `code`. `subject` names the object of the change,
and `others` the objects that prevent it, or that exist instead; `detail` names the operation that helps.

```json
{"type": "tag:licet,2026:not-possible", "title": "It cannot be done as things are", "status": 409,
 "detail": "Scope a is the default of tenant B; choose another first. changeTenant sets default_scope.",
 "request_id": "a5f0c11aa-1d", "code": "is_default",
 "subject": {"kind": "scope", "name": "a", "tenant": "B"},
 "others": [{"kind": "tenant", "name": "B", "tenant": "B"}]}
```

| type, after `tag:licet,2026:` | meaning |
| --- | --- |
"""

CODES = """
Programs can depend on the codes, whose meaning never changes; later versions may add codes.

| code | meaning |
| --- | --- |
"""

TAIL = """
A body has at most 256 KiB, a set-up file 4 MiB. A request that takes the store longer than 30 s gets 503.
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
