"""A refusal of the admin API is data for programs: code, subject, limit; and the operation that helps."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from licet.admin.api import routers
from licet.admin.api.advice import _ADVICE, _OF_FINDINGS
from licet.admin.problems import pointer_to
from licet.refusal import MEANING, Code, Refusal
from licet.setup.change import changing
from support.admin.admin_site import AdminSite, problem
from support.store.setup_site import ADA, JIM, START_MS

AT = f"/tenants/{JIM}"


@pytest.fixture(scope="module")
def site(sqlite_places: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener on which nothing is changed."""
    directory = tmp_path_factory.mktemp("refusals")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    with changing(found.store, ADA) as change:
        change.tenant(JIM).add_scope("orders")
        change.tenant(JIM).set(scope_default="orders")
    yield found
    found.close()


REFUSED: list[tuple[str, str, Any, int, str, dict[str, Any], str]] = [
    (
        "POST",
        f"{AT}/pools",
        {"name": "full", "seats": 1},
        409,
        "already-there",
        {
            "code": "already_there",
            "subject": {"kind": "pool", "name": "full", "tenant": JIM},
            "errors": ["#/name already_there None"],
        },
        "There is a pool full already. changePool changes it.",
    ),
    (
        "POST",
        f"{AT}/users",
        {"initials": "u1"},
        409,
        "already-there",
        {
            "code": "differs_by_case",
            "subject": {"kind": "user", "name": "U1", "tenant": JIM},
            "errors": ["#/initials differs_by_case None"],
        },
        "There is a user U1 already, and u1 differs by case alone; choose others.",
    ),
    (
        "DELETE",
        f"{AT}/pools/full",
        None,
        409,
        "not-possible",
        {
            "code": "in_use",
            "subject": {"kind": "pool", "name": "full", "tenant": JIM},
            "others": [{"kind": "scope", "name": "all", "tenant": JIM}],
        },
        "remove it or give it another pool first. changeScope gives a scope another pool.",
    ),
    (
        "DELETE",
        f"{AT}/scopes/orders",
        None,
        409,
        "not-possible",
        {
            "code": "is_default",
            "subject": {"kind": "scope", "name": "orders", "tenant": JIM},
            "others": [{"kind": "tenant", "name": JIM, "tenant": JIM}],
        },
        f"is the default of tenant {JIM}; choose another first. changeTenant sets default_scope.",
    ),
    (
        "PATCH",
        f"{AT}/clients/c1",
        {"user": "ZZ"},
        422,
        "invalid-value",
        {
            "code": "not_found",
            "subject": {"kind": "user", "name": "ZZ", "tenant": JIM},
            "others": [{"kind": "user", "name": f"U{number}", "tenant": JIM} for number in (1, 2, 3)],
            "errors": ["#/user not_found None"],
        },
        f"There is no user ZZ in tenant {JIM}; there is: U1, U2, U3.",
    ),
    (
        "PATCH",
        AT,
        {"access_ttl_s": 1201},
        422,
        "invalid-value",
        {
            "code": "out_of_range",
            "limit": 1200,
            "subject": {"kind": "tenant", "name": JIM},
            "errors": ["#/access_ttl_s out_of_range 1200"],
        },
        "",
    ),
    (
        "PATCH",
        AT,
        {"session_ttl_s": 5},
        422,
        "invalid-value",
        {
            "code": "out_of_range",
            "limit": 5,
            "subject": {"kind": "tenant", "name": JIM},
            "errors": ["#/session_ttl_s out_of_range 5"],
        },
        "",
    ),
    (
        "POST",
        f"{AT}/clients/c1/keys",
        {"key": '{"kty": "oct", "k": "c2VjcmV0"}'},
        422,
        "invalid-value",
        {"code": "shared_key", "errors": ["#/key shared_key None"]},
        "is a secret and no public key; let Licet generate a secret. addSecret generates a secret.",
    ),
    (
        "PATCH",
        f"{AT}/pools/full",
        {"expires_at": "2027-02-30"},
        422,
        "invalid-value",
        {"errors": ["#/expires_at no_such_time None"]},
        "There is no day 2027-02-30.",
    ),
    (
        "PATCH",
        f"{AT}/pools/full",
        {"seats": -1, "colour": "red", "hold_s": "long"},
        422,
        "invalid-value",
        {
            "errors": [
                "#/seats out_of_range 0",
                "#/hold_s wrong_type None",
                "#/colour unknown_field None",
            ]
        },
        "3 values are not what they may be.",
    ),
    (
        "POST",
        f"{AT}/pools",
        {"name": "a b"},
        422,
        "invalid-value",
        {"errors": ["#/seats missing None", "#/name malformed None"]},
        "",
    ),
    (
        "POST",
        "/admins",
        {"name": "eve", "password": "correct horse battery", "tenant": "Nowhere"},
        422,
        "invalid-value",
        {
            "code": "not_found",
            "subject": {"kind": "tenant", "name": "Nowhere"},
            "others": [{"kind": "tenant", "name": name, "tenant": name} for name in (JIM, "Other")],
            "errors": ["#/tenant not_found None"],
        },
        f"There is no tenant Nowhere; there is: {JIM}, Other.",
    ),
    (
        "GET",
        "/tenants?cursor=zzz",
        None,
        422,
        "invalid-value",
        {"errors": ["query:cursor malformed None"]},
        "",
    ),
]
MEMBERS = ("code", "subject", "limit", "others")


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "members", "detail"), REFUSED)
def test_a_refusal_is_data_for_programs(  # noqa: PLR0917 - a table
    site: AdminSite,
    method: str,
    path: str,
    body: Any,
    status: int,
    kind: str,
    members: dict[str, Any],
    detail: str,
) -> None:
    """And its detail says to persons what is wrong, and which operation helps."""
    given = {} if body is None else {"json": body}
    told = problem(site.call(method, path, if_match="*", **given), status, kind)
    errors = [f"{it['pointer']} {it['code']} {it['limit']}" for it in told.get("errors", ())]
    found = {name: told[name] for name in MEMBERS if name in told} | ({"errors": errors} if errors else {})
    assert found == members, told
    assert told["detail"].endswith(detail)
    assert "licet " not in told["detail"]


def test_what_is_refused_for_another_reason_has_no_code(site: AdminSite) -> None:
    """Its type says all there is."""
    told = problem(site.call("GET", "/nothing-here"), 404, "not-found")
    assert not set(MEMBERS) & told.keys()


def test_each_operation_that_is_advised_is_one() -> None:
    """They are named as the OpenAPI document has them."""
    application = FastAPI(version="0", openapi_url=None)
    application.include_router(routers.router())
    document = routers.openapi_document(application)
    known = {it["operationId"] for item in document["paths"].values() for it in item.values()}
    advised = {
        word
        for text in (*_ADVICE.values(), *_OF_FINDINGS.values())
        for word in re.findall(r"\b[a-z]+[A-Z]\w*", text)
    }
    assert advised <= known, advised - known
    assert len(advised) > 10
    assert document["components"]["schemas"]["Code"]["enum"] == sorted(MEANING)


def test_a_field_is_pointed_at_where_the_body_has_it() -> None:
    """By its unit, or by what it does not go with; a body that has neither is pointed at as a whole."""

    def pointer(field: str, *names: str, beside: str = "") -> str:
        return pointer_to(Refusal("x", code=Code.MALFORMED, field=field, beside=beside), names)

    assert pointer("expires", "name", "expires_at") == "#/expires_at"
    assert pointer("expires", "expires_at") == "#/expires_at"
    assert pointer("hold", "hold_s") == "#/hold_s"
    assert pointer("hold", "threshold_s", "seats") == ""
    assert pointer("", "_s", "name") == ""
    assert pointer("access_ttl", "session_ttl_s", beside="session_ttl") == "#/session_ttl_s"


def test_each_mistake_in_a_declaration_is_pointed_at(site: AdminSite) -> None:
    """By the keys of the file, with its code; RFC 6901 3: a slash in a name is escaped."""
    wrong = b"""
    [tenant."J/1"]
    session_ttl = "9m"
    colour = "red"
    [tenant."J/1".pool.full]
    seats = -1
    [tenant."J/1".client.c]
    user = "XX"
    """
    headers = {"content-type": "application/toml"}
    answer = site.call("PUT", "/declaration", if_match="*", content=wrong, headers=headers)
    told = problem(answer, 422, "invalid-value")
    assert {it["pointer"]: it["code"] for it in told["errors"]} == {
        "#/tenant/J~11": "malformed",
        "#/tenant/J~11/session_ttl": "out_of_range",
        "#/tenant/J~11/colour": "unknown_field",
        "#/tenant/J~11/pool/full/seats": "out_of_range",
        "#/tenant/J~11/client/c/user": "not_found",
    }, told
    broken = site.call("PUT", "/declaration", if_match="*", content=b"[tenant", headers=headers)
    (only,) = problem(broken, 422, "invalid-value")["errors"]
    assert (only["pointer"], only["code"]) == ("", "malformed")


def test_the_check_names_the_operation_that_mends(site: AdminSite) -> None:
    """And no verb of the command line."""
    findings = site.get("/check")["findings"]
    advice = {it["advice"] for it in findings if it["code"] == "no_introspection"}
    assert advice == {"changeClient with introspects true, for the API's own client"}
    assert not [it for it in findings if "licet " in it["advice"]]
