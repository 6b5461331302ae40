"""The document of the admin API is true: it is valid, whole, and what a running server does."""

import json
import runpy
from collections.abc import Iterator
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from openapi_spec_validator import validate

from licet.accounts import administrators
from licet.admin.api import routers
from licet.admin.api.call import API
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from support.many import few, one_in
from support.paths import DOCS
from support.server.running import RunningServer
from support.web.described import send_all


@cache
def document() -> dict[str, Any]:
    """It, which takes a second to make."""
    application = FastAPI(version="0", openapi_url=None)
    application.include_router(routers.router())
    made: dict[str, Any] = json.loads(json.dumps(routers.openapi_document(application)))
    return made


# Names that are there on the server below, so that many requests meet something.
PARAMETERS = {
    "tenant": "Jim_Test",
    "pool": "full",
    "scope": "all",
    "initials": "TC",
    "client_id": "Client1",
    "name": "fuzz",
    "If-Match": "*",
}
# What would take the ground from under the others; it is tested by hand.
LEFT_OUT = {
    "removeTenant",
    "removeApiKey",
    "pruneKeys",
    "rotateKeys",
    "applyDeclaration",
    "removeClient",
    "removeScope",
    "addAdmin",
    "changeUser",
}
SETTINGS: dict[str, Any] = {
    "generation": {"deterministic": True, "database": "none"},
    "phases": {"coverage": {"enabled": False}, "stateful": {"enabled": False}},
    "parameters": PARAMETERS,
    "checks": {
        # Data that fits may name what is not there, and a name is not known by its form.
        "positive_data_acceptance": {"enabled": False},
        "negative_data_rejection": {"enabled": False},
        "unsupported_method": {"enabled": False},
        "missing_required_header": {"enabled": False},
        # It would fail so often that it had to wait; tests/admin/api/test_admin_rights.py does it.
        "ignored_auth": {"enabled": False},
    },
}
ROUTES = [it for part in routers.PARTS for it in part.routes if isinstance(it, APIRoute)]
ASKED = [
    pytest.param(f"{API}{it.path}", method.lower(), id=str(it.operation_id))
    for it in ROUTES
    for method in sorted(it.methods or ())
    if it.operation_id not in LEFT_OUT
]


@cache
def schema(examples: int) -> Any:
    """What makes so many requests of each operation of the document."""
    generation = {**SETTINGS["generation"], "max-examples": examples}
    config = schemathesis.Config.from_dict({**SETTINGS, "generation": generation})
    return schemathesis.openapi.from_dict(document(), config=config)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each operation."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


class TestDocument:
    """The document for itself."""

    def test_it_is_an_openapi_document(self) -> None:
        """OpenAPI 3.1, by its own schema."""
        validate(cast("Any", document()))
        assert document()["openapi"].startswith("3.1.")

    def test_every_operation_has_a_name_a_sentence_a_tag_and_its_errors(self) -> None:
        """What a reader and a generator of clients need."""
        ids = [operation["operationId"] for _, _, operation in operations()]
        assert len(ids) == len(set(ids))
        tags = {tag["name"] for tag in document()["tags"]}
        for path, method, operation in operations():
            assert operation["summary"]
            assert operation["description"].startswith("It takes the role ")
            assert set(operation["tags"]) <= tags
            assert {"401", "403", "503"} <= operation["responses"].keys()
            assert ("404" in operation["responses"]) >= ("{" in path and method == "get")
            assert operation["security"][0] == {"key": []}

    def test_what_is_edited_needs_a_condition(self) -> None:
        """412 and 428 go together with If-Match."""
        for _, _, operation in operations():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert (
                ("If-Match" in names)
                == ("428" in operation["responses"])
                == ("412" in operation["responses"])
            )

    def test_no_component_is_left_over(self) -> None:
        """What is described is used."""
        text = json.dumps(document())
        unused = {
            name
            for name in document()["components"]["schemas"]
            if f'"#/components/schemas/{name}"' not in text
        }
        assert not unused

    def test_every_example_fits_its_schema(self) -> None:
        """Those of members, and those of problems."""
        examples = 0
        for name, schema in document()["components"]["schemas"].items():
            for member, described in schema.get("properties", {}).items():
                root = {**described, "components": document()["components"]}
                for example in described.get("examples", ()):
                    assert jsonschema_rs.Draft202012Validator(root).is_valid(example), (name, member)
                    examples += 1
        for name, response in document()["components"]["responses"].items():
            for content in response["content"].values():
                root = {**content["schema"], "components": document()["components"]}
                jsonschema_rs.Draft202012Validator(root).validate(content["example"])
                assert name == f"Problem{content['example']['status']}"
                examples += 1
        assert examples > 100

    def test_its_page_is_up_to_date(self) -> None:
        """`make docs` makes it."""
        made = runpy.run_path(str(DOCS / "make_admin_api.py"))["page"]()
        assert "".join(made) == (DOCS / "reference" / "admin-api.md").read_text(encoding="utf-8")

    def test_what_names_a_new_one_stands_first(self) -> None:
        """As a reader expects it, though a body may extend that of a change."""
        for name, schema in document()["components"]["schemas"].items():
            members = list(schema.get("properties", ()))
            if name.endswith("New") and {"name", "initials", "client_id"} & set(members):
                assert members[0] in {"name", "initials", "client_id"}, name

    def test_a_change_has_no_defaults(self) -> None:
        """What it leaves out stays as it is."""
        for name, schema in document()["components"]["schemas"].items():
            if name.endswith("Patch"):
                assert not any("default" in member for member in schema["properties"].values())
                assert "required" not in schema


def test_no_thread_is_taken_to_read_a_parameter() -> None:
    """What waits has the few threads of the listener; the framework has many, which it takes by itself."""

    def readers(dependant: Dependant) -> Iterator[Any]:
        for dependency in dependant.dependencies:
            yield dependency.call
            yield from readers(dependency)

    found = {reader for route in ROUTES for reader in (route.endpoint, *readers(route.dependant))}
    assert len(found) > len(ROUTES) > 50
    assert not {it for it in found if not iscoroutinefunction(it) and not iscoroutinefunction(it.__call__)}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server of its own: its URL, and the key of an owner."""
    with RunningServer(tmp_path_factory.mktemp("admin-openapi"), admin=True) as server:
        made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
        with server.store() as store, administrators.changing(store, "a test") as change:
            change.add_api_key("fuzz", made, role=Role.OWNER)
        yield server.admin_url, made.key


def test_what_is_asked_is_all_that_the_document_has() -> None:
    """But for what is left out."""
    described = {operation["operationId"] for _, _, operation in operations()}
    assert {str(it.id) for it in ASKED} | LEFT_OUT == described
    assert len(ASKED) + len(LEFT_OUT) == len(described)


@pytest.mark.parametrize("examples", few([1, 5], 1))
@pytest.mark.parametrize(("path", "method"), one_in(6, ASKED))
def test_any_request_gets_an_answer_of_the_document(
    path: str, method: str, examples: int, asked: tuple[str, str]
) -> None:
    """Schemathesis sends what fits the document and what does not, as an owner."""
    url, key = asked
    headers = {"Authorization": f"Bearer {key}"}
    send_all(
        schema(examples), path, method, lambda case: case.call_and_validate(base_url=url, headers=headers)
    )
