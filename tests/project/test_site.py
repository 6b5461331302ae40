"""The site of the docs: each page is in its navigation, its links lead somewhere, and nothing is fetched."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.admin.browser import Browser
from support.paths import DOCS, ROOT
from website.checking import complaints, difference, without_hosts
from website.diagrams import with_pictures
from website.navigation import navigation
from website.places import FRONT, place_of, rewritten
from website.refused import Refused
from website.staging import lay_out

ARTICLE = "<article>{}</article>"


def entries(navigation: Any) -> list[str]:
    """The places of all pages in a navigation."""
    if isinstance(navigation, str):
        return [navigation]
    parts = navigation.values() if isinstance(navigation, dict) else navigation
    return [place for part in parts for place in entries(part)]


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the generator reads."""
    place = tmp_path_factory.mktemp("site")
    lay_out(place)
    return place


class TestNavigation:
    """It is made from docs/README.md."""

    def test_every_page_is_in_the_navigation_once(self, laid_out: Path) -> None:
        """And every page of the navigation is there; a page that only shows a file is found by its links."""
        settings = tomllib.loads((laid_out / "zensical.toml").read_text(encoding="utf-8"))
        listed = entries(settings["project"]["nav"])
        assert sorted(set(listed)) == sorted(listed)
        assert all((laid_out / "pages" / place).is_file() for place in listed)
        assert {place_of(page) for page in DOCS.rglob("*.md")} <= set(listed)
        assert {"project/CHANGELOG.md", "project/about.md", "project/examples/about.md"} <= set(listed)

    def test_a_page_that_nobody_listed_is_refused(self) -> None:
        """By its name."""
        front = FRONT.read_text(encoding="utf-8").replace("(how-to/upgrade.md)", "(how-to/fail-over.md)")
        with pytest.raises(Refused, match=r"docs/how-to/upgrade\.md"):
            navigation(front, DOCS.rglob("*.md"), [])

    def test_a_page_below_none_of_the_four_kinds_is_refused(self) -> None:
        """A link in the first table of the front page gives it no place."""
        front = (
            "# Licet\n\n[Upgrade](how-to/upgrade.md)\n\n## Reference\n\n[Upgrading](how-to/fail-over.md)\n"
        )
        with pytest.raises(Refused, match=r"docs/how-to/upgrade\.md"):
            navigation(front, [DOCS / "how-to" / "upgrade.md", DOCS / "how-to" / "fail-over.md"], [])


class TestPictures:
    """Those of the dashboard, which `make pictures` takes."""

    def test_each_is_there_in_light_and_dark_small_and_on_a_page(self) -> None:
        """A page with a picture of half a megabyte is slow; one that no page shows is forgotten."""
        pictures = {path.name: path.stat().st_size for path in (DOCS / "images").iterdir()}
        names = {name.rpartition("-")[0] for name in pictures}
        assert set(pictures) == {f"{name}-{colours}.webp" for name in names for colours in ("light", "dark")}
        assert max(pictures.values()) <= 150_000
        pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
        assert all(f"images/{name}" in pages for name in pictures)

    def test_a_picture_of_a_page_follows_the_colours_of_the_site(self, laid_out: Path) -> None:
        """Not only those of the system: the reader may have switched them."""
        front = (laid_out / "pages" / "index.md").read_text(encoding="utf-8")
        assert "(images/overview-light.webp#only-light)" in front
        assert "(images/overview-dark.webp#only-dark)" in front
        assert "<picture>" not in front


class TestDiagrams:
    """Those in the text of a page, which git hosts draw."""

    def test_the_site_has_a_picture_of_each_diagram_as_it_is_now(self, laid_out: Path) -> None:
        """`python -m website.diagrams` draws them anew."""
        page = (laid_out / "pages" / "explanation" / "connection.md").read_text(encoding="utf-8")
        found = re.findall(r"!\[Diagram\]\(\.\./(assets/diagrams/\w+-(?:light|dark)\.svg)#only-", page)
        assert len(found) == 2
        assert "stateDiagram" not in page
        drawn = {
            f"assets/diagrams/{path.name}" for path in (laid_out / "pages" / "assets" / "diagrams").iterdir()
        }
        assert set(found) == drawn

    def test_a_diagram_that_has_changed_is_refused(self) -> None:
        """Its picture is of another text."""
        with pytest.raises(Refused, match=r"website\.diagrams"):
            with_pictures("```mermaid\nflowchart LR\n```\n", "../")


class TestPlaces:
    """A link is written for the clone, and works on the site as well."""

    @pytest.mark.parametrize(
        ("link", "there"),
        [
            ("../../CHANGELOG.md", "../project/CHANGELOG.md"),
            ("../../examples/README.md", "../project/examples/about.md"),
            ("../../examples/nginx/nginx.conf", "../project/examples/nginx/nginx.conf.md"),
            ("../README.md#terms", "../index.md#terms"),
            ("../reference/openapi.json", "../reference/openapi.json"),
            ("fail-over.md#a", "fail-over.md#a"),
            ("#here", "#here"),
            ("https://example.com/a", "https://example.com/a"),
        ],
    )
    def test_a_link_leads_to_the_same_from_the_site(self, link: str, there: str) -> None:
        """Also to what stands outside docs/."""
        assert rewritten(DOCS / "how-to" / "upgrade.md", f"[A]({link})") == f"[A]({there})"

    def test_a_link_that_leads_to_nothing_is_refused(self) -> None:
        """With the page and the link."""
        with pytest.raises(Refused, match=r"docs/how-to/upgrade\.md: nowhere\.md"):
            rewritten(DOCS / "how-to" / "upgrade.md", "[A](nowhere.md)")

    def test_what_is_code_is_no_link(self) -> None:
        """In a block and in a line."""
        text = "`[a](b.md)` and\n\n```text\n[a](b.md)\n```\n"
        assert rewritten(DOCS / "how-to" / "upgrade.md", text) == text


class TestChecks:
    """What fails the build."""

    @pytest.mark.parametrize(
        ("html", "complaint"),
        [
            ('<a href="b.html">', "a.html: b.html leads to no file of the site"),
            ('<a href="../../secret.html">', "a.html: ../../secret.html leads to no file of the site"),
            ('<a href="#b">', "a.html: #b names no place on that page"),
            ('<img src="b.png">', "a.html: b.png leads to no file of the site"),
            ('<img src="//example.com/b.png">', "a.html: //example.com/b.png comes from another host"),
            ('<script src="https://e.com/b.js">', "a.html: https://e.com/b.js comes from another host"),
            ('<link rel="preconnect" href="https://e.com">', "a.html: https://e.com comes from another host"),
            (
                '<p style="background: url(https://e.com/b)">',
                "a.html: https://e.com/b comes from another host",
            ),
            ('<p id="b"><a href="a.html#b"><a href="https://example.com">', None),
        ],
    )
    def test_a_page_with_a_link_to_nothing_or_something_from_elsewhere_is_found(
        self, html: str, complaint: str | None, tmp_path: Path
    ) -> None:
        """A link for the reader may lead out of the site."""
        (tmp_path / "a.html").write_text(html)
        assert list(complaints(tmp_path)) == ([complaint] if complaint else [])

    def test_a_style_and_a_script_from_elsewhere_are_found(self, tmp_path: Path) -> None:
        """A theme fetches fonts in its styles, and its scripts load more when a page needs it."""
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "a.css").write_text(
            '@import "//fonts.example.com/a";b{src:url(https://e.com/f)}'
        )
        (tmp_path / "assets" / "a.js").write_text('load("https://cdn.example.com/a.js")')
        assert len(list(complaints(tmp_path))) == 3

    def test_a_script_is_left_without_the_hosts_it_names(self) -> None:
        """Names of XML are no hosts."""
        script = 'f("https://unpkg.com/a@1/a.js");g("http://www.w3.org/2000/svg")'
        assert without_hosts(script) == 'f("about:blank");g("http://www.w3.org/2000/svg")'

    @pytest.mark.parametrize(
        ("markdown", "html", "is_same"),
        [
            ("# A\n\nIt's `b`.", '<h1>A<a class="headerlink">¶</a></h1><p>It\'s <code>b</code>.</p>', True),
            ("- a\n  - b", "<ul><li>a<ul><li>b</li></ul></li></ul>", True),
            ("- a\n  - b", "<ul><li>a</li><li>b</li></ul>", False),
            ("(c) a", "<p>© a</p>", False),
            ("a\n\n```sh\nb\n```", "<p>a</p><p><code>sh b</code></p>", False),
        ],
    )
    def test_a_page_that_reads_otherwise_than_in_the_clone_is_found(
        self, markdown: str, html: str, is_same: bool
    ) -> None:
        """The generator's markdown is not quite that of git hosts."""
        assert (difference(markdown, ARTICLE.format(html)) == "") is is_same


@pytest.fixture(scope="module")
def site() -> Path:
    """`make site` fails when one of its checks does."""
    command = [sys.executable, "-m", "website"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / "dist" / "site"


@pytest.mark.wide
class TestSite:
    """The whole, as it is read from files."""

    def test_documents_for_programs_are_on_the_site_byte_for_byte(self, site: Path) -> None:
        """To download them."""
        for name in ("openapi.json", "guard-vectors.json"):
            assert (site / "reference" / name).read_bytes() == (DOCS / "reference" / name).read_bytes()

    def test_the_search_finds_a_page_from_files_and_asks_no_host(self, site: Path, browser: Browser) -> None:
        """A page from a file can ask for no other file, so the index has to be a script."""
        asked: list[str] = []
        with browser.window() as page:
            page.on("request", lambda request: asked.append(request.url))
            page.goto((site / "index.html").as_uri())
            page.get_by_role("button", name="Search").click()
            page.get_by_role("combobox", name="Search").fill("licence_expired")
            page.get_by_role("option").filter(has_text="Reasons").first.click()
            page.wait_for_url("**/errors.html**")
        assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked

    @pytest.mark.parametrize("name", ["index", "how-to/run-several-nodes", "reference/token"])
    def test_a_page_is_no_wider_than_a_telephone(self, name: str, site: Path, browser: Browser) -> None:
        """Long lines and tables move by themselves."""
        with browser.window() as page:
            page.goto((site / f"{name}.html").as_uri())
            browser.show(page, f"site-{name.rpartition('/')[2]}")
