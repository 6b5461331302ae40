"""The lines by which a client connects, as its page shows them, run as they are."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from licet.admin.pages.setup.connect import filled
from support.admin.dashboard import DashboardSite, Reader
from support.admin.filling import secret_on, send
from support.server.running import PATIENCE_S
from support.web.signing import Signer

HERE = "?tenant=Jim_Test"
HARD = '+ %41&=é\'"\\$x "all" `id`'
_CODE = re.compile(r'<pre id="connect-(\w+)" tabindex="0">(.*?)</pre>', re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            tenant = change.tenant("Jim_Test")
            tenant.add_pool("reports", seats=1)
            tenant.add_scope("reports", pool="reports")
        yield site


def lines_on(page: httpx.Response) -> dict[str, str]:
    """The programs of a page, by language."""
    return {found[1]: unescape(found[2]) for found in _CODE.finditer(page.text)}


def answer_of(code: str, language: str, directory: Path, secret: str = "") -> dict[str, Any]:
    """What a program prints that gets a token."""
    shell = ["bash", "-c"] if language == "curl" else [sys.executable, "-c"]
    done = subprocess.run(
        [*shell, code],
        cwd=directory,
        env={**os.environ, "CLIENT_SECRET": secret},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def page_of(ada: Reader, client_id: str, **query: str) -> httpx.Response:
    return ada.http.get("/set-up/clients/edit", params={"tenant": "Jim_Test", "name": client_id, **query})


@pytest.mark.parametrize("client_id", ["TestClient", HARD])
def test_the_lines_of_a_new_secret_get_a_token(ada: Reader, tmp_path: Path, client_id: str) -> None:
    """As they stand on the page that shows the secret once; it is not in them."""
    page = send(ada, f"/set-up/clients/add{HERE}", client_id=client_id, user="TC")
    secret, lines = secret_on(page), lines_on(page)
    assert set(lines) == {"curl", "csharp", "python"}
    for language in ("curl", "python"):
        assert secret not in lines[language]
        answer = answer_of(lines[language], language, tmp_path, secret)
        assert (answer["token_type"], answer["scope"]) == ("Bearer", "all"), answer


def test_the_lines_of_a_key_sign_an_assertion(site: DashboardSite, ada: Reader, tmp_path: Path) -> None:
    """RFC 7523: the private half is a file beside them. Twice, as an assertion is good once."""
    signer = Signer.new("ES256")
    with site.changing() as change:
        tenant = change.tenant("Jim_Test")
        tenant.add_client(f"Signs {HARD}", user="TC", password_allowed=False)
        tenant.add_key(f"Signs {HARD}", signer.key)
    pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(pem)
    lines = lines_on(page_of(ada, f"Signs {HARD}"))
    for language in ("curl", "python", "curl"):
        assert "access_token" in answer_of(lines[language], language, tmp_path)


def test_a_key_of_another_kind_has_lines_in_python(site: DashboardSite, ada: Reader, tmp_path: Path) -> None:
    """Ed25519; there the library signs, and elsewhere the lines would be wrong."""
    signer = Signer.new("EdDSA")
    with site.changing() as change:
        tenant = change.tenant("Jim_Test")
        tenant.add_client("Edwards", user="TC", password_allowed=False)
        tenant.add_key("Edwards", signer.key)
    pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(pem)
    page = page_of(ada, "Edwards")
    assert "lines in Python only" in page.text
    [(language, code)] = lines_on(page).items()
    assert "access_token" in answer_of(code, language, tmp_path)


def test_another_scope_can_be_chosen_and_says_what_it_takes(ada: Reader, tmp_path: Path) -> None:
    """By a link, so without a script; a scope that is not the client's counts for nothing."""
    assert "which takes a seat of <bdi>full</bdi>" in page_of(ada, "TestClientId").text
    assert "which takes a seat of <bdi>reports</bdi>" in page_of(ada, "TestClientId", scope="reports").text
    view = page_of(ada, "TestClientId", scope="view")
    assert "which takes no seat and is read-only" in view.text
    assert answer_of(lines_on(view)["curl"], "curl", tmp_path, "password")["scope"] == "view"
    assert "seat of <bdi>full</bdi>" in page_of(ada, "TestClientId", scope="all admin").text


def test_a_client_of_read_only_scopes_is_shown_one_that_takes_no_seat(
    site: DashboardSite, ada: Reader
) -> None:
    """The tenant's default scope would be refused."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Reader", user="TC", scopes=frozenset({"view"}))
    page = page_of(ada, "Reader")
    assert "which takes no seat" in page.text
    assert '"scope": "view"' in lines_on(page)["python"]


def test_a_client_with_nothing_to_authenticate_by_is_told_so(site: DashboardSite, ada: Reader) -> None:
    """Lines that cannot work are not shown."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Bare", user="TC", password_allowed=False)
    page = page_of(ada, "Bare")
    assert "It has nothing to authenticate by yet" in page.text
    assert not lines_on(page)


def test_a_viewer_sees_the_lines(site: DashboardSite) -> None:
    """There is no secret in them."""
    with site.reader("vera") as vera:
        assert set(lines_on(page_of(vera, "TestClientId"))) == {"curl", "csharp", "python"}


def test_a_name_within_another_is_left_alone() -> None:
    """Names are replaced in one pass, and only as whole words."""
    names = {"all": "TestClientId", "TestClientId": "all"}
    code = 'f("scope=all", "TestClientId", "overall", all)'
    made = filled(code, names, re.compile(r'"([^"\n]*)"'), json.dumps)
    assert made == 'f("scope=TestClientId", "all", "overall", all)'
