"""What was just added to the set-up counts for the next request: who adds a client tries it at once.

The server is told of no change here, and has had no time for its regular look.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from licet.cli.run.demo import PASSWORD, TENANT
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.setup.change import SetupChange, changing
from support.server.running import PASSWORD_HASH, RunningServer
from support.web.signing import Signer, claims, proof

GRANT = {"grant_type": "client_credentials"}
TIMES = 5  # the regular look may come in between once, and hardly each time
NUMBERS = count(1)
SIGNER = Signer.new("ES256")

# What is added, and the request that needs it.
Added = Callable[[RunningServer, SetupChange, str], Callable[[], httpx.Response]]


def password(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A client with the password of its user."""
    add_client(change, TENANT, name)
    return lambda: server.ask(f"{TENANT}/token", name, PASSWORD, **GRANT, scope="view")


def secret(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A client with a generated secret."""
    made = ClientSecrets(read_keyring(server.data / FILE_NAME).pepper).generate()
    add_client(change, TENANT, name)
    change.tenant(TENANT).add_secret(name, made)
    return lambda: server.ask(f"{TENANT}/token", name, made.secret, **GRANT, scope="view")


def key(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A client with a key, by which it signs assertions."""
    add_client(change, TENANT, name)
    change.tenant(TENANT).add_key(name, SIGNER.key)
    return lambda: signed(server, TENANT, name)


def scope(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A scope."""
    change.tenant(TENANT).add_scope(name, read_only=True)
    return lambda: server.ask(f"{TENANT}/token", **GRANT, scope=name)


def tenant(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A tenant with a client."""
    change.add_tenant(name, seats=1)
    add_client(change, name, "TestClientId")
    return lambda: server.ask(f"{name}/token", **GRANT)


def metadata(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A tenant, whose metadata a library reads first of all."""
    change.add_tenant(name, seats=1)
    return lambda: server.http.get(f"/.well-known/oauth-authorization-server/{name}")


def keys(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A tenant, whose keys an API reads first of all."""
    change.add_tenant(name, seats=1)
    return lambda: server.http.get(f"/{name}/jwks.json")


def permission(server: RunningServer, change: SetupChange, name: str) -> Callable[[], httpx.Response]:
    """A scope that a client may have which had to do with fewer."""
    change.tenant(TENANT).add_scope(name, read_only=True)
    change.tenant(TENANT).set_client("Client2", scopes=frozenset({"view", name}))
    return lambda: server.ask(f"{TENANT}/token", "Client2", PASSWORD, **GRANT, scope=name)


def add_client(change: SetupChange, at: str, name: str) -> None:
    initials = f"{next(NUMBERS):03}"
    change.tenant(at).add_user(initials, password_hash=PASSWORD_HASH)
    change.tenant(at).add_client(name, user=initials)


def signed(server: RunningServer, at: str, client_id: str, end: str = "") -> httpx.Response:
    form = proof(SIGNER.sign(claims(client_id, f"{server.url}/{at}{end}")))
    return server.http.post(f"/{at}/token", data={**form, **GRANT})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.mark.parametrize(
    "added", [password, secret, key, scope, permission, tenant, metadata, keys], ids=lambda it: it.__name__
)
def test_what_was_added_a_moment_ago_counts(served: RunningServer, added: Added) -> None:
    for _ in range(TIMES):
        name = f"New{next(NUMBERS)}"
        with served.store() as store, changing(store, "a test") as change:
            ask = added(served, change, name)
        answer = ask()
        assert answer.status_code == 200, answer.text


def test_a_line_of_the_shell_after_the_other(served: RunningServer) -> None:
    """`licet client secret add`, then the first request with what it has printed."""
    client, initials = f"New{next(NUMBERS)}", f"{next(NUMBERS):03}"
    run(served.data, "user", "add", initials, "--no-password")
    run(served.data, "client", "add", client, "--user", initials)
    shown = run(served.data, "client", "secret", "add", client).split()
    (made,) = (word for word in shown if word.startswith("lcs_"))
    answer = served.ask(f"{TENANT}/token", client, made, **GRANT, scope="view")
    assert answer.status_code == 200, answer.text


def test_a_tenant_that_was_just_added_is_as_strict_as_it_is_set(served: RunningServer) -> None:
    """FAPI 2.0 5.3.2.1: the audience is the issuer, also for the first request."""
    for end, status in (("/token", 401), ("", 200)):
        name = f"New{next(NUMBERS)}"
        with served.store() as store, changing(store, "a test") as change:
            change.add_tenant(name, seats=1, strict_assertions=True)
            add_client(change, name, "TestClientId")
            change.tenant(name).add_key("TestClientId", SIGNER.key)
        assert signed(served, name, "TestClientId", end).status_code == status


def test_who_may_no_longer_authenticate_gets_no_scope_that_was_added_with_that(
    served: RunningServer,
) -> None:
    """The look for the scope shows that the secret is removed."""
    name, made = f"New{next(NUMBERS)}", ClientSecrets(read_keyring(served.data / FILE_NAME).pepper).generate()
    with served.changing() as change:
        add_client(change, TENANT, name)
        change.tenant(TENANT).add_secret(name, made)
    assert served.ask(f"{TENANT}/token", name, made.secret, **GRANT, scope="view").status_code == 200
    with served.store() as store, changing(store, "a test") as change:
        change.tenant(TENANT).remove_secret(name, made.secret_id)
        change.tenant(TENANT).add_scope(name, read_only=True)
    assert served.ask(f"{TENANT}/token", name, made.secret, **GRANT, scope=name).status_code == 401


def run(data: Path, *words: str) -> str:
    """What a verb of the command line prints."""
    command = [sys.executable, "-m", "licet", *words, "--data", str(data), "--tenant", TENANT]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
