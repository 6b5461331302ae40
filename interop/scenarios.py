"""The scenarios: what a client is asked to do, and what it did, as a short string (README.md)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from interop.manifest import SCENARIOS
from interop.program import Program
from interop.site import ACCENT, ALL_SPECIAL, COLON, ORDINARY, PLAIN, SIGNING, SPECIAL, Site, Who
from licet.model import SESSION_TTL_S

UNSUPPORTED = "unsupported"
_NO_SEAT = "temporarily_unavailable"
_EARLY_S = 30  # before the end: between what libraries allow for
_VISIBLE = ("code", "status", "reason", "retry_after", "by_hand")


class Outcome(Exception):
    """How a scenario ended before its end."""


class Case:
    """A client at a site, and what it was opened with."""

    def __init__(self, program: Program, site: Site) -> None:
        self.program = program
        self.site = site
        self.tenant = PLAIN

    def open(
        self, tenant: str = PLAIN, who: Who = ORDINARY, auth: str = "default", scope: str | None = None
    ) -> None:
        """Set the library up."""
        self.tenant, self.who = tenant, who
        options = {"client_id": who.client_id, "client_secret": who.secret, "auth": auth, "scope": scope}
        self.do("open", **self.site.urls(tenant), **options)

    def do(self, what: str, **members: Any) -> dict[str, Any]:
        """Have it do something that is to succeed.

        Raises Outcome where it does not.
        """
        answer = self.program.ask(what, **members)
        if not answer["ok"]:
            raise Outcome(UNSUPPORTED if UNSUPPORTED in answer else f"raises {answer['raised']}")
        return answer

    def try_token(self) -> dict[str, Any]:
        """The answer to `token`; or to `refresh`, where the library has no client credentials."""
        answer = self.program.ask("token")
        if answer["ok"] or UNSUPPORTED not in answer:
            return answer
        self.hold()
        return self.program.ask("refresh")

    def hold(self) -> None:
        """Have it take over a token that it could not get."""
        known = ORDINARY if self.who.secret == _WRONG.secret else self.who
        self.do("hold", token=self.site.grant(self.tenant, known))

    def obtain(self) -> dict[str, Any]:
        """A token in the library's hands, and what introspection says of it."""
        mark = len(self.site.recorder.asked)
        answer = self.program.ask("token")
        if UNSUPPORTED in answer:
            self.hold()
            self.do("call")
            return self._used(mark)
        if not answer["ok"]:
            raise Outcome(f"raises {answer['raised']}")
        return self.site.introspected(self.tenant, answer["access_token"])

    def call(self) -> tuple[int, dict[str, Any]]:
        """The API's answer, and what introspection says of the token that it was asked with."""
        mark = len(self.site.recorder.asked)
        status = self.do("call")["status"]
        return status, self._used(mark)

    def _used(self, mark: int) -> dict[str, Any]:
        token = self.site.recorder.since(mark, f"/api/{self.tenant}")[-1].token
        return self.site.introspected(self.tenant, token or "")


_WRONG = Who(client_id=ORDINARY.client_id, secret="another secret")


def run(case: Case) -> dict[str, str]:
    """What each scenario came to."""
    return {name: _seen(_STEPS[name], case) for name in SCENARIOS}


def _seen(steps: Callable[[Case], str], case: Case) -> str:
    try:
        return steps(case)
    except Outcome as outcome:
        return str(outcome)


def _token(case: Case) -> str:
    case.open()
    case.do("token")
    status, found = case.call()
    assert (status, found["scope"]) == (204, "all"), (status, found)
    return "token"


def _view(case: Case) -> str:
    case.open(scope="view")
    case.do("token")
    status, found = case.call()
    assert (status, found["scope"]) == (204, "view"), (status, found)
    assert "pool" not in found, "a view session has no seat"
    return "token"


def _default_auth(case: Case) -> str:
    case.open()
    mark = len(case.site.recorder.asked)
    case.open(who=_WRONG)
    case.try_token()
    ways = [request.by for request in case.site.recorder.since(mark)]
    case.open()
    case.try_token()
    return ", ".join(dict.fromkeys(ways))


def _refresh(case: Case) -> str:
    case.open()
    before = case.obtain()
    mark = len(case.site.recorder.asked)
    case.do("refresh")
    asked = case.site.recorder.since(mark)
    status, after = case.call()
    assert (status, after["sid"]) == (204, before["sid"]), "a refresh goes on with the same session"
    assert [request.grant_type for request in asked] == ["refresh_token"]
    return "refreshed"


def _early(case: Case) -> str:
    case.open()
    found = case.obtain()
    seconds = found["exp"] - found["iat"] - _EARLY_S
    case.do("age", seconds=seconds)
    case.site.advance(seconds)
    return _call_again(case, found)


def _expiry(case: Case) -> str:
    case.open()
    found = case.obtain()
    seconds = found["exp"] - found["iat"] + 1
    case.do("age", seconds=seconds)
    case.site.advance(seconds)
    return _call_again(case, found)


def _ended(case: Case) -> str:
    case.open()
    found = case.obtain()
    case.site.end(case.tenant, found["sid"])
    return _call_again(case, found)


def _call_again(case: Case, before: dict[str, Any]) -> str:
    mark = len(case.site.recorder.asked)
    status, found = case.call()
    asked = [request.grant_type for request in case.site.recorder.since(mark) if request.status == 200]
    if not asked:
        assert status == (204 if found["active"] else 401)
        return "keeps" if found["active"] else "nothing"
    assert status == 204
    assert (found["sid"] == before["sid"]) == (asked[-1] == "refresh_token")
    return {"refresh_token": "refreshed", "client_credentials": "new grant"}[asked[-1] or ""]


def _no_seat(status: int) -> Callable[[Case], str]:
    def steps(case: Case) -> str:
        case.open(tenant=f"Full{status}")
        with case.site.no_seat(case.tenant):
            answer = case.program.ask("token")
        true = {
            "code": _NO_SEAT,
            "status": status,
            "reason": "all_in_use",
            "retry_after": SESSION_TTL_S,  # the other has the seat since now, and the clock stands still
        }
        return visible(answer, true)

    return steps


def _wrong_secret(case: Case) -> str:
    case.open(who=_WRONG)
    return visible(case.try_token(), {"code": "invalid_client", "status": 401})


def visible(answer: dict[str, Any], true: dict[str, Any]) -> str:
    """What a caller can see of an error. What it sees is true, or this is a bug of somebody."""
    assert not answer["ok"], "there must be no token"
    if UNSUPPORTED in answer:
        return UNSUPPORTED
    wrong = {name: answer[name] for name, value in true.items() if answer.get(name) not in (None, value)}
    assert not wrong, f"the caller is reported as {wrong}, and is {true}"
    seen = [name for name in _VISIBLE if answer.get(name) is not None]
    if "code" not in seen and true["code"] in str(answer.get("text")):
        seen = ["text", *seen]
    return " ".join(seen) or "nothing"


def _special(who: Who) -> Callable[[Case], str]:
    def steps(case: Case) -> str:
        mark = len(case.site.recorder.asked)
        case.open(who=who, auth="basic")
        answer = case.try_token()
        sent = [request.basic for request in case.site.recorder.since(mark) if request.basic is not None]
        if not sent:
            return UNSUPPORTED if UNSUPPORTED in answer else f"raises {answer['raised']}"
        how = spelling(sent[0], who)
        return how if answer["ok"] else f"{how}: {answer.get('code') or answer['raised']}"

    return steps


def spelling(sent: bytes, who: Who) -> str:
    """How credentials were put into Basic."""
    plain = f"{who.client_id}:{who.secret}"
    if sent == plain.encode():
        return "as they are"
    if sent == plain.encode("latin-1"):
        return "as they are, in Latin-1"
    parts = [unquote_to_bytes(part.replace(b"+", b" ")).decode() for part in sent.split(b":")]
    return "form-encoded" if parts == [who.client_id, who.secret] else f"as {sent!r}"


def _special_body(case: Case) -> str:
    case.open(who=ALL_SPECIAL, auth="body")
    mark = len(case.site.recorder.asked)
    answer = case.try_token()
    if not answer["ok"]:
        return (
            UNSUPPORTED if UNSUPPORTED in answer else str(answer.get("code") or f"raises {answer['raised']}")
        )
    assert [request.by for request in case.site.recorder.since(mark)] == ["body"]
    return "works"


def _logoff(case: Case) -> str:
    case.open()
    sid = case.obtain()["sid"]
    token = case.site.grant(case.tenant, ORDINARY)["access_token"]
    mark = len(case.site.recorder.asked)
    assert case.do("logoff")["status"] == 200
    used = case.site.recorder.since(mark, "/logoff")[-1].token or ""
    assert case.site.introspected(case.tenant, used) == {"active": False}
    assert case.site.introspected(case.tenant, token)["sid"] != sid, "another session goes on"
    return "logged off"


def _revoke(case: Case) -> str:
    case.open()
    case.obtain()
    _, before = case.call()
    assert before["active"]
    answer = case.program.ask("revoke")
    if UNSUPPORTED in answer:
        return UNSUPPORTED
    status, found = case.call()
    assert (status, found) == (401, {"active": False}), (status, found)
    return "revoked" if answer["ok"] else f"revoked, raises {answer['raised']}"


def _introspect(case: Case) -> str:
    case.open()
    case.obtain()
    assert case.do("introspect")["active"] is True
    return "active"


def _discovery(case: Case) -> str:
    case.open()
    found = case.do("discover")["token_endpoint"]
    assert found == case.site.urls(case.tenant, direct=True)["token_url"], found
    case.do("token")
    return "found"


def _private_key_jwt(case: Case) -> str:
    case.tenant = PLAIN
    options = {
        "client_id": SIGNING,
        "auth": "private_key_jwt",
        "private_key": case.site.private_key,
        "scope": None,
    }
    case.do("open", **case.site.urls(PLAIN, direct=True), **options)
    case.do("token")
    case.do("token")  # another assertion: Licet takes each once
    status, _ = case.call()
    assert status == 204
    return "token"


_STEPS: dict[str, Callable[[Case], str]] = {
    "private_key_jwt": _private_key_jwt,
    "token": _token,
    "default_auth": _default_auth,
    "view": _view,
    "refresh": _refresh,
    "early": _early,
    "expiry": _expiry,
    "ended": _ended,
    **{f"no_seat_{status}": _no_seat(status) for status in (400, 429, 503)},
    "wrong_secret": _wrong_secret,
    "special_basic": _special(SPECIAL),
    "accent_basic": _special(ACCENT),
    "colon_basic": _special(COLON),
    "special_body": _special_body,
    "logoff": _logoff,
    "revoke": _revoke,
    "introspect": _introspect,
    "discovery": _discovery,
}
