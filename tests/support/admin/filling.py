"""Fills in and sends the dashboard's forms without a browser.

page = send(reader, "/set-up/pools/edit?tenant=Jim_Test&name=full", seats="7")
form_of(page)["seats"]          # ["7"]
wrong(page)                     # {"seats": "A whole number from 0 to 1,000,000, or all."}
"""

import re
from html import unescape
from html.parser import HTMLParser

import httpx

from support.admin.dashboard import Reader

_ERROR = re.compile(r'<p class="error" id="e-([^"]+)">(.*?)</p>', re.DOTALL)
_SECRET = re.compile(r'<code id="secret"[^>]*>([^<]*)</code>')

Form = dict[str, list[str]]


def send(reader: Reader, path: str, /, **changes: str | list[str] | None) -> httpx.Response:
    """Open a form, change some of its fields, and send it. None clears a checkbox."""
    return resend(reader, reader.get(path), path, **changes)


def resend(
    reader: Reader, page: httpx.Response, path: str, /, **changes: str | list[str] | None
) -> httpx.Response:
    """Change some fields of the form on this page, and send it."""
    assert "<form" in page.text, page.text[:600]
    form = form_of(page)
    for name, value in changes.items():
        form[name] = [] if value is None else [value] if isinstance(value, str) else value
    return reader.http.post(path, data=form)


def form_of(page: httpx.Response) -> Form:
    """The fields that the form of a page would send unchanged."""
    parser = _Fields()
    parser.feed(page.text)
    return parser.form


def wrong(page: httpx.Response) -> dict[str, str]:
    """The error messages beside the fields, by field name."""
    return {name: unescape(text) for name, text in _ERROR.findall(page.text)}


def secret_on(page: httpx.Response) -> str:
    """The secret that a page shows."""
    found = _SECRET.search(page.text)
    assert found, page.text[:600]
    return unescape(found[1])


class _Fields(HTMLParser):
    """The fields of the form in the set-up pages, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.form: Form = {}
        self._is_inside = False
        self._choice = ""
        self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.form[self._area][-1] += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            self._is_inside = "set-up-form" in (has.get("class") or "")
        if not self._is_inside:
            return
        name, value = has.get("name") or "", has.get("value") or ""
        if tag in {"select", "textarea"}:
            self._choice = name if tag == "select" else ""
            if tag == "textarea":
                self.form[name], self._area = [""], name
        elif tag == "option" and "selected" in has and self._choice:
            self.form.setdefault(self._choice, []).append(value)
        elif (
            tag == "input" and name and (has.get("type") not in {"checkbox", "radio"} or "checked" in has)
        ) or (tag == "button" and name):
            self.form.setdefault(name, []).append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        if tag == "textarea":
            self._area = ""
        if tag == "select":
            self._choice = ""
