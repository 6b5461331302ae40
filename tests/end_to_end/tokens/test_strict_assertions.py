"""A tenant that takes strict assertions only, at a server that runs (FAPI 2.0 5.3 and 5.4)."""

from typing import Any

import pytest

from licet.credentials.client_assertions import SIGNING_ALGORITHMS, STRICT_ALGORITHMS
from licet.setup.file import read, write
from support.server.keyed import GRANT, SIGNERS, WHO, Keyed, refused
from support.server.served_tenant import ServedTenant
from support.web.signing import proof

STRICT = ("ES256", "EdDSA", "PS256")


@pytest.fixture
def keyed(tenant: ServedTenant) -> Keyed:
    """A tenant with clients that sign, which takes strict assertions only."""
    keyed = Keyed(tenant)
    set_strict(keyed, is_strict=True)
    return keyed


def set_strict(keyed: Keyed, *, is_strict: bool) -> None:
    with keyed.tenant.server.changing() as change:
        change.tenant(keyed.tenant.name).set(strict_assertions=is_strict)


def listed(keyed: Keyed) -> Any:
    return keyed.tenant.server.http.get(f"/.well-known/oauth-authorization-server/{keyed.tenant.name}").json()


@pytest.mark.parametrize("algorithm", STRICT)
def test_the_issuer_alone_and_a_strong_algorithm_is_let_in_at_every_endpoint(
    keyed: Keyed, algorithm: str
) -> None:
    """FAPI 2.0 5.4: PS256, ES256, EdDSA."""
    signer = SIGNERS[algorithm]
    assert keyed.grant(signer.sign(keyed.claims())).status_code == 200
    with keyed.tenant.server.changing() as change:
        setup = change.tenant(keyed.tenant.name)
        if all(key.thumbprint != signer.key.thumbprint for key in setup.clients["Api"].keys):
            setup.add_key("Api", signer.key)
    for endpoint in ("introspect", "revoke"):
        assert keyed.ask(endpoint, signer.sign(keyed.claims("Api")), token="x").status_code == 200


@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect"])
def test_any_other_audience_is_refused(keyed: Keyed, endpoint: str) -> None:
    """The issuer in a list of one, an endpoint, both: another server could have asked for these."""
    form = GRANT if endpoint == "token" else {"token": "x"}
    who = WHO if endpoint == "token" else "Api"
    told = set()
    for audience in (
        [keyed.issuer],
        f"{keyed.issuer}/token",
        f"{keyed.issuer}/{endpoint}",
        [keyed.issuer, f"{keyed.issuer}/token"],
        [f"{keyed.issuer}/token"],
        f"{keyed.issuer}/",
        [],
    ):
        assertion = SIGNERS["ES256"].sign(keyed.claims(who, aud=audience))
        told.add(refused(keyed.ask(endpoint, assertion, **form)))
    assert len(told) == 1  # and nobody learns what was wrong


def test_rs256_is_refused_though_its_key_is_registered(keyed: Keyed) -> None:
    """The same key proves its client by PS256."""
    signer = SIGNERS["RS256"]
    refused(keyed.grant(signer.sign(keyed.claims())))
    assert keyed.grant(signer._replace(algorithm="PS256").sign(keyed.claims())).status_code == 200


def test_without_the_setting_all_is_as_before(keyed: Keyed) -> None:
    """The default: RFC 7523 3 takes a list, an endpoint and RS256; the other way round it counts at once."""
    loose = SIGNERS["RS256"].sign
    set_strict(keyed, is_strict=False)
    assert keyed.grant(loose(keyed.claims(aud=[f"{keyed.issuer}/token"]))).status_code == 200
    assert listed(keyed)["token_endpoint_auth_signing_alg_values_supported"] == list(SIGNING_ALGORITHMS)
    set_strict(keyed, is_strict=True)
    refused(keyed.grant(loose(keyed.claims(aud=[f"{keyed.issuer}/token"]))))


def test_the_metadata_lists_what_works_for_this_tenant(keyed: Keyed) -> None:
    """RFC 8414 2, at each endpoint; and RS256 is in none."""
    found = listed(keyed)
    for name in ("token", "revocation", "introspection"):
        algorithms = found[f"{name}_endpoint_auth_signing_alg_values_supported"]
        assert algorithms == list(STRICT_ALGORITHMS)
        assert set(algorithms) == {*STRICT, "Ed25519"}


def test_the_set_up_file_has_it_and_leaves_the_default_out() -> None:
    """`strict_assertions = true`, of a tenant."""
    small = "[tenant.A]\n{}\n[tenant.A.pool.full]\nseats = 1\n"
    (strict,) = read(small.format("strict_assertions = true"), "f.toml")
    assert strict.strict_assertions
    assert "strict_assertions = true" in write([strict])
    (loose,) = read(small.format("strict_assertions = false"), "f.toml")
    assert "strict_assertions" not in write([loose])


def test_nothing_of_a_refused_assertion_stands_in_the_log(keyed: Keyed) -> None:
    """The log says which rule; the assertion is good for nothing, and still a secret of its client."""
    assertion = SIGNERS["ES256"].sign(keyed.claims(aud=[keyed.issuer]))
    refused(keyed.grant(assertion))
    log = keyed.tenant.server.log()
    assert "this tenant takes strict assertions only" in log
    assert assertion not in log
    assert proof(assertion)["client_assertion"].split(".")[1] not in log
