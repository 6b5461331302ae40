"""Clients that authenticate by a signed assertion, at a server that runs: RFC 7521 4.2, RFC 7523.

What an assertion has to say is in test_client_assertions.py, claim by claim.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from msgspec.structs import replace

from licet.cli.run.demo import PASSWORD
from licet.credentials.client_assertions import ASSERTION_CHARS_MAX, SIGNING_ALGORITHMS, TYPE
from licet.setup.change import changing
from licet.store.opening import SQLITE_NAME
from support.licences.twin_signatures import twin
from support.ports import free_port
from support.server.keyed import GRANT, SIGNER, SIGNERS, WHO, Keyed, refused
from support.server.running import PATIENCE_S, RunningServer
from support.server.served_tenant import AWAY, ServedTenant
from support.waiting import until
from support.web.signing import ALGORITHMS, Signer, claims, proof


@pytest.fixture
def keyed(tenant: ServedTenant) -> Keyed:
    """A tenant for one test alone."""
    return Keyed(tenant)


class Published(RunningServer):
    """A server that is known by the same name wherever it listens; `TestClientId` has a key."""

    issuer = "https://licence.example.com"

    def __init__(self, data: Path, **settings: Any) -> None:
        self.port = free_port()
        super().__init__(data, port=self.port, public_url=self.issuer, **settings)
        with self.store() as store, changing(store, "a test") as change:
            if not change.tenants()["Jim_Test"].clients[WHO].keys:
                change.tenant("Jim_Test").add_key(WHO, SIGNER.key)
        self.kill()
        self.start()

    def form(self) -> dict[str, str]:
        """What its client asks with."""
        return {**proof(SIGNER.sign(claims(WHO, f"{self.issuer}/Jim_Test"))), **GRANT}

    def post(self, form: dict[str, str]) -> int:
        """How it answers."""
        url = f"http://127.0.0.1:{self.port}/Jim_Test/token"
        return httpx.post(url, data=form, timeout=PATIENCE_S).status_code


class TestProof:
    """Who is let in."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("named", [True, False])
    def test_an_assertion_by_each_kind_of_key_gets_a_token(
        self, keyed: Keyed, algorithm: str, named: bool
    ) -> None:
        """RFC 7523 2.2, with kid (RFC 7515 4.1.4) and without."""
        signer = SIGNERS[algorithm]
        header = {"kid": signer.key.thumbprint} if named else {}
        response = keyed.grant(signer.sign(keyed.claims(), **header))
        assert response.status_code == 200, response.text
        introspected = keyed.tenant.introspect(response.json()["access_token"])
        assert (introspected["active"], introspected["client_id"]) == (True, WHO)

    def test_it_is_taken_wherever_clients_authenticate(self, keyed: Keyed) -> None:
        """RFC 7521 4.2; RFC 7009 2.1 and RFC 7662 2.1 leave it to the token endpoint."""
        tokens = keyed.grant().json()
        renewed = keyed.ask(
            "token", keyed.sign(), grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
        access_token = renewed.json()["access_token"]
        assert keyed.ask("introspect", keyed.sign("Api"), token=access_token).json()["active"] is True
        off = keyed.ask("logoff", keyed.sign(), refresh_token=tokens["refresh_token"])
        assert off.json() == {"logged_off": True, "seat_released": True}
        again = keyed.grant().json()
        assert keyed.ask("revoke", keyed.sign(), token=again["access_token"]).status_code == 200
        assert keyed.tenant.introspect(again["access_token"]) == {"active": False}

    def test_it_may_be_meant_for_the_issuer_the_token_endpoint_or_the_one_that_is_called(
        self, keyed: Keyed
    ) -> None:
        """RFC 7523 3, 3."""
        token = keyed.grant().json()["access_token"]
        for audience in (keyed.issuer, f"{keyed.issuer}/token", [keyed.issuer, f"{keyed.issuer}/introspect"]):
            asked = keyed.ask("introspect", keyed.sign("Api", aud=audience), token=token)
            assert asked.json()["active"] is True
        for audience in (f"{keyed.issuer}/introspect", f"{keyed.tenant.server.url}/Jim_Test"):
            refused(keyed.grant(keyed.sign(aud=audience)))

    def test_the_client_id_may_be_left_out_and_has_to_be_the_same(self, keyed: Keyed) -> None:
        """RFC 7521 4.2."""
        assert keyed.grant(client_id=WHO).status_code == 200
        refused(keyed.grant(client_id="Client2"))

    def test_the_password_goes_on_working_and_can_be_taken_away(self, keyed: Keyed) -> None:
        """A key is one more way."""
        assert keyed.tenant.ask("token", WHO, PASSWORD, **GRANT).status_code == 200
        with keyed.tenant.server.changing() as change:
            change.tenant(keyed.tenant.name).set_client(WHO, password_allowed=False)
        refused(keyed.tenant.ask("token", WHO, PASSWORD, **GRANT))
        assert keyed.grant().status_code == 200


class TestOnce:
    """Each assertion is good once (RFC 7523 3, 7)."""

    def test_what_was_sent_before_proves_nothing(self, keyed: Keyed) -> None:
        """RFC 7523 3, 7: at the same endpoint and at another."""
        assertion = keyed.sign("Api")
        assert keyed.ask("introspect", assertion, token="x").status_code == 200
        refused(keyed.ask("introspect", assertion, token="x"))
        refused(keyed.ask("revoke", assertion, token="x"))
        same_number = keyed.claims("Api")["jti"]
        assert keyed.ask("revoke", keyed.sign("Api", jti=same_number), token="x").status_code == 200
        refused(keyed.ask("revoke", keyed.sign("Api", jti=same_number, iat=None), token="x"))

    @pytest.mark.parametrize("wrong", [{"scope": "nothing"}, {"grant_type": "password"}, {"queue": "maybe"}])
    def test_a_request_that_is_refused_for_something_else_uses_it_too(
        self, keyed: Keyed, wrong: dict[str, str]
    ) -> None:
        """RFC 7523 3, 7. Who has overheard it must not get a token by asking better."""
        assertion = keyed.sign()
        first = keyed.ask("token", assertion, **(GRANT | wrong))
        assert first.status_code == 400
        assert first.json()["error"] != "invalid_client"
        refused(keyed.ask("token", assertion, **(GRANT | wrong)))
        refused(keyed.grant(assertion))

    def test_a_denial_and_a_refresh_use_it_too(self, keyed: Keyed) -> None:
        """RFC 7523 3, 7. Each is one command with its assertion; no session begins by one that was used."""
        granted = keyed.grant().json()
        assertion = keyed.sign()
        renewing = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
        assert keyed.ask("token", assertion, **renewing).status_code == 200
        refused(keyed.ask("token", assertion, **renewing))
        refused(keyed.grant(assertion))
        waiting = keyed.sign()
        keyed.tenant.post("token", urlencode(proof(waiting) | GRANT | {"queue": "true"}))
        refused(keyed.ask("token", waiting, **GRANT))

    def test_the_twin_of_its_signature_proves_nothing_more(self, keyed: Keyed) -> None:
        """It verifies as well, and anybody can make it: what is spent is the number."""
        first, second = keyed.sign("Api"), keyed.sign("Api")
        assert keyed.ask("introspect", first, token="x").status_code == 200
        refused(keyed.ask("introspect", twin(first), token="x"))
        assert keyed.ask("introspect", twin(second), token="x").status_code == 200
        refused(keyed.ask("introspect", second, token="x"))

    def test_of_many_at_once_one_is_let_in(self, keyed: Keyed) -> None:
        """RFC 7523 3, 7."""
        assertion = keyed.sign()
        with ThreadPoolExecutor(8) as threads:
            found = sorted(it.status_code for it in threads.map(lambda _: keyed.grant(assertion), range(8)))
        assert found == [200] + [401] * 7

    def test_a_number_is_not_spent_by_who_could_not_sign(self, keyed: Keyed) -> None:
        """Else a stranger could keep a client out."""
        said = keyed.claims()
        refused(keyed.grant(Signer.new("ES256").sign(said)))
        assert keyed.grant(SIGNER.sign(said)).status_code == 200

    def test_clients_and_tenants_do_not_spend_each_others_numbers(
        self, keyed: Keyed, server: RunningServer
    ) -> None:
        """RFC 7519 4.1.7."""
        other = Keyed(ServedTenant(server, f"{keyed.tenant.name}b"))
        for tenant, client_id in ((keyed, WHO), (keyed, "Api"), (other, WHO)):
            assert tenant.ask("revoke", tenant.sign(client_id, jti="same"), token="x").status_code == 200

    @pytest.mark.parametrize("commit_process", [True, False])
    def test_it_is_spent_after_a_crash(self, tmp_path: Path, commit_process: bool) -> None:
        """L9 of an assertion: what was answered counts."""
        with Published(tmp_path, commit_process=commit_process) as server:
            form = server.form()
            answers = [server.post(form)]
            server.kill()
            server.start()
            answers.append(server.post(form))
        assert answers == [200, 401]

    def test_two_servers_on_one_store_let_in_one(self, tmp_path: Path) -> None:
        """RFC 7523 3, 7: for all nodes."""
        with Published(tmp_path) as first, Published(tmp_path) as second, ThreadPoolExecutor(2) as threads:
            for _ in range(5):
                form = first.form()
                found = [threads.submit(it.post, form) for it in (first, second)]
                assert sorted(it.result() for it in found) == [200, 401]


class TestRefusal:
    """Who is not let in hears one answer, whatever was wrong."""

    def test_nobody_learns_what_was_wrong(self, keyed: Keyed) -> None:
        """RFC 6749 5.2, RFC 7521 4.2.1."""
        now_s = keyed.tenant.server.clock.now_ms() // 1000
        used = keyed.sign()
        keyed.grant(used)
        wrong = [
            used,
            keyed.sign("Nobody"),
            keyed.sign("Gone"),
            keyed.sign("Client2"),
            Signer.new("ES256").sign(keyed.claims()),
            keyed.sign(exp=now_s - 61),
            keyed.sign(aud="https://evil.example.com"),
            keyed.sign(sub="Client2"),
            keyed.sign(jti=None),
            keyed.sign()[:-2] + "AA",
            SIGNER.sign(keyed.claims(), kid="unknown"),
            "rubbish",
            "x" * (ASSERTION_CHARS_MAX + 1),
        ]
        answers = [keyed.grant(it) for it in wrong]
        told = {refused(it) for it in answers}
        assert told == {"Client authentication failed: the client assertion proves no client of this server."}
        assert len({frozenset(it.json()) for it in answers}) == 1
        assert {it.headers["www-authenticate"] for it in answers} == {'Basic realm="licet", charset="UTF-8"'}

    def test_a_tenant_that_there_is_not_is_told_the_same(self, keyed: Keyed, server: RunningServer) -> None:
        """RFC 6749 10.10."""
        audience = f"{server.url}/NoTenant"
        response = server.http.post("/NoTenant/token", data=proof(keyed.sign(aud=audience)) | GRANT)
        assert refused(response) == refused(keyed.grant(keyed.sign("Nobody")))

    def test_a_key_counts_until_it_expires_or_is_removed(self, keyed: Keyed) -> None:
        """RFC 7523 3, 9."""
        server, name = keyed.tenant.server, keyed.tenant.name
        expiring = Signer.new("ES256")
        with server.changing() as change:
            change.tenant(name).add_key(WHO, expiring.key, server.clock.now_ms() + 10_000)
        assert keyed.grant(expiring.sign(keyed.claims())).status_code == 200
        server.advance(seconds=10)
        refused(keyed.grant(expiring.sign(keyed.claims())))
        with server.changing() as change:
            change.tenant(name).remove_key(WHO, SIGNER.key.thumbprint)
        refused(keyed.grant())

    def test_a_client_that_is_disabled_is_out(self, keyed: Keyed) -> None:
        """As with a secret."""
        with keyed.tenant.server.changing() as change:
            change.tenant(keyed.tenant.name).set_client(WHO, enabled=False)
        refused(keyed.grant())

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"client_secret": PASSWORD}, "invalid_request"),
            ({"client_secret": PASSWORD, "client_id": WHO}, "invalid_request"),
            ({"client_assertion": ""}, "invalid_request"),
            ({"client_assertion_type": ""}, "invalid_request"),
            (
                {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
                "invalid_client",
            ),
            ({"client_assertion_type": TYPE.upper()}, "invalid_client"),
        ],
    )
    def test_a_request_that_is_not_one_of_rfc_7521_is_refused(
        self, keyed: Keyed, changes: dict[str, str], error: str
    ) -> None:
        """RFC 7521 4.2: one way of authentication, both parameters, and the type that is known."""
        form = {**proof(keyed.sign()), **GRANT, **changes}
        refused(keyed.tenant.post("token", urlencode(form)), error)

    def test_an_assertion_beside_a_header_is_refused(self, keyed: Keyed) -> None:
        """RFC 6749 2.3: never two ways in one request."""
        refused(keyed.tenant.ask("token", WHO, PASSWORD, **proof(keyed.sign()), **GRANT), "invalid_request")

    @pytest.mark.parametrize("name", ["client_assertion", "client_assertion_type"])
    def test_it_is_there_once_and_never_in_the_query(self, keyed: Keyed, name: str) -> None:
        """RFC 6749 3.2, RFC 9700 4.3."""
        form = {**proof(keyed.sign()), **GRANT}
        twice = f"{urlencode(form)}&{urlencode({name: form[name]})}"
        refused(keyed.tenant.post("token", twice), "invalid_request")
        moved = urlencode({name: form.pop(name)})
        refused(keyed.tenant.post(f"token?{moved}", urlencode(form)), "invalid_request")

    def test_nothing_of_it_gets_into_the_log_or_an_answer(self, keyed: Keyed) -> None:
        """Who has an assertion that was not used is the client."""
        server = keyed.tenant.server
        unused = keyed.sign(aud="https://evil.example.com")
        stranger = Signer.new("ES256").sign(keyed.claims())
        answers = [
            keyed.grant(unused),
            keyed.grant(stranger),
            keyed.grant(unused, client_id="Client2"),
            keyed.grant(unused, client_secret=PASSWORD),
            keyed.tenant.post(f"token?client_assertion={unused}", urlencode(GRANT)),
        ]
        seen = server.log() + "".join(it.text + str(it.headers) for it in answers)
        for assertion in (unused, stranger):
            for part in assertion.split("."):
                assert part not in seen
        assert "evil.example.com" not in seen
        lines = [json.loads(line) for line in server.log().splitlines() if keyed.tenant.name in line]
        details = [it["detail"] for it in lines if it["event"] == "refused"]
        assert details[0] == "the assertion's aud is not this server alone"
        assert details[1] == "unknown or disabled client, or signed by none of its keys"
        assert {it["client_id"] for it in lines[:2]} == {WHO}

    def test_a_store_that_is_out_of_reach_lets_nobody_in(self, tmp_path: Path) -> None:
        """RFC 9110 15.6.4: it is no fault of the client, and what cannot be remembered does not count."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").add_key("Api", SIGNER.key)
            (tmp_path / SQLITE_NAME).rename(tmp_path / AWAY)
            form = {**proof(SIGNER.sign(claims("Api", f"{server.url}/Jim_Test"))), "token": "x"}
            response = server.http.post("/Jim_Test/introspect", data=form)
            assert (response.status_code, response.json()["error"]) == (503, "server_error")
            (tmp_path / AWAY).rename(tmp_path / SQLITE_NAME)
            assert server.http.post("/Jim_Test/introspect", data=form).status_code == 200


class TestThrottle:
    """Who guesses has to wait, and keeps nobody out."""

    @pytest.fixture
    def strict(self, strict_server: RunningServer) -> Iterator[Callable[..., httpx.Response]]:
        """What asks a server that lets a source fail three times in a minute, from an address."""
        strict_server.advance(seconds=60)
        with strict_server.changing() as change:
            setup = change.tenant("Jim_Test")
            setup.add_key(WHO, SIGNER.key)

        def ask(address: str, signer: Signer = SIGNER, client_id: str = WHO) -> httpx.Response:
            now_s = strict_server.clock.now_ms() / 1000
            said = claims(client_id, f"{strict_server.url}/Jim_Test", now_s=now_s)
            headers = {"x-forwarded-for": address}
            form = {**proof(signer.sign(said)), **GRANT, "scope": "view"}
            return strict_server.http.post("/Jim_Test/token", data=form, headers=headers)

        yield ask
        with strict_server.changing() as change:
            change.tenant("Jim_Test").remove_key(WHO, SIGNER.key.thumbprint)
        strict_server.advance(seconds=60)

    def test_who_fails_too_often_is_told_to_wait(self, strict: Callable[..., httpx.Response]) -> None:
        """RFC 6749 2.3.1, RFC 6585 4: as with a secret, also for a client that there is not."""
        for client_id, address in ((WHO, "192.0.2.1"), ("Nobody", "192.0.2.2")):
            found = [strict(address, Signer.new("ES256"), client_id).status_code for _ in range(4)]
            assert found == [401, 401, 401, 429]

    def test_who_has_the_key_is_never_kept_out_where_it_was_before(
        self, strict: Callable[..., httpx.Response]
    ) -> None:
        """Whoever else guesses from the same address, in its name or in others'."""
        assert strict("192.0.2.3").status_code == 200
        stranger = Signer.new("ES256")
        for client_id in ("Nobody", WHO):
            found = [strict("192.0.2.3", stranger, client_id).status_code for _ in range(10)]
            assert found[-1] == 429
        assert strict("192.0.2.3").status_code == 200

    def test_guesses_elsewhere_keep_nobody_out(self, strict: Callable[..., httpx.Response]) -> None:
        """However many: a signature is not found by guessing."""
        stranger = Signer.new("ES256")
        found = [strict(f"198.51.100.{at}", stranger).status_code for at in range(30)]
        assert set(found) == {401}
        assert strict("192.0.2.4").status_code == 200

    def test_a_source_that_failed_too_often_has_to_wait_whatever_it_sends(
        self, strict: Callable[..., httpx.Response]
    ) -> None:
        """RFC 6585 4: nothing of it is checked; so a flood costs less than to check it."""
        stranger = Signer.new("ES256")
        assert [strict("192.0.2.5", stranger).status_code for _ in range(4)][-1] == 429
        assert strict("192.0.2.5").status_code == 429


class TestMetadata:
    """What the metadata lists works."""

    def test_every_way_and_every_algorithm_that_is_listed_works_at_every_endpoint(self, keyed: Keyed) -> None:
        """RFC 8414 2: with private_key_jwt the algorithms have to be there too."""
        with keyed.tenant.server.changing() as change:
            setup = change.tenant(keyed.tenant.name)
            for signer in SIGNERS.values():
                if signer is not SIGNER:
                    setup.add_key("Api", signer.key)
        found = keyed.tenant.server.http.get(
            f"/.well-known/oauth-authorization-server/{keyed.tenant.name}"
        ).json()
        ways = {
            "client_secret_basic": self._by_basic,
            "client_secret_post": self._in_the_body,
            "private_key_jwt": self._by_key,
        }
        for name, form in (
            ("token", GRANT | {"scope": "view"}),
            ("revocation", {"token": "x"}),
            ("introspection", {"token": "x"}),
        ):
            url = found[f"{name}_endpoint"]
            assert set(found[f"{name}_endpoint_auth_methods_supported"]) == set(ways)
            algorithms = found[f"{name}_endpoint_auth_signing_alg_values_supported"]
            assert algorithms == list(SIGNING_ALGORITHMS)
            for method in found[f"{name}_endpoint_auth_methods_supported"]:
                for algorithm in algorithms if method == "private_key_jwt" else [""]:
                    asked = ways[method](keyed, found["issuer"], algorithm)
                    asked["data"] = asked.get("data", {}) | form
                    assert httpx.post(url, **asked).status_code == 200, (url, method, algorithm)

    def test_what_is_not_listed_does_not_work(self, keyed: Keyed) -> None:
        """RFC 8414 2: client_secret_jwt and algorithms that are not allowed."""
        by_secret = claims(WHO, keyed.issuer, now_s=keyed.tenant.server.clock.now_ms() / 1000)
        import jwt  # noqa: PLC0415 - beside the signers, for what they do not do

        refused(keyed.grant(jwt.encode(by_secret, PASSWORD * 8, "HS256")))
        longer = Signer(SIGNERS["RS256"].private, "RS512")
        refused(keyed.grant(longer.sign(keyed.claims())))

    @staticmethod
    def _by_basic(keyed: Keyed, issuer: str, algorithm: str) -> dict[str, Any]:
        del keyed, issuer, algorithm
        return {"auth": ("Api", PASSWORD)}

    @staticmethod
    def _in_the_body(keyed: Keyed, issuer: str, algorithm: str) -> dict[str, Any]:
        del keyed, issuer, algorithm
        return {"data": {"client_id": "Api", "client_secret": PASSWORD}}

    @staticmethod
    def _by_key(keyed: Keyed, issuer: str, algorithm: str) -> dict[str, Any]:
        said = keyed.claims("Api", aud=issuer)
        if algorithm == "Ed25519":  # which is EdDSA by another name (RFC 9864)
            return {"data": proof(_renamed(SIGNERS["EdDSA"], said))}
        return {"data": proof(SIGNERS[algorithm].sign(said))}


def _renamed(signer: Signer, said: dict[str, Any]) -> str:
    """An EdDSA signature that is called Ed25519."""
    from jwt import api_jws  # noqa: PLC0415 - beside the signers, for what they do not do
    from jwt.algorithms import OKPAlgorithm  # noqa: PLC0415 - as above

    jws = api_jws.PyJWS()
    jws.register_algorithm("Ed25519", OKPAlgorithm())
    return jws.encode(json.dumps(said).encode(), signer.private, "Ed25519")


def _spent(server: RunningServer) -> int:
    with server.store() as store, store.reading() as connection:
        count: int = connection.exec_driver_sql("SELECT count(*) FROM assertion_used").scalar_one()
        return count


class TestUpkeep:
    """What is written down beside the requests."""

    def test_what_has_expired_is_forgotten(self, tmp_path: Path) -> None:
        """The number of rows follows the assertions that could still be sent."""
        with RunningServer(tmp_path, manual_clock=True) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").add_key("Api", SIGNER.key)
            said = claims("Api", f"{server.url}/Jim_Test", now_s=server.clock.now_ms() / 1000)
            form = {**proof(SIGNER.sign(said)), "token": "x"}
            server.http.post("/Jim_Test/introspect", data=form).raise_for_status()
            server.kill()
            assert _spent(server) == 1
            server.advance(seconds=300)
            server.start()  # it keeps house from its start on
            until(lambda: not _spent(server))

    def test_when_a_key_was_last_used_is_known_after_a_stop(self, tmp_path: Path) -> None:
        """As of a secret."""
        key = replace(SIGNER.key, kid="2026-11")
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").add_key(WHO, key)
            before_ms = server.clock.now_ms()
            form = proof(SIGNER.sign(claims(WHO, f"{server.url}/Jim_Test"), kid="2026-11")) | GRANT
            server.http.post("/Jim_Test/token", data=form).raise_for_status()
            assert server.terminate() == 0
            with server.store() as store:
                tenant = store.tenant("Jim_Test")
                assert tenant is not None
                used_at_ms = tenant.clients[WHO].keys[0].last_used_at_ms
        assert used_at_ms is not None
        assert used_at_ms >= before_ms
