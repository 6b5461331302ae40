"""The URL of a store in PostgreSQL: encrypted and verified, unless it says otherwise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from licet.cli import app
from licet.store.errors import SchemaOutdated, StoreUnavailable
from licet.store.postgres.store import PostgresStore
from licet.store.postgres.url import is_local, parameters_of, weaknesses_of_url
from support.server.nursery import Program
from support.store.postgres import PASSWORD, WARY, Postgres
from support.store.tls_front import Certificate, Impostor, SecureImpostor, TlsFront, make_certificate

VARIABLES = ("PGSSLMODE", "PGREQUIREAUTH", "PGSSLROOTCERT", "PGSSLCERT", "PGHOST", "PGHOSTADDR", "PGSERVICE")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """The database's own."""
    return make_certificate(tmp_path / "tls")


class TestWhatIsAskedFor:
    """The parameters that the driver gets."""

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://licet@db.example.com/licet",
            "postgresql://licet@10.0.0.2/licet",
            "postgresql://licet@localhost,db.example.com/licet",
            "postgresql://licet@localhost/licet?hostaddr=10.0.0.2",
            "postgresql://licet@db.example.com/licet?hostaddr=127.0.0.1",
            "postgresql://licet@[2001:db8::1]/licet",
            "postgresql://localhost.example.com/licet",
            "postgresql:///licet?service=production",
        ],
    )
    def test_another_machine_has_to_show_a_certificate_and_gets_no_password(self, url: str) -> None:
        """The defaults of libpq are `prefer`, and any way to authenticate."""
        found = parameters_of(url)
        assert found["sslmode"] == "verify-full"
        assert found["require_auth"] == "scram-sha-256"
        assert Path(found["sslrootcert"]).is_file()
        assert weaknesses_of_url(url) == []

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql:///licet",
            "postgresql://licet@localhost/licet",
            "postgresql://licet@127.0.0.1/licet",
            "postgresql://licet@127.1.2.3,[::1]/licet",
            "postgresql://%2Fvar%2Frun%2Fpostgresql/licet",
        ],
    )
    def test_this_machine_is_asked_as_libpq_does(self, url: str) -> None:
        """Nothing leaves the machine."""
        assert is_local(parameters_of(url))
        assert not parameters_of(url).keys() & {"sslmode", "require_auth", "sslrootcert"}
        assert weaknesses_of_url(url) == []

    def test_a_host_of_the_environment_is_another_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A URL without a host takes libpq's PGHOST."""
        monkeypatch.setenv("PGHOST", "db.example.com")
        assert parameters_of("postgresql:///licet")["sslmode"] == "verify-full"

    def test_what_the_url_says_counts(self) -> None:
        """Each parameter alone; the others keep their secure defaults."""
        found = parameters_of("postgresql://db.example.com/licet?sslmode=require")
        assert (found["sslmode"], found["require_auth"]) == ("require", "scram-sha-256")
        found = parameters_of("postgresql://db.example.com/licet?require_auth=md5&sslrootcert=mine.pem")
        assert found["sslmode"] == "verify-full"
        assert (found["require_auth"], found["sslrootcert"]) == ("md5", "mine.pem")

    def test_what_the_environment_says_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Containers are often set so."""
        monkeypatch.setenv("PGSSLMODE", "verify-ca")
        monkeypatch.setenv("PGSSLROOTCERT", "/run/secrets/root.crt")
        found = parameters_of("postgresql://db.example.com/licet")
        assert not found.keys() & {"sslmode", "sslrootcert"}
        assert found["require_auth"] == "scram-sha-256"

    def test_an_authority_of_the_user_is_where_libpq_looks(self, tmp_path: Path) -> None:
        """Its own default file, if there is one."""
        (tmp_path / ".postgresql").mkdir()
        (tmp_path / ".postgresql" / "root.crt").touch()
        assert "sslrootcert" not in parameters_of("postgresql://db.example.com/licet")

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("sslmode=disable", ["sslmode is disable"]),
            ("sslmode=prefer", ["sslmode is prefer"]),
            ("sslmode=require", ["sslmode is require"]),
            ("sslmode=verify-ca", ["sslmode is verify-ca"]),
            ("require_auth=password", ["require_auth"]),
            ("require_auth=scram-sha-256,md5", ["require_auth"]),
            ("require_auth=none", ["require_auth"]),
            ("require_auth=", ["require_auth"]),
            ("sslmode=allow&require_auth=!gss", ["sslmode is allow", "require_auth"]),
            ("require_auth=none&sslcert=client.pem", []),
            ("require_auth=password&sslcert=client.pem", ["require_auth"]),
            ("require_auth=gss", []),
        ],
    )
    def test_less_than_that_is_found_and_says_what_to_do(self, query: str, said: list[str]) -> None:
        """Without a word of the password."""
        found = weaknesses_of_url(f"postgresql://licet:swordfish@db.example.com/licet?{query}")
        assert len(found) == len(said)
        for weakness, begins in zip(found, said, strict=True):
            assert weakness.problem.startswith(begins)
            assert weakness.advice.startswith("use ")
            assert PASSWORD not in weakness.problem + weakness.advice

    def test_a_weak_environment_is_found_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever said it."""
        monkeypatch.setenv("PGSSLMODE", "prefer")
        [weakness] = weaknesses_of_url("postgresql://db.example.com/licet")
        assert weakness.problem.startswith("sslmode is prefer")


class TestTheConnection:
    """A real handshake, before a real database."""

    def test_a_database_with_the_right_certificate_is_used(
        self, postgres: Postgres, certificate: Certificate
    ) -> None:
        """By SCRAM, within TLS; that it has no tables yet is its own answer."""
        with TlsFront(postgres.port, certificate) as front:
            url = front.url(user=WARY, password=PASSWORD, sslrootcert=certificate.certificate)
            with pytest.raises(SchemaOutdated, match="no tables yet"):
                PostgresStore(url)

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, postgres: Postgres, certificate: Certificate
    ) -> None:
        """The roots of the system do not have it."""
        with (
            TlsFront(postgres.port, certificate) as front,
            pytest.raises(StoreUnavailable, match="certificate verify failed"),
        ):
            PostgresStore(front.url(user=WARY, password=PASSWORD))

    def test_a_certificate_for_another_host_is_refused(self, postgres: Postgres, tmp_path: Path) -> None:
        """`verify-ca` would take it."""
        other = make_certificate(tmp_path / "tls", "other.test")
        with (
            TlsFront(postgres.port, other) as front,
            pytest.raises(StoreUnavailable, match=re.escape("does not match host name")),
        ):
            PostgresStore(front.url(user=WARY, password=PASSWORD, sslrootcert=other.certificate))

    def test_who_has_no_tls_gets_neither_user_nor_password(self) -> None:
        """What stands between says no to TLS, and asks for the password in clear."""
        with Impostor() as impostor:
            with pytest.raises(StoreUnavailable, match="SSL"):
                PostgresStore(impostor.url(user=WARY, password=PASSWORD))
            assert impostor.heard == b""
            with pytest.raises(StoreUnavailable, match="cleartext"):
                PostgresStore(impostor.url(user=WARY, password=PASSWORD, sslmode="disable"))
        assert PASSWORD.encode() not in impostor.heard

    def test_an_impostor_with_a_good_certificate_gets_no_password(self, certificate: Certificate) -> None:
        """Who took the machine still learns nothing to use elsewhere."""
        with SecureImpostor(certificate) as impostor:
            url = impostor.url(user=WARY, password=PASSWORD, sslrootcert=certificate.certificate)
            with pytest.raises(StoreUnavailable, match="cleartext"):
                PostgresStore(url)
        assert WARY.encode() in impostor.heard
        assert PASSWORD.encode() not in impostor.heard


class TestWhatIsSaidOfIt:
    """The log of a server, and `licet check`."""

    @pytest.mark.wide
    def test_a_server_and_check_warn_of_a_connection_that_is_not_verified(
        self, stoppable: Postgres, certificate: Certificate, tmp_path: Path
    ) -> None:
        """Encrypted, for whoever answers."""
        stoppable.create_database("unverified")
        data = tmp_path / "data"
        with TlsFront(stoppable.port, certificate) as front:
            url = front.url(user="postgres", password="x", database="unverified", sslmode="require")
            url += "&require_auth=none,scram-sha-256"  # the tests' own user has no password
            environment = os.environ | {"LICET_STORE": url}
            arguments = ["--data", str(data)]
            made = CliRunner().invoke(app, ["init", *arguments], env={"LICET_STORE": url})
            assert made.exit_code == 0, made.output
            found = CliRunner().invoke(app, ["check", *arguments], env={"LICET_STORE": url})
            assert found.exit_code == 1
            said = " ".join(found.output.split())
            assert "sslmode is require" in said
            assert "use sslmode=verify-full" in said
            assert "use require_auth=scram-sha-256" in said
            serve = [sys.executable, "-m", "licet", "serve", *arguments, "--port", "0", "--admin-port", "0"]
            with Program(serve, stderr=subprocess.PIPE, env=environment, text=True) as process:
                assert process.stderr is not None
                lines = [next(process.stderr) for _ in range(2)]
                process.kill()
        assert all('"no_tls"' in line and '"warning"' in line for line in lines)
        assert "sslmode is require" in lines[0]
