"""Sends the calls of the admin API over HTTP, and reads what is answered.

The rules:

- The API key goes to the server that was named, and nowhere else: no redirect is followed, and plain HTTP is
  for this machine only unless it is allowed.
- A call is sent once: what changes something is never repeated by itself.
- An answer is bounded, and one that is none of the admin API is `AdminUnreachable`.
- With a dry run every operation of the call is only rehearsed; the server refuses one that has no dry run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import quote

import httpx

from licet.admin_client.answers.nouns import Rehearsal
from licet.admin_client.decoding import decode, given, query_of
from licet.admin_client.errors import AdminError, AdminProblem, AdminUnreachable, problem_of

ANY: Final = "*"  # as `if_match`: whatever is there
TIMEOUT_S: Final = 40  # the server gives up after 30
BODY_BYTES_MAX: Final = 32 * 1024 * 1024  # of an answer; a page of the longest list has less
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_API: Final = "/api/v1"

Item = TypeVar("Item")
Made = TypeVar("Made")

# Whether the call that is under way is only to be rehearsed.
_rehearsing: ContextVar[bool] = ContextVar("licet_rehearsing", default=False)


class _Rehearsed(Exception):
    """The answer to a dry run."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        super().__init__("rehearsed")
        self.rehearsal = rehearsal


@dataclass(frozen=True, kw_only=True)
class Text:
    """A file that the server answers, and the tag of its content."""

    text: str
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Item]):
    """A page of a list; `next` is the cursor of the page behind it, None at the end."""

    items: tuple[Item, ...]
    next: str | None


class Items(Generic[Item]):
    """A list of the server's: iterating over it asks for page after page, as they are needed."""

    def __init__(self, ask: Callable[[str | None], Page[Item]], cursor: str | None) -> None:
        self._ask, self._cursor = ask, cursor

    def page(self) -> Page[Item]:
        """The first page alone."""
        return self._ask(self._cursor)

    def __iter__(self) -> Iterator[Item]:
        """Every item, of this page and those behind it.

        Raises AdminError.
        """
        page = self.page()
        yield from page.items
        while page.next is not None:
            page = self._ask(page.next)
            yield from page.items


class Caller:
    """Calls operations of the admin API at `url`, with an API key.

    `timeout_s` bounds each request. `allow_http` also sends the key to other machines without TLS.
    `transport` is httpx's, for what its own does not do. Raises ValueError where the URL is none of these.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        timeout_s: float = TIMEOUT_S,
        allow_http: bool = False,
        verify: Any = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        parts = httpx.URL(url)
        if parts.scheme not in {"http", "https"} or not parts.host or parts.query or parts.userinfo:
            raise ValueError("url is where the admin listener is, like https://licence.example.com:8081")
        is_near = parts.host in _LOOPBACK
        if parts.scheme == "http" and not is_near and not allow_http:
            raise ValueError("url is http, which others can read; use https, or say allow_http=True")
        if not api_key.isascii() or not api_key.isprintable() or not api_key:
            raise ValueError("api_key is what `licet admin key add` printed: lck_...")
        self._url = url.rstrip("/") + _API
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}", "Accept": "application/json"},
            timeout=timeout_s,
            verify=verify,
            transport=transport,
            trust_env=not is_near,
        )

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}({self._url!r})"

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def dry_run(self, call: Callable[[], object]) -> Rehearsal:
        """Which sessions would end with a call, which is not done: `dry_run(lambda: admin.remove_pool(...))`.

        Raises AdminError, as the call would; TypeError where it is no change.
        """
        token = _rehearsing.set(True)
        try:
            call()
        except _Rehearsed as done:
            return done.rehearsal
        finally:
            _rehearsing.reset(token)
        raise TypeError("a dry run is of one call that changes something")

    # What the operations are made of

    def _ask(self, method: str, path: tuple[str | int, ...], answer: type[Made] | None, **parts: Any) -> Made:
        """Send one, and read its answer; None is for one that answers nothing."""
        response = self._send(method, path, **parts)
        if answer is None or response.status_code == httpx.codes.NO_CONTENT:
            return cast("Made", None)
        if answer is Text:
            return cast("Made", Text(text=response.text, etag=response.headers.get("etag", "")))
        found = self._read(response, answer)
        etag = response.headers.get("etag")
        return replace(cast("Any", found), etag=etag) if etag and hasattr(found, "etag") else found

    def _list(
        self, path: tuple[str | int, ...], item: Any, query: Mapping[str, Any], method: str = "GET"
    ) -> Items[Any]:
        """A list, which is asked for when it is iterated over."""
        cursor = query.get("cursor")

        def ask(cursor: str | None) -> Page[Any]:
            response = self._send(method, path, query={**query, "cursor": cursor})
            content = self._json(response)
            return Page(items=self._as(tuple[item, ...], content.get("items")), next=content.get("next"))

        return Items(ask, cursor if isinstance(cursor, str) else None)

    def _send(
        self,
        method: str,
        path: tuple[str | int, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str | bytes | None = None,
        media: str = "",
        if_match: str | None = None,
    ) -> httpx.Response:
        """Raises AdminError, _Rehearsed."""
        address = "/".join([self._url, *(quote(str(part), safe="") for part in path)])
        asked: list[tuple[str, str | int | float | bool | None]] = [*query_of(query or {})]
        is_rehearsed = _rehearsing.get() and method != "GET"
        if is_rehearsed:
            asked.append(("dry_run", "true"))
        headers = {name: text for name, text in (("If-Match", if_match), ("Content-Type", media)) if text}
        sent: dict[str, Any] = {"content": content} if content is not None else {}
        if body is not None:
            sent["json"] = given(body)
        try:
            request = self._http.build_request(method, address, params=asked, headers=headers, **sent)
            response = self._received(request)
        except httpx.HTTPError as fault:
            raise AdminUnreachable(f"{method} {address}: {type(fault).__name__}") from None
        if response.is_success:
            if is_rehearsed and response.status_code == httpx.codes.OK:
                self._raise_rehearsed(response)
            return response
        raise self._problem(response)

    def _received(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, if it is not too large."""
        response = self._http.send(request, stream=True)
        try:
            read, content = 0, []
            for part in response.iter_bytes():
                read += len(part)
                if read > BODY_BYTES_MAX:
                    raise AdminUnreachable(f"{request.url}: the answer has more than {BODY_BYTES_MAX} bytes")
                content.append(part)
        finally:
            response.close()
        headers = [(name, text) for name, text in response.headers.items() if name != "content-encoding"]
        return httpx.Response(
            response.status_code, headers=headers, content=b"".join(content), request=request
        )

    def _raise_rehearsed(self, response: httpx.Response) -> None:
        content = self._json(response)
        if content.get("dry_run") is True:
            raise _Rehearsed(self._as(Rehearsal, content))

    def _problem(self, response: httpx.Response) -> AdminError:
        try:
            wait = response.headers.get("retry-after", "")
            return problem_of(
                self._json(response),
                retry_after_s=int(wait) if wait.isdigit() else None,
                etag=response.headers.get("etag", ""),
            )
        except (AdminUnreachable, KeyError, TypeError, ValueError):
            return AdminUnreachable(f"{response.request.url} answered {response.status_code}, and no problem")

    def _read(self, response: httpx.Response, kind: type[Made]) -> Made:
        return cast("Made", self._as(kind, self._json(response)))

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise AdminUnreachable(f"{response.request.url} answered no JSON object; is this the admin API?")
        return content

    @staticmethod
    def _as(kind: Any, content: Any) -> Any:
        try:
            return decode(kind, content)
        except ValueError as wrong:
            raise AdminUnreachable(f"the answer is none that this version knows: {wrong}") from None


__all__ = ["ANY", "AdminProblem", "Caller", "Items", "Page", "Text"]
