"""The frame of the dashboard's pages: what every template and every file beside them has to keep."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import licet.admin
from licet.admin.pages.frame import kept_of, local_path
from support.admin.admin_site import AdminSite
from support.paths import DOCS
from support.store.kinds import SqlitePlaces
from support.store.setup_site import START_MS

HERE = Path(licet.admin.__file__).parent
TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
OURS = sorted(it for it in (HERE / "static").iterdir() if it.is_file())
VENDORED = sorted((HERE / "static" / "vendor").iterdir())

_BLOCK = re.compile(
    r"<(?:p|div|h[1-6]|[uo]l|li|d[lt]|dd|table|t(?:head|body|r|h|d)|form|fieldset|section|nav|option)\b"
)


def _name(file: Path) -> str:
    return file.relative_to(HERE).as_posix()


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener."""
    directory = tmp_path_factory.mktemp("pages")
    site = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield site
    site.close()


@pytest.mark.parametrize("template", TEMPLATES, ids=_name)
def test_no_template_has_a_script_a_style_or_a_handler_of_its_own(template: Path) -> None:
    """The Content-Security-Policy forbids them, and nothing would say so."""
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b|\sstyle=|\son[a-z]+=|\shx-on|javascript:|hx-vals=.js:", text)
    assert not re.search(r"hx-trigger=\"[^\"]*\[", text), "htmx makes a function of such a filter"


@pytest.mark.parametrize("template", TEMPLATES, ids=_name)
def test_no_template_trusts_what_it_is_given(template: Path) -> None:
    """All is escaped."""
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup", text)


@pytest.mark.parametrize("template", TEMPLATES, ids=_name)
def test_no_line_of_a_template_begins_two_blocks(template: Path) -> None:
    """One element a line, so that a change of one is seen; what flows in a text may share its line."""
    for line in template.read_text(encoding="utf-8").splitlines():
        assert len(_BLOCK.findall(line)) <= 1, line


def test_indentation_stays_in_the_templates(site: AdminSite) -> None:
    """A page with many rows would be half as long again with it."""
    assert not re.search(r"^[ \t]{2,}", site.node.send("GET", "/sign-in").text, re.MULTILINE)


@pytest.mark.parametrize("file", [*TEMPLATES, *OURS], ids=_name)
def test_nothing_is_asked_of_another_server(file: Path) -> None:
    """The dashboard works where there is no internet."""
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", text)


@pytest.mark.parametrize("file", [*OURS, *VENDORED], ids=_name)
def test_files_are_kept_by_the_browser_under_the_mark_of_their_content(file: Path, site: AdminSite) -> None:
    """Their address changes with them."""
    answer = site.node.send("GET", f"/static/{file.name}")
    assert answer.content == file.read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].partition(";")[0] in {
        "text/css",
        "text/javascript",
        "text/plain",
        "image/svg+xml",
    }


def test_each_file_of_others_has_its_licence_beside_it() -> None:
    """They ask for it."""
    names = {it.name for it in VENDORED}
    for name in names:
        assert f"{name.partition('.')[0]}.LICENSE.txt" in names


def test_the_files_of_others_are_those_that_were_taken() -> None:
    """Their checksums stand in the page of dependencies."""
    page = (DOCS / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    stated = set(re.findall(r"^([0-9a-f]{64})  (\S+)$", page, re.MULTILINE))
    files = [it for it in VENDORED if it.suffix in {".js", ".css"}]
    assert {(hashlib.sha256(it.read_bytes()).hexdigest(), it.name) for it in files} == stated


@pytest.mark.parametrize("name", ["nothing.css", "..%2fpages.py", "%2e%2e/pages.py", "a/b", "app.css%00", ""])
def test_nothing_else_is_served(name: str, site: AdminSite) -> None:
    """No path leads out."""
    assert site.node.send("GET", f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "goes_to"),
    [
        ("/seats?tenant=A&q=%20", "/seats?tenant=A&q=%20"),
        ("/", "/"),
        ("seats", "/"),
        ("//example.com", "/"),
        ("/\\example.com", "/"),
        ("https://example.com/", "/"),
        ("/a\r\nb", "/"),
        ("/a\tb", "/"),
        ("", "/"),
    ],
)
def test_only_a_path_of_ours_is_gone_on_to(path: str, goes_to: str) -> None:
    """An open redirect helps who phishes."""
    assert local_path(path) == goes_to


def test_no_secret_waits_for_a_sign_in() -> None:
    """What was typed travels through the browser once more; passwords do not."""
    items = (("name", "a"), ("password", "b"), ("new_password", "c"), ("csrf", "d"), ("client_secret", "e"))
    assert kept_of(items) == (("name", "a"),)


def test_more_than_a_form_of_ours_does_not_wait() -> None:
    """It is bounded."""
    assert kept_of((("text", "x" * 200_000),)) == ()
