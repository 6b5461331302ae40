"""The examples behind a real Apache, which introspects, and behind the guard."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from support.ports import free_port
from support.server.proxies import EXAMPLES, fronting, started
from support.server.running import PATIENCE_S, RunningServer


class Site(NamedTuple):
    """Licet, and what stands before the jobs API."""

    licet: RunningServer
    jobs: httpx.Client

    def bearer(self, client_id: str = "TestClientId", scope: str = "all") -> dict[str, str]:
        """The header of a request with a new token."""
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = self.licet.ask("Jim_Test/token", client_id, **form).raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


pytestmark = pytest.mark.wide  # nginx is what most take


@pytest.fixture(scope="module", params=["apache", "guard"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of each, for all tests of this file, which leave it as they found it."""
    base = tmp_path_factory.mktemp("site")
    (base / "licet").mkdir()
    licet, api = free_port(), free_port()
    program = "jobs.py" if request.param == "apache" else "with_guard.py"
    api_command = [sys.executable, str(EXAMPLES / "jobs_api" / program), str(api)]
    if request.param == "guard":
        api_command.append(f"http://127.0.0.1:{licet}/Jim_Test")
    with RunningServer(base / "licet", port=licet) as running, started(api_command, api, base / "api"):
        if request.param == "guard":
            with httpx.Client(base_url=f"http://127.0.0.1:{api}", timeout=PATIENCE_S) as http:
                yield Site(running, http)
        else:
            with (
                fronting("apache", base / "front", licet, api) as url,
                httpx.Client(base_url=url, timeout=PATIENCE_S) as http,
            ):
                yield Site(running, http)


def test_nobody_gets_in_without_a_live_token(site: Site) -> None:
    """RFC 6750 3: whatever the method, and with a challenge."""
    for headers in ({}, {"Authorization": "Bearer lca_no"}, {"Authorization": "Basic QXBpOnBhc3N3b3Jk"}):
        for method in ("GET", "POST"):
            answer = site.jobs.request(method, "/jobs", headers=headers)
            assert answer.status_code == 401, headers
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scope", ["all", "view all", "all view"])
def test_a_token_that_may_write_writes_and_the_api_hears_whose_it_is(site: Site, scope: str) -> None:
    """Not whose the client says, and not nobody's: RFC 9110 7.6.1 lets a client name what goes on the way."""
    who = site.bearer("Client1", scope)
    for more in ({"X-Licet-User": "forged"}, {"Connection": "close, X-Licet-User"}):
        added = site.jobs.post("/jobs", headers={**who, **more}, json={"title": "Mow"})
        assert (added.status_code, added.json()) == (201, {"title": "Mow", "added by": "C1"})


@pytest.mark.parametrize("name", ["X_Licet_User", "X_Licet-User", "X-Licet_User"])
@pytest.mark.parametrize("value", ["forged", ""])
def test_a_name_that_is_the_same_to_the_api_is_refused_or_gone(site: Site, name: str, value: str) -> None:
    """PEP 3333: to a WSGI application X_Licet_User is X-Licet-User."""
    added = site.jobs.post("/jobs", headers={**site.bearer("Client1"), name: value}, json={"title": "Mow"})
    assert added.status_code == 403 or added.json()["added by"] == "C1"


def test_a_view_token_does_not_write_by_the_name_of_another_method(site: Site) -> None:
    """In the spellings that are one to a WSGI application; those with hyphens do not get to the API."""
    headers = {**site.bearer(scope="view"), "X_HTTP_Method-Override": "DELETE"}
    assert site.jobs.get("/jobs", headers=headers).status_code == 403


def test_a_refresh_token_lets_nobody_in(site: Site) -> None:
    """RFC 7662 2.2: it is live as well; its token_type tells that it is not for an API."""
    form = {"grant_type": "client_credentials", "scope": "all"}
    refresh = site.licet.ask("Jim_Test/token", **form).raise_for_status().json()["refresh_token"]
    for method in ("GET", "POST"):
        answer = site.jobs.request(method, "/jobs", headers={"Authorization": f"Bearer {refresh}"})
        assert answer.status_code in {401, 403}


def test_a_view_token_reads_and_does_not_write(site: Site) -> None:
    """RFC 6750 3.1: 403."""
    who = site.bearer(scope="view")
    assert site.jobs.get("/jobs", headers=who).status_code == 200
    assert site.jobs.head("/jobs", headers=who).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = site.jobs.request(method, "/jobs", headers=who, json={"title": "no"})
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_token_that_is_logged_off_is_out_at_once(site: Site) -> None:
    """Its seat may be somebody else's in the same moment (L4), as its pool has no hold."""
    who = site.bearer("Client2")
    for method in ("GET", "POST"):
        assert site.jobs.request(method, "/jobs", headers=who, json={"title": "Mow"}).is_success
    site.licet.http.post("/Jim_Test/logoff", headers=who).raise_for_status()
    assert site.jobs.get("/jobs", headers=who).status_code == 401


def test_while_licet_is_down_nobody_new_gets_in(site: Site) -> None:
    """It fails closed."""
    who = site.bearer("Client3")
    site.licet.kill()
    assert site.jobs.get("/jobs", headers=who).status_code in {401, 503}
    site.licet.start()


@pytest.mark.parametrize("name", ["apache", "guard"])
def test_the_one_line_of_the_readme_runs_it(name: str, tmp_path: Path) -> None:
    """examples/README.md."""
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "run.py"), name, "--port", str(port)]
    with started(command, port, tmp_path / "log", TMPDIR=str(tmp_path)):
        assert httpx.get(f"http://127.0.0.1:{port}/jobs", timeout=PATIENCE_S).status_code == 401
    assert [it.name for it in tmp_path.iterdir()] == ["log"]  # all that it started has ended
