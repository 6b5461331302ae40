"""Writes the parts of `licet.admin_client` that are made of the OpenAPI document of the admin API.

    .venv/bin/python docs/make_admin_client.py src/licet/admin_client docs/reference/admin-client.md

Generators that others have made were looked at, see docs/explanation/dependencies.md. A method is made of
each operation, and a dataclass of each shape that is answered; bodies are the parameters of methods.
"""

import json
import keyword
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from fastapi import FastAPI

from licet.admin.api import routers

WIDTH: Final = 100
_JSON: Final = "application/json"
_MOMENTS: Final = {"from", "until", "at"}
_SIMPLE: Final = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "null": "None"}

_HEAD: Final = '''"""{what}

Made by `docs/make_admin_client.py`; edit that instead.
"""
'''
_PAGE: Final = """# Admin client

<!-- Made by `docs/make_admin_client.py`; edit that instead. -->

`licet.admin_client` calls the [admin API](admin-api.md) from Python, with types. It is in the base install,
and needs only httpx.

```python
from licet.admin_client import AdminClient

with AdminClient("http://127.0.0.1:8081", api_key=key) as admin:
    admin.add_user("Jim_Test", initials="AB", name="Ada Byron")
    made = admin.add_client("Jim_Test", client_id="Desk", user="AB", generate_secret=True)
    print(made.secret.secret)

    pool = admin.get_pool("Jim_Test", "full")
    admin.change_pool("Jim_Test", "full", seats=7, if_match=pool.etag)

    for denial in admin.list_denials("Jim_Test", from_="2026-11-01"):
        print(denial.last_at, denial.client_id, denial.reason)
```

Each operation has a method of the same name: `change_pool` is `changePool`. The names of the object are
positional arguments, all others keyword arguments; omitted arguments are not sent. The result is a frozen
dataclass; its instants are `datetime` in UTC. Arguments that are instants can be a `datetime`, a `date` or a
text, as the [API accepts it](admin-api.md#times); `None` means never.

## Lists

A list requests page after page while you iterate over it. `.page()` returns only the first page, with `items`
and `next`; `limit` is the length of a page, `cursor` where it begins.

## Two at once

`get_pool`, `add_pool` and `change_pool` return an `etag`. Pass it as `if_match`, and a change is refused if
somebody else has changed the object since (`ChangedMeanwhile`). `ANY` overwrites any version.

## What would end

If a change would end more sessions than `may_end` allows (0 by default), it raises `WouldEndSessions` and
changes nothing. `dry_run` returns the sessions that would end:

```python
from licet.admin_client import ANY

ending = admin.dry_run(lambda: admin.change_pool("Jim_Test", "full", expires_at="2026-01-31", if_match=ANY))
admin.change_pool("Jim_Test", "full", expires_at="2026-01-31", if_match=ANY, may_end=ending.sessions_ended)
```

## What goes wrong

| exception | when |
| --- | --- |
| `AdminProblem` | the server refused it: `status`, `kind`, `detail`, `request_id`, `code`, `errors` |
| `SignInNeeded`, `NotAllowed`, `NotFound` | 401, 403, 404 |
| `WouldEndSessions` | 409: `ending` has the sessions |
| `ChangedMeanwhile` | 412: `current` is the present version, `etag` its tag |
| `InvalidValue` | 422: `errors` has each wrong value |
| `TryLater` | 429 and 503: `retry_after_s` |
| `AdminUnreachable` | no answer, or none of the admin API; the operation may have been done |

All are subclasses of `AdminError`. The client sends each request once, and never repeats it. It sends the key
to this server only: it follows no redirect, and `http` to another machine needs `allow_http=True`.

## Methods
"""


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    application = FastAPI(version="0", openapi_url=None)
    application.include_router(routers.router())
    made: dict[str, Any] = json.loads(json.dumps(routers.openapi_document(application)))
    return made


@dataclass
class Module:
    """Lines of a module, and the names that they use from elsewhere."""

    what: str
    lines: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


class Maker:
    """What is made of one document."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Any] = content["components"]["schemas"]
        self._tags = {tag["name"]: tag["description"] for tag in content["tags"]}
        self._operations = [
            (path.removeprefix("/api/v1/"), method.upper(), operation)
            for path, item in content["paths"].items()
            for method, operation in item.items()
        ]
        self._words = {name for name, schema in self.schemas.items() if "enum" in schema}
        shared = self._closure({"Rehearsal", "Consequences", "FieldError", "Subject"}) | self._words
        answered = self._closure(self._answered(set(self._tags))) | shared
        self._reports = self._closure(self._answered({"Reports", "Sessions", "Alerts"})) - shared
        self._usage = self._closure(self._answered({"Usage"})) - shared - self._reports
        self._licences = self._closure(self._answered({"Licences"})) - shared
        of_others = shared | self._reports | self._usage | self._licences
        self._pools = self._closure(self._answered({"Pools"})) - of_others
        self._nouns = answered - self._reports - self._usage - self._licences - self._pools - self._words
        self._tagged = {
            _ref_of(answer["content"][_JSON]["schema"])
            for _, _, operation in self._operations
            for answer in operation["responses"].values()
            if "ETag" in answer.get("headers", {}) and _JSON in answer.get("content", {})
        }

    # Types

    def _answered(self, tags: set[str]) -> set[str]:
        found: set[str] = set()
        for _, _, operation in self._operations:
            if operation["tags"][0] in tags:
                good = {code: it for code, it in operation["responses"].items() if code[0] == "2"}
                found |= _refs(good)
        return found

    def _closure(self, names: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = set(names)
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting |= _refs(self.schemas[name]) - found
        return found

    def type_of(  # noqa: PLR0911 - one for each kind of schema
        self, schema: Mapping[str, Any], module: Module, *, sent: bool = False
    ) -> str:
        """A type, of an answer or of what is sent."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            module.names.add(name)
            return str(name)
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self.type_of(it, module, sent=sent) for it in schema["anyOf"]))
        if "enum" in schema or "const" in schema:
            words = schema.get("enum", [schema.get("const")])
            return f"Literal[{', '.join(map(repr, words))}]"
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(_SIMPLE[it] for it in kind)
        if kind == "array":
            item = self.type_of(schema["items"], module, sent=sent)
            return f"Sequence[{item}]" if sent else f"tuple[{item}, ...]"
        if kind == "object":
            rest = schema.get("additionalProperties")
            return f"Mapping[str, {self.type_of(rest, module) if rest else 'Any'}]"
        if schema.get("format") == "date-time":
            return "datetime"
        return _SIMPLE.get(kind or "", "Any")

    # Files

    def files(self) -> Iterator[tuple[str, str]]:
        """Name and text of each."""
        yield "words.py", self._words_module()
        yield "answers/__init__.py", '"""What the admin API answers, as dataclasses."""\n'
        yield (
            "answers/nouns.py",
            self._shapes("The set-up, the accounts and upkeep, as answered.", self._nouns),
        )
        yield "answers/licences.py", self._shapes("Licences and vendors, as answered.", self._licences)
        yield "answers/pools.py", self._shapes("Pools and who waits for them, as answered.", self._pools)
        yield "answers/reports.py", self._shapes("Reports, sessions and alerts, as answered.", self._reports)
        yield "answers/usage.py", self._shapes("What a span of time was like, as answered.", self._usage)
        yield (
            "operations/__init__.py",
            '"""The operations of the admin API, one file a tag of its document."""\n',
        )
        for tag, text in self._tags.items():
            yield f"operations/{tag.lower()}.py", self._calls(tag, text)

    def _words_module(self) -> str:
        lines = [
            _HEAD.format(what="The words that answers and requests choose from."),
            "from typing import Literal\n",
        ]
        lines += [
            f"{name} = Literal[{', '.join(repr(it) for it in self.schemas[name]['enum'])}]"
            for name in sorted(self._words)
        ]
        return "\n".join(lines) + "\n"

    def _shapes(self, what: str, names: set[str]) -> str:
        module = Module(what)
        for name in self._in_order(names):
            module.lines += self._shape(name, module)
        return self._text(module, names, "answers")

    def _in_order(self, names: set[str]) -> list[str]:
        """Each behind those that it is made of."""
        placed: list[str] = []

        def place(name: str) -> None:
            if name in names and name not in placed:
                for part in sorted(_refs(self.schemas[name])):
                    place(part)
                placed.append(name)

        for name in sorted(names):
            place(name)
        return placed

    def _shape(self, name: str, module: Module) -> list[str]:
        schema = self.schemas[name]
        lines = ["", "", "@dataclass(frozen=True, kw_only=True)", f"class {name}:"]
        lines += _docstring(schema.get("description") or f"{name}.", 4)
        required = schema.get("required", ())
        members = sorted(schema["properties"].items(), key=lambda it: it[0] not in required)
        for member, described in members:
            type_ = self.type_of(described, module)
            default = "" if member in required else _default(type_)
            type_ = (
                type_ if member in required or default == ' = ""' or "None" in type_ else f"{type_} | None"
            )
            if text := described.get("description"):
                lines += [f"    # {line}" for line in wrap(text, WIDTH - 8)]
            secret = " = field(repr=False)" if member in {"secret", "key"} and type_ == "str" else default
            lines.append(f"    {_python(member)}: {type_}{secret}")
        if name in self._tagged:
            lines.append('    etag: str = field(default="", compare=False)  # for `if_match`')
        return lines

    def _calls(self, tag: str, text: str) -> str:
        module = Module(f"{tag}: {text[0].lower()}{text[1:]}")
        module.lines += ["", "", f"class {tag}Calls(Caller):", f'    """{text}"""']
        for path, method, operation in self._operations:
            if operation["tags"][0] == tag:
                module.lines += self._call(path, method, operation, module)
        return self._text(module, set(), "operations")

    def _call(self, path: str, method: str, operation: Mapping[str, Any], module: Module) -> list[str]:
        call = _Call(self, path, method, operation, module)
        role = operation["description"].rstrip(".").replace("It takes", "It needs")
        parameters = ", ".join(call.parameters())
        lines = ["", f"    def {snake(operation['operationId'])}({parameters}) -> {call.result}:"]
        lines += _docstring(f"{operation['summary']}. {role}.", 8)
        return [*lines, *call.body()]

    def _text(self, module: Module, own: set[str], room: str) -> str:
        text = "\n".join(module.lines)
        return _HEAD.format(what=module.what) + self._imports(text, module.names - own, room) + text + "\n"

    def _imports(self, text: str, names: set[str], room: str) -> str:
        standard = {
            "collections.abc": ["Mapping", "Sequence"],
            "dataclasses": ["dataclass", "field"],
            "datetime": ["date", "datetime"],
            "typing": ["Any", "Literal"],
        }
        lines = [_import(module, [it for it in them if _uses(text, it)]) for module, them in standard.items()]
        lines = [*filter(None, lines)]
        ours = {
            "answers.licences": sorted(names & self._licences),
            "answers.nouns": sorted(names & self._nouns),
            "answers.pools": sorted(names & self._pools),
            "answers.reports": sorted(names & self._reports),
            "answers.usage": sorted(names & self._usage),
            "caller": [it for it in ("Caller", "Items", "Text") if room == "operations" and _uses(text, it)],
            "decoding": [it for it in ("UNSET", "Unset") if _uses(text, it)],
            "words": sorted(names & self._words),
        }
        lines += [""] if lines and any(ours.values()) else []
        lines += [_import(f"licet.admin_client.{module}", them) for module, them in ours.items()]
        return "\n" + "\n".join(line for line in lines if line is not None) + "\n"


class _Call:
    """One operation as a method."""

    def __init__(
        self, maker: Maker, path: str, method: str, operation: Mapping[str, Any], module: Module
    ) -> None:
        self._maker, self._path, self._method, self._module = maker, path, method, module
        given = operation.get("parameters", ())
        self._in_path = [it for it in given if it["in"] == "path"]
        self._query = [it for it in given if it["in"] == "query" and it["name"] != "dry_run"]
        self._is_conditional = any(it["name"] == "If-Match" for it in given)
        bodies: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {})
        self._media = next(iter(bodies), "")
        body = bodies.get(self._media, {})
        name = _ref_of(body.get("schema", {}))
        self._body: Mapping[str, Any] | None = maker.schemas[name] if name else None
        self._answer(operation)

    def _answer(self, operation: Mapping[str, Any]) -> None:
        """What it returns, and what of that is given to the caller's reader."""
        good = [answer for code, answer in operation["responses"].items() if code[0] == "2"]
        schemas = [content for it in good for content in it.get("content", {}).items()]
        rest = [_but_rehearsal(schema["schema"]) for media, schema in schemas if media == _JSON]
        shapes = [it for it in rest if it is not None]
        is_text = any(media != _JSON for media, _ in schemas)
        self._item = ""
        if is_text:
            self.result = self._kind = "Text"
        elif not shapes:
            self.result = self._kind = "None"
        elif "items" in shapes[0].get("properties", {}):
            self._item = self._maker.type_of(shapes[0]["properties"]["items"]["items"], self._module)
            self.result = f"Items[{self._item}]"
        else:
            self.result = self._kind = self._maker.type_of(shapes[0], self._module)

    def parameters(self) -> Iterator[str]:
        """Those of the path first; the rest by name."""
        yield "self"
        for it in self._in_path:
            yield f"{_python(it['name'])}: {self._maker.type_of(it['schema'], self._module)}"
        if self._media and self._body is None:
            yield "content: str | bytes"
        named = [*self._members(), *self._asked()]
        if not named and not self._is_conditional:
            return
        yield "*"
        if self._is_conditional:
            yield "if_match: str"
        yield from (line for is_needed in (True, False) for needed, line in named if needed == is_needed)

    def _members(self) -> Iterator[tuple[bool, str]]:
        for name, schema in (self._body or {}).get("properties", {}).items():
            yield self._one(name, schema, is_needed=name in (self._body or {}).get("required", ()))

    def _asked(self) -> Iterator[tuple[bool, str]]:
        for it in self._query:
            yield self._one(it["name"], it["schema"], is_needed=it["required"], unset="None")

    def _one(
        self, name: str, schema: Mapping[str, Any], *, is_needed: bool, unset: str = "UNSET"
    ) -> tuple[bool, str]:
        type_ = self._maker.type_of(schema, self._module, sent=True)
        if name in _MOMENTS or name.endswith("_at"):
            type_ = "date | str | None" if "None" in type_ else "date | str"
        if is_needed:
            return True, f"{_python(name)}: {type_}"
        parts = [*type_.split(" | "), "Unset" if unset == "UNSET" else "None"]
        parts.sort(key=lambda part: part == "None")  # which stands last
        type_ = " | ".join(dict.fromkeys(parts))
        return False, f"{_python(name)}: {type_} = {unset}"

    def body(self) -> Iterator[str]:
        """The call itself."""
        names = {it["name"] for it in self._in_path}
        parts = [_python(part[1:-1]) if part[1:-1] in names else repr(part) for part in self._path.split("/")]
        path = f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        query = _mapping(it["name"] for it in self._query)
        if self._item:
            method = "" if self._method == "GET" else f", method={self._method!r}"
            yield f"        return self._list({path}, {self._item}, {query}{method})"
            return
        parts = [repr(self._method), path, self._kind]
        if self._query:
            parts.append(f"query={query}")
        if self._body is not None:
            parts.append(f"body={_mapping(self._body.get('properties', {}))}")
        elif self._media:
            parts += ["content=content", f"media={self._media!r}"]
        if self._is_conditional:
            parts.append("if_match=if_match")
        result = "" if self.result == "None" else "return "
        yield f"        {result}self._ask({', '.join(parts)})"


def snake(name: str) -> str:
    """`change_pool` of `changePool`."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def _python(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _mapping(names: Any) -> str:
    return "{" + ", ".join(f"{name!r}: {_python(name)}" for name in names) + "}"


def _default(type_: str) -> str:
    return ' = ""' if type_ == "str" else " = None"


def _docstring(text: str, indent: int) -> list[str]:
    """A sentence, and what follows behind a blank line."""
    first, _, rest = " ".join(text.split()).partition(". ")
    before = " " * indent
    if not rest and len(first) < WIDTH - indent:
        return [f'{before}"""{first.rstrip(".")}."""']
    if len(first) >= WIDTH:
        first, rest = wrap(first, WIDTH - indent)[0], ""
    lines = [f'{before}"""{first}.', ""]
    return [*lines, *(before + line for line in wrap(rest, WIDTH - indent)), f'{before}"""']


def _import(module: str, names: list[str]) -> str | None:
    return f"from {module} import {', '.join(names)}" if names else None


def _uses(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.'\"`]){name}(?![\w'\"`])", text) is not None


def _but_rehearsal(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is answered where it is no dry run."""
    rest = [it for it in schema.get("anyOf", [schema]) if _ref_of(it) != "Rehearsal"]
    return None if not rest else rest[0] if len(rest) == 1 else {"anyOf": rest}


def _ref_of(schema: Mapping[str, Any]) -> str:
    """The name of a component, or of that which is not for a dry run."""
    if "anyOf" in schema:
        return next((name for it in schema["anyOf"] if (name := _ref_of(it)) != "Rehearsal"), "")
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _refs(content: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(content)))


def formatted(files: Mapping[str, str]) -> dict[str, str]:
    """The files as ruff writes them."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            path = Path(directory) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        config = str(Path(__file__).parent.parent / "pyproject.toml")
        ruff = (sys.executable, "-m", "ruff", "format", "--quiet", "--config", config)
        subprocess.run([*ruff, directory], check=True)  # noqa: S603 - of our own files
        return {name: (Path(directory) / name).read_text(encoding="utf-8") for name in files}


def page(content: Mapping[str, Any]) -> str:
    """docs/reference/admin-client.md."""
    lines = [_PAGE.rstrip()]
    for tag in content["tags"]:
        lines += ["", f"### {tag['name']}", "", "| method | what | operation |", "| --- | --- | --- |"]
        for path, item in content["paths"].items():
            for method, operation in item.items():
                if operation["tags"][0] == tag["name"]:
                    short = path.removeprefix("/api/v1")
                    name = snake(operation["operationId"])
                    lines.append(f"| `{name}` | {operation['summary']} | `{method.upper()} {short}` |")
    return "\n".join(lines) + "\n"


def made() -> dict[str, str]:
    """All files, by their name in the package."""
    return formatted(dict(Maker(document()).files()))


if __name__ == "__main__":
    package, reference = map(Path, sys.argv[1:])
    for name, text in made().items():
        (package / name).write_text(text, encoding="utf-8")
    reference.write_text(page(document()), encoding="utf-8")
