"""Takes the pictures of the dashboard in docs/images, light and dark, from a demo with eight days of history.

.venv/bin/python docs/make_pictures.py           # or make pictures; needs Chromium
.venv/bin/python docs/make_pictures.py usage     # one of them

The pictures show an afternoon, whenever they are taken: the browser's time zone is chosen so.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
TENANT, NAME, PASSWORD = "Jim_Test", "admin", "password"
BYTES_MAX = 150_000  # of a picture
_BROWSERS = (
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
_WIDTH_PX, _SCALE = 1280, 1.5
_AFTERNOON_H = 14  # the history is that of an office, and now is the afternoon there
_ABOVE_PX = 6  # of an element: less than the gap to the one before
_PATIENCE_MS = 30_000
_COLOURS: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


class Picture(NamedTuple):
    """A page of the dashboard: so much of it from its top or from an element, after a row is opened."""

    name: str
    path: str
    height_px: int
    opens: str = ""
    begins: str = ""
    zone: str = ""  # else that of the afternoon


_ROW = ".denials details summary"
PICTURES = (
    Picture("overview", "", 700),
    Picture("seats", "seats", 760),
    Picture("denials", "denials?pool=full&reason=all_in_use", 660, opens=_ROW, begins=".denials"),
    Picture("usage", "usage", 1016),
    Picture("client", "client?name=Anna.Berg", 800),
    Picture("connect", "set-up/clients/edit?name=TestClientId", 500, begins="#connect"),
    Picture("licences", "licences", 640, zone="UTC"),
)


def main(names: list[str]) -> int:
    """Take the pictures of these names, or all."""
    wanted = [picture for picture in PICTURES if not names or picture.name in names]
    with TemporaryDirectory(prefix="licet-pictures-") as work, sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, _BROWSERS)), None)
        if path is None:
            print(f"There is no Chromium; looked for {', '.join(_BROWSERS)}.", file=sys.stderr)
            return 1
        with demo(Path(work)) as url:
            chromium = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu"]
            )
            for picture in wanted:
                if picture.name == "licences":
                    sign_licences(Path(work))
                for colours in _COLOURS:
                    with signed_in(chromium, url, colours, picture.zone or afternoon()) as page:
                        keep(f"{picture.name}-{colours}", taken(page, url, picture))
            chromium.close()
    return 0


@contextmanager
def demo(work: Path) -> Iterator[str]:
    """The dashboard's URL of a demo that runs."""
    command = [sys.executable, "-m", "licet", "demo", "--with-history", "--port", "0", "--admin-port", "0"]
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    try:
        mark = "The dashboard is at "
        yield next(line.removeprefix(mark).strip() for line in process.stdout if line.startswith(mark))
    finally:
        process.terminate()
        process.wait(timeout=30)


def sign_licences(work: Path) -> None:
    """A licence that counts, and a renewal with more seats that begins after the first one's grace."""
    today = datetime.now(UTC).date()
    phrase = secrets.token_urlsafe()

    def licet(*arguments: str, tells: str = "") -> None:
        subprocess.run(
            [sys.executable, "-m", "licet", *arguments],
            cwd=work,
            env={**os.environ, "LICET_DATA": str(work / "licet-demo")},
            input=tells,
            encoding="utf-8",
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def sign(seats: int, begins: int, expires: int, grace: str, file: str) -> None:
        dates = [str(today + timedelta(days=days)) for days in (begins, expires)]
        terms = ["--pool", f"full={seats}", "--overdraft", "full=1", "--grace", grace]
        terms += ["--begins", dates[0], "--expires", dates[1], "--out", file, "--passphrase-stdin", "--yes"]
        licet("vendor", "sign", "--tenant", TENANT, "--customer", "C-1", *terms, tells=phrase)
        licet("licence", "install", file, "--yes")

    licet(
        "vendor",
        "key",
        "new",
        "--vendor",
        "acme",
        "--product",
        "jobs-api",
        "--passphrase-stdin",
        tells=phrase,
    )
    licet("trust", "add", "vendor/vendor.json", "--yes")
    sign(8, -230, 120, "21d", "first.licence")
    sign(10, 134, 485, "30d", "second.licence")
    licet("pool", "set", "full", "--seats", "all")


@contextmanager
def signed_in(chromium: Browser, url: str, colours: Literal["light", "dark"], zone: str) -> Iterator[Page]:
    """A page of somebody who is signed in, in a time zone."""
    context = chromium.new_context(
        viewport={"width": _WIDTH_PX, "height": 800},
        device_scale_factor=_SCALE,
        color_scheme=colours,
        locale="en-GB",
        timezone_id=zone,
    )
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda there: "/sign-in" not in there)
    yield page
    context.close()


def afternoon() -> str:
    """A time zone where it is the afternoon now."""
    ahead = (_AFTERNOON_H - datetime.now(UTC).hour) % 24
    ahead -= 24 if ahead > _AFTERNOON_H else 0  # no zone is further ahead than 14 hours
    return f"Etc/GMT{-ahead:+d}"  # their signs are those of POSIX


def taken(page: Page, url: str, picture: Picture) -> bytes:
    """A page as PNG, once all that it draws is there."""
    page.goto(f"{url}/{picture.path}")
    page.wait_for_load_state("networkidle")
    if picture.opens:
        page.locator(picture.opens).first.click()
        page.wait_for_load_state("networkidle")
    top = 0.0
    if picture.begins:
        box = page.locator(picture.begins).first.bounding_box()
        top = box["y"] - _ABOVE_PX if box else 0.0
    clip = {"x": 0, "y": top, "width": _WIDTH_PX, "height": picture.height_px}
    return page.screenshot(full_page=True, clip=clip, animations="disabled")  # type: ignore[arg-type]


def keep(name: str, png: bytes) -> None:
    """As WebP, without loss where that is small enough."""
    image = Image.open(BytesIO(png)).convert("RGB")
    for options in ({"lossless": True}, {"quality": 90}, {"quality": 75}):
        to = BytesIO()
        image.save(to, "WEBP", method=6, **options)
        if to.tell() <= BYTES_MAX:
            break
    (IMAGES / f"{name}.webp").write_bytes(to.getvalue())
    print(f"{to.tell():>9,} bytes  docs/images/{name}.webp  {json.dumps(options)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
