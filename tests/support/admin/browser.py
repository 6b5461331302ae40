"""A real Chromium, without a window, that signs in to the dashboard of a running server.

    def test_a_page(browser: Browser, site: DashboardSite) -> None:
        with browser.person(site, "ada") as page:
            page.goto(f"{site.url}/seats")
            browser.check_access(page)              # axe finds nothing
            browser.show(page, "seats")             # it fits on a phone

`browser` is a fixture of conftest.py. Chromium is the system's; where it is missing these tests are skipped,
and say so; with CI=true they fail. The one that is built to have no window is preferred: pages are the same,
and it takes half of the processor, as it has no tabs, menus and bars to draw.
`expect` waits for what must happen, and nothing here sleeps.

`SCREENSHOTS=1` has `show` leave pictures to look at: build/screenshots/seats-light.png, -dark and -phone.

A new window takes a second of the processor, and a page in one that is there a sixth of it. So a window is
kept for the next test with the same options, without its cookies, its storage and its page. One with a clock
of its own is not (`is_kept=False`): a page never gets rid of that.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, CDPSession, Page, expect, sync_playwright

from support.admin.dashboard import PASSWORD
from support.paths import ROOT
from support.server.running import RunningServer

_PACKAGE = "chromium-headless-shell"  # of Debian, with a program of the same name
NAMES = (_PACKAGE, "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE_MS = 60_000  # for what must happen; a machine that does much else is slow
SCREENSHOTS = ROOT / "build" / "screenshots"
_SHOWS = bool(os.environ.get("SCREENSHOTS"))
WIDE, PHONE = (1280, 800), (375, 740)
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


_INSTALL = ("install", "--yes", "--no-install-recommends")
_KEPT_MAX = 8  # windows that wait for a test: a guess at how many kinds there are
# A blank page that the page itself asks for stays in its process; else there would be a new one.
_LEAVE = "localStorage.clear(); sessionStorage.clear(); location.replace('about:blank')"


@dataclass(kw_only=True)
class _Window:
    """A profile with one page."""

    options: str
    context: BrowserContext
    page: Page
    devtools: CDPSession
    complaints: list[str] = field(default_factory=list)

    def empty(self) -> None:
        """Take from it what the last test has left."""
        for other in self.context.pages[1:]:
            other.close()
        if self.page.url.startswith("http"):
            self.page.evaluate(_LEAVE)
            self.page.wait_for_url("about:blank")
        self.context.clear_cookies()


class _Driver:
    """The event loop in which Playwright waits: this thread's while it works, as others have their own."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hooks = sys.get_asyncgen_hooks()

    def work(self) -> None:
        """From now on."""
        asyncio._set_running_loop(self._loop)
        sys.set_asyncgen_hooks(*self._hooks)

    def rest(self) -> None:
        """Until it works again."""
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)


class Browser:
    """One Chromium for all tests; each person has a profile of its own."""

    def __init__(self, chromium: Chromium, driver: _Driver) -> None:
        self._chromium = chromium
        self._driver = driver
        self._kept: list[_Window] = []
        self._signed_in: WeakKeyDictionary[RunningServer, dict[tuple[str, str], Any]] = WeakKeyDictionary()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it is, no test of this thread can have an event loop."""
        self._driver.work()
        try:
            yield
        finally:
            self._driver.rest()

    @contextmanager
    def window(
        self,
        size: tuple[int, int] = WIDE,
        *,
        color_scheme: Literal["light", "dark"] = "light",
        timezone_id: str = "Europe/London",
        is_kept: bool = True,
        **options: Any,
    ) -> Iterator[Page]:
        """A window of somebody who is not signed in. What its scripts complain of is an error of the test."""
        window = self._window({"locale": "en-GB", **options})
        window.page.set_viewport_size({"width": size[0], "height": size[1]})
        window.page.emulate_media(color_scheme=color_scheme)
        # As an option of the profile, each zone would need a window of its own.
        window.devtools.send("Emulation.setTimezoneOverride", {"timezoneId": timezone_id})
        try:
            yield window.page
            if is_kept:
                window.empty()
                self._keep(window)
            else:
                window.context.close()
        except BaseException:
            window.context.close()
            raise
        unexpected = [text for text in window.complaints if "Failed to load resource" not in text]
        window.complaints.clear()
        assert not unexpected, unexpected

    @contextmanager
    def person(
        self, site: RunningServer, name: str = "ada", size: tuple[int, int] = WIDE, **options: Any
    ) -> Iterator[Page]:
        """A window of an administrator who is signed in; the sign-in is shared by all windows of one name."""
        signed_in = self._signed_in.setdefault(site, {})
        key = (site.admin_url, name)
        with self.window(size, **options) as page:
            if key in signed_in:
                page.context.add_cookies(signed_in[key])
            else:
                form: dict[str, str | float | bool] = {"name": name, "password": PASSWORD}
                assert page.context.request.post(f"{site.admin_url}/sign-in", form=form).ok
                signed_in[key] = page.context.cookies()
            yield page

    def _window(self, options: dict[str, Any]) -> _Window:
        """One with these options, that was kept or is new."""
        as_text = repr(sorted(options.items()))
        for at, kept in enumerate(self._kept):
            if kept.options == as_text:
                return self._kept.pop(at)
        context = self._chromium.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        devtools = context.new_cdp_session(page)
        window = _Window(options=as_text, context=context, page=page, devtools=devtools)
        complaints = window.complaints
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda event: complaints.append(event.text) if event.type == "error" else None)
        context.on("request", lambda event: complaints.extend(_asks_outside(event.url)))
        return window

    def _keep(self, window: _Window) -> None:
        self._kept.append(window)
        if len(self._kept) > _KEPT_MAX:
            self._kept.pop(0).context.close()

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
        """On a phone the page is no wider than the screen; and pictures are made, where they are wished."""
        if _SHOWS:
            _picture(page, f"{name}-light", "light")
            _picture(page, f"{name}-dark", "dark")
        wide = page.viewport_size
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if _SHOWS:
            _picture(page, f"{name}-phone", "light")
        if wide is not None:
            page.set_viewport_size(wide)
        assert fits, f"{name}: on a phone the page is wider than the screen"


def _picture(page: Page, name: str, colours: Literal["light", "dark"]) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.emulate_media(color_scheme=colours)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    page.emulate_media(color_scheme="light")


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
    found = _found()
    if found is not None and Path(found).name == _PACKAGE:
        return
    if os.geteuid() != 0 or (apt_get := shutil.which("apt-get")) is None:
        if found is None:
            _say(
                "There is no Chromium, and it is not installed by itself: the tests of the pages are skipped."
            )
        return
    _say(f"Installing Chromium for the tests of the pages (apt-get install {_PACKAGE})...")
    if found is None:
        _have(apt_get, "update")
    if not _have(apt_get, *_INSTALL, _PACKAGE) and found is None:
        _have(apt_get, *_INSTALL, "chromium")


def _have(apt_get: str, *what: str) -> bool:
    """Whether it was done."""
    return subprocess.run([apt_get, "--quiet", *what], stdout=subprocess.DEVNULL, check=False).returncode == 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _asks_outside(url: str) -> list[str]:
    """A page that asks anybody but its server is an error."""
    return (
        []
        if url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "file:"))
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
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=PATIENCE_MS,
        )
        driver = _Driver()
        driver.rest()
        try:
            yield Browser(chromium, driver)
        finally:
            driver.work()
        chromium.close()


if __name__ == "__main__":
    install()
