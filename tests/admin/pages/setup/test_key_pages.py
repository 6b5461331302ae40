"""The dashboard's pages of a client's public keys, and of a secret in the place of its others."""

from collections.abc import Iterator

import pytest

from licet.model import Client
from licet.setup.change import changing
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.filling import secret_on, send, wrong
from support.web.signing import Signer

HERE = "?tenant=Jim_Test"
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server that these tests share; each has a client of its own."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


def added(site: DashboardSite, client_id: str) -> str:
    """A new client, and the address of its page."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_client(client_id, user="TC")
    return f"{HERE}&name={client_id}"


def client(site: DashboardSite, client_id: str) -> Client:
    with site.store() as store:
        tenant = store.tenant("Jim_Test")
        assert tenant is not None
        return tenant.clients[client_id]


def test_a_public_key_is_added_shown_and_removed(site: DashboardSite, ada: Reader, vera: Reader) -> None:
    of, signer = added(site, "Signs"), Signer.new("ES256")
    page = send(ada, f"/set-up/clients/keys/add{of}", no_secret_key=signer.pem, expires="2099-01-31")
    assert page.status_code == 303, page.text
    (kept,) = client(site, "Signs").keys
    assert kept.thumbprint == signer.key.thumbprint
    assert kept.expires_at_ms is not None
    assert client(site, "Signs").password_allowed
    for reader in (ada, vera):
        shown = reader.get(f"/set-up/clients/edit{of}").text
        assert kept.thumbprint in shown
        assert ("/set-up/clients/keys/remove" in shown) == (reader is ada)
    path = f"/set-up/clients/keys/remove{of}&key={kept.thumbprint}"
    assert "the only thing by which" not in ada.get(path).text
    assert send(ada, path).status_code == 303
    assert not client(site, "Signs").keys


def test_a_password_that_nobody_has_set_proves_nothing(site: DashboardSite, ada: Reader) -> None:
    """The page does not say that it does, and the last key is named as such; an expired one is none."""
    with site.changing() as change:
        tenant = change.tenant("Jim_Test")
        tenant.add_user("NP", name="No password")
        tenant.add_client("Keyed", user="NP")
    of, signers = f"{HERE}&name=Keyed", [Signer.new("ES256"), Signer.new("ES256")]
    assert "with its user&#39;s password" not in ada.get(f"/set-up/clients/edit{of}").text
    assert "with its user's password" not in ada.get(f"/set-up/clients/edit{of}").text
    paths = [f"/set-up/clients/keys/remove{of}&key={other.key.thumbprint}" for other in signers]
    lives = ["2099-01-31", "never"]
    for signer, expires in zip(signers, lives, strict=True):
        path = f"/set-up/clients/keys/add{of}"
        send(ada, path, no_secret_key=signer.pem, expires=expires)
    assert "the only thing by which" not in ada.get(paths[0]).text
    send(ada, paths[0])
    assert "the only thing by which the client can authenticate" in ada.get(paths[1]).text


def test_a_set_of_keys_takes_the_password_away_where_that_is_said(site: DashboardSite, ada: Reader) -> None:
    of = added(site, "Several")
    pems = Signer.new("ES256").pem + Signer.new("EdDSA").pem
    page = send(ada, f"/set-up/clients/keys/add{of}", no_secret_key=pems, no_password="yes")
    assert page.status_code == 303, page.text
    found = client(site, "Several")
    assert (len(found.keys), found.password_allowed) == (2, False)
    send(ada, f"/set-up/clients/keys/remove{of}&key={found.keys[0].thumbprint}")
    path = f"/set-up/clients/keys/remove{of}&key={found.keys[1].thumbprint}"
    assert "the only thing by which the client can authenticate" in ada.get(path).text


def test_a_private_key_is_refused_and_not_shown_again(site: DashboardSite, ada: Reader) -> None:
    """Whoever sees it is the client."""
    of, private = added(site, "Careless"), Signer.new("ES256").private_jwk
    page = send(ada, f"/set-up/clients/keys/add{of}", no_secret_key=str(private).replace("'", '"'))
    assert page.status_code == 422
    assert "stays with the client" in wrong(page)["no_secret_key"]
    assert private["d"] not in page.text
    assert not client(site, "Careless").keys


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"no_secret_key": ""}, "no_secret_key", "no public key"),
        ({"no_secret_key": "rubbish"}, "no_secret_key", "no public key"),
        ({"expires": "soon"}, "expires", "A moment is written"),
        ({"expires": "2020-01-01"}, "expires", "later than now"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    site: DashboardSite, ada: Reader, changes: dict[str, str], field: str, told: str
) -> None:
    of = added(site, f"Wrong{abs(hash(told))}{len(str(changes))}")
    form = {"no_secret_key": Signer.new("ES256").pem, **changes}
    page = send(ada, f"/set-up/clients/keys/add{of}", **form)
    assert page.status_code == 422
    assert told in wrong(page)[field]


def test_a_secret_in_the_place_of_all_is_shown_once(site: DashboardSite, ada: Reader) -> None:
    """RFC 9700 2.5: they overlap."""
    of = added(site, "Rotates")
    old = secret_on(send(ada, f"/set-up/clients/secrets/add{of}"))
    page = send(ada, f"/set-up/clients/secrets/rotate{of}", overlap="1h")
    assert heading(page) == "The secret of client Rotates in Jim_Test"
    new = secret_on(page)
    grant = {"grant_type": "client_credentials", "scope": "view"}
    for secret in (old, new):
        assert site.ask("Jim_Test/token", "Rotates", secret, **grant).status_code == 200
    expiring = [kept for kept in client(site, "Rotates").secrets if old.startswith(f"lcs_{kept.secret_id}")]
    now_ms = site.clock.now_ms()
    assert all(now_ms < (it.expires_at_ms or 0) <= now_ms + HOUR_MS for it in expiring)
    assert len(expiring) == 1
    wrongly = send(ada, f"/set-up/clients/secrets/rotate{of}", overlap="32d")
    assert "an overlap is" in wrong(wrongly)["overlap"].lower()


def test_a_key_or_client_that_there_is_not_is_not_found(site: DashboardSite, ada: Reader) -> None:
    of = added(site, "Bare")
    assert ada.get(f"/set-up/clients/keys/remove{of}&key=x").status_code == 404
    assert ada.get(f"/set-up/clients/keys/add{HERE}&name=nobody").status_code == 404
    assert ada.get(f"/set-up/clients/secrets/rotate{HERE}&name=nobody").status_code == 404


def test_only_an_owner_adds_keys_and_replaces_secrets(site: DashboardSite, vera: Reader) -> None:
    of = added(site, "Owned")
    with site.store() as store, changing(store, "a test") as change:
        change.tenant("Jim_Test").add_key("Owned", (key := Signer.new("ES256").key))
    for path in (f"keys/add{of}", f"keys/remove{of}&key={key.thumbprint}", f"secrets/rotate{of}"):
        assert vera.get(f"/set-up/clients/{path}").status_code == 403
        assert vera.http.post(f"/set-up/clients/{path}", data={"csrf": vera.csrf()}).status_code == 403
    assert len(client(site, "Owned").keys) == 1
