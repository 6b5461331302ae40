"""Keycloak in production mode, on PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx

from bench.peers.contract import (
    FORM,
    SECRET,
    Peer,
    Row,
    Work,
    Works,
    client_name,
    form_rows,
    grant_rows,
    granted,
    live,
    refreshed,
)
from bench.peers.running import (
    INSTALLED,
    POSTGRES_WORDS,
    Database,
    answers,
    copy_rows,
    count,
    free_ports,
    fresh,
    java_home,
    java_words,
    keep,
    kept,
    postgres,
    run,
    running,
    tool,
)

NAME = "keycloak"
NEEDS = ("mvn", "java")
VERSION = "26.7.3"
SETTINGS = f"""\
The distribution from Maven. Production mode: `build` for PostgreSQL and one node (--cache=local), then
`start --optimized`. {POSTGRES_WORDS}; 20 connections, open from the start. A heap of 2 GB, log level warn.
The caches of clients and users hold 100,000 entries, because the default of 10,000 is not enough for
10,000 clients. A separate realm that signs tokens with ES256, which is cheaper than the default RS256;
clients with few scopes and no roles, so that tokens are short. Secrets are stored in clear, as always in
Keycloak. Clients are rows copied in SQL, because one call of the administrative interface for each would
take long."""
_REALM = "/realms/bench/protocol/openid-connect"
_CONNECTIONS = 20
# Only a client in the audience of a token may introspect it: client 0 is in the audience of all tokens.
_SCOPE = {
    "name": "bench",
    "protocol": "openid-connect",
    "protocolMappers": [
        {
            "name": "subject",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-sub-mapper",
            "config": {"access.token.claim": "true", "introspection.token.claim": "true"},
        },
        {
            "name": "audience",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": client_name(0), "access.token.claim": "true"},
        },
    ],
}


def install() -> None:
    """Fetch the distribution and build it for PostgreSQL."""
    directory = fresh(NAME)
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    maven = [tool("mvn"), "-B", "-q", "dependency:copy", f"-Dartifact={artifact}"]
    run([*maven, f"-DoutputDirectory={directory}", "-Dmdep.useBaseVersion=true"], cwd=directory)
    archive = directory / f"keycloak-quarkus-dist-{VERSION}.zip"
    shutil.unpack_archive(archive, directory)
    archive.unlink()
    run(
        ["sh", _program(), "build", "--db=postgres", "--cache=local", "--health-enabled=false"],
        env={"JAVA_HOME": str(java_home())},
    )
    keep(directory, VERSION)


def peers() -> list[Peer]:
    """Its set-ups, if it is installed: the default, and one with a session for each grant."""
    version = kept(NAME)
    if version is None:
        return []
    settings = f"{java_words()}. {SETTINGS}"
    return [
        Peer(
            NAME,
            version,
            f"{settings} The grant by the default: a signed token, and no session.",
            "",
            partial(_start, "false"),
            granted,
            warm_up_s=45,
        ),
        Peer(
            f"{NAME}, with sessions",
            version,
            f"{settings} 'Use refresh tokens for client credentials grant' is on: a grant begins a session, "
            "as in Licet. A refresh token may be used again, the default.",
            "a session and a client's session for every grant, in PostgreSQL, synced at commit",
            partial(_start, "true"),
            refreshed,
            warm_up_s=45,
        ),
    ]


def _program() -> str:
    return str(INSTALLED / NAME / f"keycloak-{VERSION}" / "bin" / "kc.sh")


@contextmanager
def _start(sessions: str, clients: int) -> Iterator[Works]:
    with postgres() as server:
        server.create_database("keycloak")
        [port] = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        with running(_command(server, port), partial(_ready, url), env=_environment()):
            _set_up(server, url, sessions, clients)
            if sessions == "true":
                grant = Work(url, grant_rows(f"{_REALM}/token", clients), refreshed)
                stored = partial(count, server, "keycloak", "offline_client_session")
                yield Works(url, grant, _introspect, _refresh, stored, server.pid)
            else:
                grant = Work(url, grant_rows(f"{_REALM}/token", clients), granted)
                yield Works(url, grant, _introspect, database_pid=server.pid)


def _command(server: Database, port: int) -> list[str]:
    return [
        "sh",
        _program(),
        "start",
        "--optimized",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        "--hostname-strict=false",
        f"--db-url=jdbc:postgresql://127.0.0.1:{server.port}/keycloak",
        "--db-username=postgres",
        "--db-password=trusted",
        f"--db-pool-initial-size={_CONNECTIONS}",
        f"--db-pool-min-size={_CONNECTIONS}",
        f"--db-pool-max-size={_CONNECTIONS}",
        "--cache-embedded-realms-max-count=100000",
        "--cache-embedded-users-max-count=100000",
        "--log-level=warn",
    ]


def _environment() -> dict[str, str]:
    return {
        "JAVA_HOME": str(java_home()),
        "JAVA_OPTS_KC_HEAP": "-Xms2g -Xmx2g",
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": SECRET,
    }


def _ready(url: str) -> None:
    httpx.get(f"{url}/realms/master").raise_for_status()


def _set_up(server: Database, url: str, sessions: str, clients: int) -> None:
    """Create a realm with one client, and copy the client's rows for all others."""
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": SECRET}
    answer = httpx.post(f"{url}/realms/master/protocol/openid-connect/token", data=form, timeout=60)
    answer.raise_for_status()
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    client = {
        "clientId": client_name(0),
        "secret": SECRET,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "fullScopeAllowed": False,
        "defaultClientScopes": ["bench"],
        "optionalClientScopes": [],
        "attributes": {"client_credentials.use_refresh_token": sessions},
    }
    realm = {
        "realm": "bench",
        "enabled": True,
        "accessTokenLifespan": 1200,
        "defaultSignatureAlgorithm": "ES256",
        "clientScopes": [_SCOPE],
        "clients": [client],
    }
    httpx.post(f"{url}/admin/realms", headers=headers, json=realm, timeout=60).raise_for_status()
    _copy_client(server, clients)


def _copy_client(server: Database, clients: int) -> None:
    [[first]] = server.execute("SELECT id FROM client WHERE client_id = 'client0'", "keycloak")
    user_where = f"service_account_client_link = '{first}'"
    [[user]] = server.execute(f"SELECT id FROM user_entity WHERE {user_where}", "keycloak")  # noqa: S608
    other, other_user = "'client-' || n", "'user-' || n"
    account = {
        "id": other_user,
        "username": "'service-account-client' || n",
        "email_constraint": other_user,
        "service_account_client_link": other,
    }
    for table, where, changes in (
        ("client", f"id = '{first}'", {"id": other, "client_id": "'client' || n"}),
        ("client_attributes", f"client_id = '{first}'", {"client_id": other}),
        ("client_scope_client", f"client_id = '{first}'", {"client_id": other}),
        ("user_entity", user_where, account),
        ("user_role_mapping", f"user_id = '{user}'", {"user_id": other_user}),
    ):
        copy_rows(server, "keycloak", table, changes, clients, where=where)


def _introspect(grant: Work) -> Work:
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(grant.url, form_rows(f"{_REALM}/token/introspect", forms), live)


def _refresh(grant: Work) -> Work:
    """Each client refreshes its own session: `answers` are in the order of the rows."""
    rows = []
    for asked, answer in zip(grant.rows, answers(grant), strict=False):
        body = f"grant_type=refresh_token&refresh_token={answer['refresh_token']}"
        rows.append(Row("POST", f"{_REALM}/token", {**asked.headers, "Content-Type": FORM}, body))
    return Work(grant.url, rows, refreshed)
