"""Bad files by the admin API: each has its own message that says what to do, and takes nothing away."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from licet.licences.armour import armoured
from licet.licences.errors import ADVICE, LicenceCode
from licet.licences.jws import LICENCE_BYTES_MAX
from licet.store import schema
from licet.store.opening import SQLITE_NAME
from support.admin.admin_site import API, OTHER, AdminSite, Node, problem
from support.licences.signed_pools import ISSUED_S, text_of, the_vendor, vendor_file
from support.licences.vendors import TestVendor
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import JIM, START_MS

LICENCES = f"/tenants/{JIM}/licences"
TEXT = {"content-type": "text/plain"}
GOOD = armoured(text_of("full", "all", seats=2, duplicates=["client"]))
ACME = the_vendor()


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener with one licence, which every test here leaves as it is."""
    directory = tmp_path_factory.mktemp("refused")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    begin(found)
    assert send(found, GOOD).json()["licences"][0]["state"] == "valid"
    yield found
    found.close()


def begin(site: AdminSite) -> None:
    """Trust the vendor."""
    headers = {"content-type": "application/json"}
    assert site.call("POST", "/trust", content=vendor_file(ACME), headers=headers).is_success


def send(site: AdminSite, file: str, tenant: str = JIM) -> httpx.Response:
    """Send a file of licences."""
    return site.call("POST", f"/tenants/{tenant}/licences", content=file, headers=TEXT)


class Bad(NamedTuple):
    """A file, and how it is refused."""

    file: str
    code: str
    says: str
    field: str = ""
    status: int = 422


def signed(*, header: Any = None, **claims: Any) -> str:
    """A licence of the vendor with these members, in its armour."""
    content = ACME.claims(**({"serial": 2, "iat": ISSUED_S} | claims))
    return armoured(ACME.sign(content, **(header or {})))


def pool(**members: Any) -> str:
    """The same with these members in its one pool."""
    return signed(pools={"full": {"seats": 3, "scopes": ["all"]} | members})


def made(payload: str) -> str:
    """A licence with this payload, which need not be JSON."""
    return armoured(ACME.sign_bytes(json.dumps(ACME.header()).encode(), payload.encode()))


def library(algorithm: str, key: Any) -> str:
    """A licence as a library signs it that was told another algorithm."""
    headers = {"kid": ACME.kid, "typ": "licet-licence+jws"}
    return armoured(jwt.encode(ACME.claims(), key, algorithm, headers))


PAYLOAD = json.dumps(ACME.claims(serial=2, iat=ISSUED_S))
PUBLIC = repr(ACME.vendor.keys[ACME.kid].jwk())
ES256_ONLY = "ask the vendor for a licence that is signed with ES256"
UPGRADE = "upgrade first"
AGAIN = "ask the vendor for a new licence"
BAD = {
    # 2: other algorithms and headers
    "alg none": Bad(library("none", ""), "wrong_algorithm", ES256_ONLY, "alg"),
    "alg HS256 under the public key": Bad(library("HS256", PUBLIC), "wrong_algorithm", ES256_ONLY, "alg"),
    "alg EdDSA": Bad(
        library("EdDSA", ed25519.Ed25519PrivateKey.generate()), "wrong_algorithm", ES256_ONLY, "alg"
    ),
    "alg ES384": Bad(
        library("ES384", ec.generate_private_key(ec.SECP384R1())), "wrong_algorithm", ES256_ONLY, "alg"
    ),
    "jwk": Bad(signed(header={"jwk": {"kty": "EC"}}), "unknown_header", "'jwk'", "jwk"),
    "crit": Bad(signed(header={"crit": []}), "unknown_header", "'crit'", "crit"),
    "a fourth header": Bad(signed(header={"colour": "red"}), "unknown_header", "'colour'", "colour"),
    # 3: another key under the same kid; 4: another token of ours
    "another key": Bad(
        armoured(TestVendor().sign(kid=ACME.kid)),
        "bad_signature",
        "use the file exactly as the vendor sent it",
    ),
    "a key of nobody": Bad(armoured(TestVendor().sign()), "unknown_key", "trustVendor takes it.", "kid"),
    "an access token": Bad(signed(header={"typ": "at+jwt"}), "wrong_type", "not another token", "typ"),
    # 5: what JSON and numbers may not be
    "a member twice": Bad(made(PAYLOAD[:-1] + ', "serial": 3}'), "duplicate_member", AGAIN),
    "seats as a fraction": Bad(made(PAYLOAD.replace("25", "25.0")), "not_a_whole_number", AGAIN),
    "negative seats": Bad(pool(seats=-1), "out_of_range", AGAIN, "pools.full.seats"),
    "seats of 2^53": Bad(pool(seats=2**53), "not_a_whole_number", AGAIN),
    "an unknown member of a pool": Bad(
        pool(weekdays=5), "unknown_pool_member", UPGRADE, "pools.full.weekdays"
    ),
    "an unknown must": Bad(signed(must=["weekdays"]), "unknown_must", UPGRADE, "weekdays"),
    "hold 0": Bad(pool(hold=0), "out_of_range", AGAIN, "pools.full.hold"),
    "65 pools": Bad(
        signed(pools={f"p{it}": {"seats": 1, "scopes": ["all"]} for it in range(65)}),
        "too_many",
        "fewer, larger ones",
        "pools",
    ),
    "16 KiB and one": Bad(
        armoured("A" * (LICENCE_BYTES_MAX + 1)), "too_large", "check that it is the licence"
    ),
    # 6: counted by what the licence does not allow
    "counted otherwise": Bad(
        signed(licence="X", pools={"full": {"seats": 3, "scopes": ["all"], "duplicates": ["user"]}}),
        "no_common_holder",
        "listLicences shows what they allow.",
        "pools.full",
        409,
    ),
    # 7: for another place
    "another tenant": Bad(signed(tenant=OTHER), "other_tenant", "install it in that tenant", "tenant"),
    "another product": Bad(signed(product="jim3"), "other_product", "of this product", "product"),
    "another vendor": Bad(signed(iss="b"), "other_vendor", "of this product", "iss"),
    # Beside those that are installed
    "the same serial with another content": Bad(
        signed(serial=1), "serial_taken", "with the next serial", "serial", 409
    ),
    "no licence": Bad("hello", "not_a_licence", "check that it is the licence"),
    "a file cut off": Bad(GOOD[:-40], "damaged_file", "use the file exactly as the vendor sent it"),
    "text beside it": Bad(f"{GOOD}25 seats\n", "damaged_file", "line "),
    "17 licences": Bad(GOOD * 17, "too_many", "fewer, larger ones"),
    "a good one and a bad one": Bad(
        signed(licence="C-9") + signed(licence="C-8", tenant=OTHER), "other_tenant", "install it", "tenant"
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_with_what_to_do_and_takes_nothing_away(site: AdminSite, bad: Bad) -> None:
    """By its own code and words; what was installed counts as before, here and in a check."""
    before = site.get(LICENCES), site.get(f"/tenants/{JIM}/pools/full"), site.version()
    told = problem(send(site, bad.file), bad.status, "licence-refused")
    assert (told["code"], told.get("field", "")) == (bad.code, bad.field)
    assert bad.says in told["detail"]
    assert ADVICE[LicenceCode(bad.code)] in told["detail"]
    check = site.call("POST", f"{LICENCES}/check", content=bad.file, headers=TEXT)
    assert problem(check, bad.status, "licence-refused")["detail"] == told["detail"]
    assert (site.get(LICENCES), site.get(f"/tenants/{JIM}/pools/full"), site.version()) == before


@pytest.mark.parametrize("step", [40, pytest.param(1, marks=pytest.mark.wide)])
def test_a_licence_of_which_a_byte_was_changed_is_refused(site: AdminSite, step: int) -> None:
    """Each byte, its armour as well; here some of them, and all in `make test-wide`."""
    good = signed(licence="C-2").encode()
    version = site.version()
    for at in range(0, len(good), step):
        content = bytearray(good)
        content[at] ^= 1
        refused = site.call("POST", LICENCES, content=bytes(content), headers=TEXT)
        assert problem(refused, 422, "licence-refused")["code"] in set(LicenceCode), at
    assert site.version() == version


def test_a_licence_that_is_bound_to_an_installation_is_checked_by_the_api_alone(site: AdminSite) -> None:
    """The vendor's API looks at that; here it can be checked, and is shown."""
    bound = signed(licence="bound", installation="A" * 43)
    told = site.call("POST", f"{LICENCES}/check?", content=bound, headers=TEXT).json()
    assert [it["installation"] for it in told["licences"]] == ["A" * 43]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"{", "not_a_vendor", "vendor.json again"),
        (b"\xff", "not_a_vendor", "vendor.json again"),
        (b'{"vendor": "b", "product": "p", "keys": []}', "not_a_vendor", "vendor.json again"),
        (b'{"keys": [{"kty": "EC", "d": "x"}]}', "private_key", "show it to nobody"),
        (b'{"keys": [{"kty": "RSA"}]}', "unsupported_key", "vendor.json again"),
        (b"x" * 16_385, "too_large", "check that it is the licence"),
    ],
)
def test_a_bad_file_of_a_vendor_is_refused_and_nobody_else_is_trusted(
    site: AdminSite, content: bytes, code: str, says: str
) -> None:
    """No key of it is repeated."""
    before = site.get("/trust")
    headers = {"content-type": "application/json"}
    told = problem(site.call("POST", "/trust", content=content, headers=headers), 422, "licence-refused")
    assert told["code"] == code
    assert says in told["detail"]
    assert site.get("/trust") == before


def test_what_was_removed_is_not_installed_again(sqlite_places: SqlitePlaces, tmp_path: Path) -> None:
    """Nor a serial whose place another has taken."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    try:
        begin(site)
        assert send(site, signed(serial=3)).is_success
        told = problem(send(site, signed(serial=1)), 409, "licence-refused")
        assert (told["code"], told["field"]) == ("out_of_date", "serial")
        assert site.call("DELETE", f"{LICENCES}/C-1/3").status_code == 204
        told = problem(send(site, signed(serial=3)), 409, "licence-refused")
        assert told["detail"].endswith(
            "ask the vendor for a new serial. getLicence shows which were removed."
        )
        assert send(site, signed(serial=4)).is_success
    finally:
        site.close()


def test_of_two_who_install_the_same_licence_at_once_one_does(
    make_place: Callable[[int], Place], tmp_path: Path
) -> None:
    """On two nodes: both are told that it is installed, and it is there once."""
    site = AdminSite(make_place(START_MS), tmp_path)
    try:
        begin(site)
        nodes = [site.node, site.another_node(site.second())]
        headers = site.headers("owner") | TEXT
        together = Barrier(len(nodes))

        def install(node: Node) -> httpx.Response:
            together.wait()
            return node.send("POST", API + LICENCES, content=GOOD, headers=headers)

        with ThreadPoolExecutor() as threads:
            answers = list(threads.map(install, nodes))
        assert [it.status_code for it in answers] == [200, 200]
        assert sorted(len(it.json()["licences"]) for it in answers) == [0, 1]
        assert site.count(schema.licence) == 1
    finally:
        site.close()


def test_while_the_store_is_away_nothing_is_installed_and_it_can_be_sent_again(
    sqlite_places: SqlitePlaces, tmp_path: Path
) -> None:
    """503, with when to try again; nothing of the request was done."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    try:
        begin(site)
        file, away = tmp_path / SQLITE_NAME, tmp_path / "away"
        file.rename(away)
        told = problem(refused := send(site, GOOD), 503, "store-unavailable")
        assert told["detail"] == (
            "The store does not answer, or cannot be written. Nothing of the request was done;"
            " the log of the server says why."
        )
        assert refused.headers["retry-after"] == "1"
        away.rename(file)
        assert send(site, GOOD).json()["licences"][0]["state"] == "valid"
    finally:
        site.close()
