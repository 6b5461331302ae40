"""What the command line changes counts for a server that runs."""

import itertools
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.credentials.keyring import FILE_NAME, KEY_BYTES, Keyring, TokenKey, read_keyring
from licet.credentials.tokens import Tokens
from licet.setup.change import changing
from support.cli.command_line import run
from support.examples import jim_test
from support.server.callers import GRANT, TENANT, in_use, with_secrets
from support.server.operating import VIEW, events, unhurried
from support.server.running import RunningServer
from support.waiting import until


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that the tests of the command line share; each brings its own clients."""
    with unhurried(tmp_path_factory.mktemp("operated")) as running:
        yield running


class CommandLine:
    """The command line at work on the data of a server that runs."""

    def __init__(self, server: RunningServer) -> None:
        self._data = str(server.data)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a verb about the tenant; what it prints."""
        return run(*arguments, "--tenant", TENANT, "--data", self._data, stdin=stdin).stdout

    def run_on_keys(self, *arguments: str) -> str:
        """Run a verb about the keys; what it prints."""
        return run("key", *arguments, "--data", self._data).stdout


@pytest.fixture
def cli(operated: RunningServer) -> CommandLine:
    """The command line."""
    return CommandLine(operated)


class TestChangesWhileItRuns:
    """What the command line changes counts for a server that runs, within a second."""

    def test_a_new_client_is_let_in(self, operated: RunningServer, cli: CommandLine) -> None:
        """Its user and its secret are new as well."""
        cli.run("user", "add", "N1", "--password-stdin", stdin="a-new-password\n")
        cli.run("client", "add", "Newcomer", "--user", "N1")
        secret = cli.run("client", "secret", "add", "Newcomer").strip()
        for proof in (secret, "a-new-password"):
            until(partial(_is_let_in, operated, "Newcomer", proof))

    def test_a_changed_password_replaces_the_old_one(self, operated: RunningServer, cli: CommandLine) -> None:
        """Also where the old one is remembered; sessions go on."""
        assert _is_let_in(operated, "Client1", PASSWORD)
        before = operated.ask(f"{TENANT}/token", "Client1", PASSWORD, **GRANT, scope="view").json()
        cli.run("user", "password", "C1", "--password-stdin", stdin="another-password\n")
        until(lambda: _introspects(operated, "Client1", PASSWORD) == 401)
        assert _is_let_in(operated, "Client1", "another-password")
        assert _is_active(operated, before["access_token"])

    def test_a_client_that_is_disabled_is_shut_out_and_its_tokens_end_at_once(
        self, operated: RunningServer, cli: CommandLine
    ) -> None:
        """L4: not within a second, but when the command has done its work."""
        (client,) = with_secrets(operated, ["Disabled"]).values()
        header = {"Authorization": client}
        granted = operated.http.post(f"/{TENANT}/token", data=GRANT, headers=header).json()
        assert in_use(operated) == 1
        cli.run("client", "disable", "Disabled", "--yes")
        assert not _is_active(operated, granted["access_token"])
        assert in_use(operated) == 0
        refused = operated.http.post(f"/{TENANT}/token", data=GRANT, headers=header)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        cli.run("client", "enable", "Disabled")
        until(
            lambda: operated.http.post(f"/{TENANT}/token", data=VIEW, headers=header).status_code == 200,
        )
        assert not _is_active(operated, granted["access_token"])

    def test_a_session_that_is_ended_is_over_at_once(self, operated: RunningServer, cli: CommandLine) -> None:
        """L4."""
        granted = operated.ask(f"{TENANT}/token", "Client2", PASSWORD, **VIEW).json()
        cli.run("session", "end", "--client", "Client2", "--yes")
        assert not _is_active(operated, granted["access_token"])

    def test_seats_that_are_lowered_or_raised_count_for_the_next_grant(
        self, operated: RunningServer, cli: CommandLine
    ) -> None:
        """L6: sessions stay, no new seat is given until it fits, and the overuse is shown."""
        clients = with_secrets(operated, [f"Seated{n}" for n in range(4)])
        grants = [partial(_grant_of, operated, client) for client in clients.values()]
        try:
            tokens = [grant().json() for grant in grants[:3]]
            cli.run("pool", "set", "full", "--seats", "2")
            assert all(_is_active(operated, token["access_token"]) for token in tokens)
            refused = grants[3]().json()
            assert (refused["reason"], refused["seats"], refused["in_use"]) == ("all_in_use", 2, 3)
            shown = json.loads(cli.run("seats", "--json"))
            assert (shown["pools"][0]["in_use"], shown["pools"][0]["overuse"]) == (3, 1)
            cli.run("pool", "set", "full", "--seats", "4")
            assert grants[3]().status_code == 200
        finally:
            cli.run("session", "end", "--all", "--yes")
            cli.run("pool", "set", "full", "--seats", "5")

    def test_pools_that_are_changed_while_a_grant_is_under_way_are_no_fault_of_the_server(
        self, operated: RunningServer, cli: CommandLine
    ) -> None:
        """L20: 503, and the next try gets a seat of the new ones; the log has no error."""
        cli.run("pool", "add", "spare", "--seats", "5")
        cli.run("scope", "add", "moved", "--pools", "spare")
        (client,) = with_secrets(operated, ["Mover"]).values()

        def ask() -> httpx.Response:
            header = {"Authorization": client}
            return operated.http.post(f"/{TENANT}/token", data={**GRANT, "scope": "moved"}, headers=header)

        until(lambda: ask().status_code == 200)
        orders = itertools.cycle([("full", "spare"), ("spare", "full"), ("full",), ("spare",)])

        answers = []

        def is_refused_beside_a_change() -> bool:
            with operated.store() as store, changing(store, "a test") as change:
                change.tenant(TENANT).set_scope("moved", pools=next(orders))
            answers.append(ask())
            return answers[-1].status_code != 200

        until(is_refused_beside_a_change)
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
        assert refused.headers["retry-after"] == "1"
        until(lambda: ask().status_code == 200)
        (line,) = (
            it for it in events(operated.log()) if it.get("request_id") == refused.json()["request_id"]
        )
        assert (line["event"], line["level"]) == ("refused", "info")
        assert line["detail"] == "The licence pool of this scope was changed just now; ask again."
        cli.run("session", "end", "--client", "Mover", "--yes")

    def test_a_new_key_signs_and_an_old_one_is_accepted_until_it_is_pruned(
        self, operated: RunningServer, cli: CommandLine
    ) -> None:
        """3.4: sign with the newest, accept the older."""
        old = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **VIEW).json()
        cli.run_on_keys("rotate")
        newest = _of_the_newest(operated)
        until(
            lambda: newest.read_access(_view(operated)["access_token"], jim_test()) is not None,
        )
        assert newest.read_access(old["access_token"], jim_test()) is None
        assert _is_active(operated, old["access_token"])
        renewed = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(old)).json()
        assert newest.read_refresh(renewed["refresh_token"], 1) is not None
        cli.run_on_keys("prune", "--yes")
        until(lambda: not _is_active(operated, old["access_token"]))
        refused = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(old)).json()
        assert refused["error"] == "invalid_grant"
        logoff = operated.http.post(
            f"/{TENANT}/logoff", headers={"Authorization": f"Bearer {old['access_token']}"}
        )
        assert (logoff.status_code, logoff.json()["error"]) == (401, "invalid_token")
        # The session is the same and lives on: only what the old key signed is worth nothing.
        assert _is_active(operated, renewed["access_token"])
        assert operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(renewed)).status_code == 200

    def test_keys_that_are_damaged_while_it_runs_change_nothing_until_they_are_mended(
        self, operated: RunningServer, cli: CommandLine
    ) -> None:
        """A fault is logged once, and the server goes on."""
        file = operated.data / FILE_NAME
        kept = file.read_bytes()
        before = _view(operated)
        faults = operated.log().count("is damaged")
        file.write_bytes(b"{")
        until(lambda: operated.log().count("is damaged") > faults)
        assert _is_active(operated, before["access_token"])
        assert _is_active(operated, _view(operated)["access_token"])
        file.write_bytes(kept)
        cli.run_on_keys("rotate")
        newest = _of_the_newest(operated)
        until(
            lambda: newest.read_access(_view(operated)["access_token"], jim_test()) is not None,
        )
        assert operated.log().count("is damaged") == faults + 1


def _view(server: RunningServer) -> dict[str, Any]:
    granted: dict[str, Any] = server.ask(f"{TENANT}/token", "Client4", PASSWORD, **VIEW).json()
    return granted


def _grant_of(server: RunningServer, authorization: str) -> httpx.Response:
    return server.http.post(f"/{TENANT}/token", data=GRANT, headers={"Authorization": authorization})


def _refresh(granted: dict[str, Any]) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}


def _is_let_in(server: RunningServer, client_id: str, secret: str) -> bool:
    return server.ask(f"{TENANT}/token", client_id, secret, **VIEW).status_code == 200


def _introspects(server: RunningServer, client_id: str, secret: str) -> int:
    """400 for one that may not, 401 for one that cannot authenticate; it makes the server commit nothing."""
    return server.ask(f"{TENANT}/introspect", client_id, secret, token="lca_0").status_code


def _is_active(server: RunningServer, token: str) -> bool:
    return bool(server.ask(f"{TENANT}/introspect", "Api", token=token).json()["active"])


def _of_the_newest(server: RunningServer) -> Tokens:
    """What reads only tokens that the newest key signed."""
    newest: TokenKey = read_keyring(server.data / FILE_NAME).newest
    return Tokens(Keyring(token_keys=(newest,), pepper=bytes(KEY_BYTES)))
