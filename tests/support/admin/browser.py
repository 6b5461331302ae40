"""A headless Chromium that signs in to the dashboard of a running server.

    def test_a_page(browser: Browser, site: DashboardSite) -> None:
        with browser.person(site, "ada") as page:
            page.goto(f"{site.url}/seats")
            browser.check_access(page)              # axe finds nothing
            browser.show(page, "seats")             # it fits on a phone

`browser` is a fixture of conftest.py. Chromium is the system's; where it is missing these tests are skipped,
with a message; with CI=true they fail. `chromium-headless-shell` is preferred: the pages are the same, and it
takes half of the processor time, as it draws no tabs and menus.
`expect` waits for what must happen; nothing here sleeps.

With `SCREENSHOTS=1`, `show` writes pictures: build/screenshots/seats-light.png, -dark and -phone.

A new window takes a second of processor time, a new page in an existing window a sixth of that. So a window
is kept for the next test with the same options, after its cookies, storage and page are cleared. A window
with a clock of its own is not kept (`is_kept=False`): a page cannot return to the real clock.
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
PATIENCE_MS = 60_000  # how long to wait for what must happen; a busy machine is slow
SCREENSHOTS = ROOT / "build" / "screenshots"
_SHOWS = bool(os.environ.get("SCREENSHOTS"))
WIDE, PHONE = (1280, 800), (375, 740)
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


_INSTALL = ("install", "--yes", "--no-install-recommends")
_KEPT_MAX = 8  # kept windows: about as many as there are different options
# If the page itself opens the blank page, it stays in its process; otherwise Chromium starts a new one.
_LEAVE = "localStorage.clear(); sessionStorage.clear(); location.replace('about:blank')"


@dataclass(kw_only=True)
class _Window:
    """A browser profile with one page."""

    options: str
    context: BrowserContext
    page: Page
    devtools: CDPSession
    complaints: list[str] = field(default_factory=list)

    def empty(self) -> None:
        """Remove what the last test left in it."""
        for other in self.context.pages[1:]:
            other.close()
        if self.page.url.startswith("http"):
            self.page.evaluate(_LEAVE)
            self.page.wait_for_url("about:blank")
        self.context.clear_cookies()


class _Driver:
    """Playwright's event loop, which is this thread's loop only while the browser works.

    A thread has one running loop at a time, and other tests need their own.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hooks = sys.get_asyncgen_hooks()

    def work(self) -> None:
        """Make Playwright's loop the running loop."""
        asyncio._set_running_loop(self._loop)
        sys.set_asyncgen_hooks(*self._hooks)

    def rest(self) -> None:
        """Leave the thread without a running loop."""
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)


class Browser:
    """One Chromium for all tests; each window has a profile of its own."""

    def __init__(self, chromium: Chromium, driver: _Driver) -> None:
        self._chromium = chromium
        self._driver = driver
        self._kept: list[_Window] = []
        self._signed_in: WeakKeyDictionary[RunningServer, dict[tuple[str, str], Any]] = WeakKeyDictionary()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """In this block the browser works, and no test of this thread can run an event loop."""
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
        """A window where nobody is signed in. An error that its scripts report fails the test."""
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
        """A window where an administrator is signed in; all windows of one name share the sign-in."""
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
        """A kept window with these options, or a new one."""
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
        """Check that axe finds no accessibility violation on the page, in light and in dark."""
        page.wait_for_load_state()  # a page that is still being read lacks parts
        expect(page.locator("main")).to_be_visible()
        found = _axe(page, {"type": "tag", "values": _AXE_RULES})
        page.emulate_media(color_scheme="dark")
        found += _axe(page, {"type": "rule", "values": ["color-contrast"]})  # nothing else differs there
        page.emulate_media(color_scheme="light")
        assert not found, f"{page.url}:\n" + "\n".join(found)

    @staticmethod
    def show(page: Page, name: str) -> None:
        """Check that the page fits the width of a phone, and take pictures if SCREENSHOTS is set."""
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
    """Sign in with the form."""
    page.goto(f"{site.admin_url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def _axe(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe finds. It runs in the page, where its Content-Security-Policy does not apply to it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    # All violations with all their nodes; to list the passed rules as well would take twice as long.
    options = {"runOnly": rules, "resultTypes": ["violations"], "selectors": False}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{it['id']}: {it['help']}: {node['html'][:200]}"
        for it in found["violations"]
        for node in it["nodes"]
    ]


def install() -> None:
    """Install a Chromium if possible, and print so. Without one, the tests report that they are skipped."""
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
    """Run apt-get, and return whether it succeeded."""
    return subprocess.run([apt_get, "--quiet", *what], stdout=subprocess.DEVNULL, check=False).returncode == 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _asks_outside(url: str) -> list[str]:
    """An error if a page requests anything from another host."""
    return (
        []
        if url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "file:"))
        else [f"asks {url}"]
    )


@contextmanager
def opened() -> Iterator[Browser]:
    """Chromium; without one, the test is skipped, or fails in CI."""
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
