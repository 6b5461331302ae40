"""A real Chromium, without a window, that signs in to the dashboard of a running server.

    def test_a_page(browser: Browser, site: DashboardSite) -> None:
        with browser.person(site, "ada") as page:
            page.goto(f"{site.url}/seats")
            browser.check_access(page)              # axe finds nothing
            browser.show(page, "seats")             # build/screenshots/seats-light.png, -dark, -phone

`browser` is a fixture of conftest.py. Chromium is the system's; where it is missing these tests are skipped,
and say so; with CI=true they fail.
`expect` waits for what must happen, and nothing here sleeps.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect, sync_playwright

from support.dashboard import PASSWORD
from support.paths import ROOT
from support.running import RunningServer

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE_MS = 30_000  # for what must happen; a machine that does much else is slow
SCREENSHOTS = ROOT / "build" / "screenshots"
WIDE, PHONE = (1280, 800), (375, 740)
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browser:
    """One Chromium for all tests; each person has a profile of its own."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._signed_in: dict[tuple[str, str], Any] = {}

    @contextmanager
    def window(self, size: tuple[int, int] = WIDE, **options: Any) -> Iterator[Page]:
        """A window of somebody who is not signed in. What its scripts complain of is an error of the test."""
        context = self._chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            **{"locale": "en-GB", "timezone_id": "Europe/London", **options},
        )
        context.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda event: complaints.append(event.text) if event.type == "error" else None)
        context.on("request", lambda event: complaints.extend(_asks_outside(event.url)))
        try:
            yield context.new_page()
        finally:
            context.close()
        unexpected = [it for it in complaints if "Failed to load resource" not in it]
        assert not unexpected, unexpected

    @contextmanager
    def person(
        self, site: RunningServer, name: str = "ada", size: tuple[int, int] = WIDE, **options: Any
    ) -> Iterator[Page]:
        """A window of an administrator who is signed in; the sign-in is shared by all windows of one name."""
        key = (site.admin_url, name)
        with self.window(size, storage_state=self._signed_in.get(key), **options) as page:
            if key not in self._signed_in:
                sign_in(page, site, name)
                self._signed_in[key] = page.context.storage_state()
            yield page

    @staticmethod
    def check_access(page: Page) -> None:
        """Nothing is found by axe that keeps people from using the page, in light and in dark."""
        found = _axe(page, {"type": "tag", "values": _AXE_RULES})
        page.emulate_media(color_scheme="dark")
        found += _axe(page, {"type": "rule", "values": ["color-contrast"]})  # nothing else is another there
        page.emulate_media(color_scheme="light")
        assert not found, f"{page.url}:\n" + "\n".join(found)

    @staticmethod
    def show(page: Page, name: str) -> None:
        """Keep pictures of a page: light, dark, and on a phone."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        wide = page.viewport_size
        page.emulate_media(color_scheme="light")
        page.screenshot(path=SCREENSHOTS / f"{name}-light.png", full_page=True)
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=SCREENSHOTS / f"{name}-dark.png", full_page=True)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"{name}-phone.png", full_page=True)
        if wide is not None:
            page.set_viewport_size(wide)
        assert fits, f"{name}: on a phone the page is wider than the screen"


def sign_in(page: Page, site: RunningServer, name: str, password: str = PASSWORD) -> None:
    """Sign in by the form."""
    page.goto(f"{site.admin_url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def _axe(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe finds; it runs beside the page's own scripts, past their Content-Security-Policy."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    # All violations with all their nodes; to list what is right as well would take it twice as long.
    options = {"runOnly": rules, "resultTypes": ["violations"], "selectors": False}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{it['id']}: {it['help']}: {node['html'][:200]}"
        for it in found["violations"]
        for node in it["nodes"]
    ]


def install() -> None:
    """Have a Chromium, where one can be had, and say so; the tests say what it means when there is none."""
    if _found() is not None:
        return
    if os.geteuid() != 0 or (apt_get := shutil.which("apt-get")) is None:
        _say("There is no Chromium, and it is not installed by itself: the tests of the pages are skipped.")
        return
    _say("Installing Chromium for the tests of the pages (apt-get install chromium)...")
    for what in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run([apt_get, "--quiet", *what], stdout=subprocess.DEVNULL, check=False)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _asks_outside(url: str) -> list[str]:
    """A page that asks anybody but its server is an error."""
    return (
        []
        if url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))
        else [f"asks {url}"]
    )


@contextmanager
def opened() -> Iterator[Browser]:
    """Chromium; where there is none, the test is skipped or fails."""
    path = _found()
    if path is None:
        why = f"there is no Chromium (looked for {', '.join(NAMES)}): the pages are NOT tested"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield Browser(chromium)
        chromium.close()


if __name__ == "__main__":
    install()
