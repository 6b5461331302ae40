"""What a resource server lets through: a request with each kind of token, as a short string (README.md)."""

from collections.abc import Callable

import httpx

from interop.manifest import PROTECTIONS
from interop.program import Program
from interop.site import API, ORDINARY, SPECIAL, Site, Who

_OTHER_TENANT = "Full400"
_PATIENCE_S = 30.0
_TOLERANCE_S = 60  # libraries let a clock be wrong by some seconds


class Protected:
    """A resource server at a site, which takes the tokens of `tenant`; `start` makes one more of it."""

    def __init__(
        self, site: Site, tenant: str, program: Program, start: Callable[[], Program], *, credentials: bool
    ) -> None:
        self.site = site
        self.tenant = tenant
        self.start = start
        self.credentials = credentials
        self.program = program
        self.url = self.serve(self.program, API)

    def serve(self, program: Program, who: Who) -> str:
        """Have it serve, with these credentials at Licet; where."""
        urls = self.site.urls(self.tenant, direct=True)
        answer = program.ask("serve", **urls, client_id=who.client_id, client_secret=who.secret)
        url: str = answer["url"]
        return url

    def token(self, tenant: str = "", who: Who = ORDINARY, **form: str) -> str:
        """A new access token."""
        granted: str = self.site.grant(tenant or self.tenant, who, **form)["access_token"]
        return granted

    def ask(self, token: str | None, method: str = "GET", url: str = "") -> httpx.Response:
        """The answer to a request with this token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, f"{url or self.url}/jobs", headers=headers, timeout=_PATIENCE_S)


def run(protected: Protected) -> dict[str, str]:
    """What each scenario came to."""
    return {name: _STEPS[name](protected) for name in PROTECTIONS}


def _live(protected: Protected) -> str:
    granted = protected.site.grant(protected.tenant, ORDINARY)
    _refused(protected.ask(granted["refresh_token"]))  # it is live, and for no API
    token = granted["access_token"]
    return f"GET {protected.ask(token).status_code}, POST {protected.ask(token, 'POST').status_code}"


def _view(protected: Protected) -> str:
    token = protected.token(scope="view")
    return f"GET {protected.ask(token).status_code}, POST {protected.ask(token, 'POST').status_code}"


def _none(protected: Protected) -> str:
    answer = protected.ask(None)
    scheme = answer.headers.get("www-authenticate", "no challenge").split()[0]
    return f"{answer.status_code} {scheme}"


def _other_tenant(protected: Protected) -> str:
    return _refused(protected.ask(protected.token(_OTHER_TENANT)))


def _ended(protected: Protected) -> str:
    token = protected.token()
    assert protected.ask(token).is_success
    protected.site.end(protected.tenant, protected.site.introspected(protected.tenant, token)["sid"])
    answer = protected.ask(token)
    return "passes for a while" if answer.is_success else _refused(answer)


def _expired(protected: Protected) -> str:
    token = protected.token()
    introspected = protected.site.introspected(protected.tenant, token)
    seconds = introspected["exp"] - introspected["iat"] + _TOLERANCE_S
    protected.site.advance(seconds)
    protected.program.ask("age", seconds=seconds)
    return _refused(protected.ask(token))


def _refused(answer: httpx.Response) -> str:
    assert not answer.is_success, "this token must not pass"
    return str(answer.status_code)


def _special_credentials(protected: Protected) -> str:
    if not protected.credentials:
        return "none needed"
    with protected.start() as program:
        answer = protected.ask(protected.token(), url=protected.serve(program, SPECIAL))
    return "works" if answer.is_success else str(answer.status_code)


def _identity(protected: Protected) -> str:
    introspected: dict[str, str] = protected.ask(protected.token(who=SPECIAL)).raise_for_status().json()
    return introspected["client"] or "the user alone"


def _store_down(protected: Protected) -> str:
    token = protected.token()
    with protected.site.store_down():
        answer = protected.ask(token)
    return "passes" if answer.is_success else str(answer.status_code)


_STEPS: dict[str, Callable[[Protected], str]] = {
    "live": _live,
    "none": _none,
    "view": _view,
    "other_tenant": _other_tenant,
    "ended": _ended,
    "special_credentials": _special_credentials,
    "identity": _identity,
    "store_down": _store_down,
    "expired": _expired,
}
