"""The forms about licences, at a server: what they ask before; and what is refused changes nothing."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from licet.model import SEATS_MAX, Duplicates
from licet.setup.licences import installed, trusted
from support.admin.dashboard import DashboardSite, Reader, heading, hidden
from support.admin.pages import links_of, text_of
from support.licences.licensed_site import days, file_of, put, signed, trust_vendor
from support.licences.signed_pools import text_of as licence_of
from support.licences.signed_pools import the_vendor, vendor_file
from support.licences.vendors import TestVendor

_TEXT = re.compile(r"<textarea[^>]*>\n?(.*?)</textarea>", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A tenant for each story, and an owner of the tenant Mine; time stands still."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        trust_vendor(site)
        with site.changing() as change:
            for name in ("Refusing", "Removing", "Mine"):
                change.add_tenant(name, seats=SEATS_MAX)
            change.tenant("Jim_Test").set_pool("full", seats=SEATS_MAX)
        put(site, "Refusing", signed("Refusing", name="taken"))
        site.add_owner("olga", "Mine")
        yield site


def upload(reader: Reader, path: str, content: bytes, **fields: str) -> httpx.Response:
    """Choose a file in a form, and send it as a browser does."""
    files = {"file": ("c1.licence", content, "application/octet-stream")}
    return reader.http.post(path, data={"csrf": reader.csrf(path), "text": "", **fields}, files=files)


def paste(reader: Reader, path: str, text: str, **fields: str) -> httpx.Response:
    """Paste a text into a form, as a browser sends it: without a file."""
    data = {"csrf": reader.csrf(path), "text": text.replace("\n", "\r\n"), **fields}
    return reader.http.post(path, data=data, files={"file": ("", b"")})


def agree(reader: Reader, path: str, question: httpx.Response, **fields: str) -> httpx.Response:
    """Press the button of a question."""
    assert question.status_code in {200, 409}, question.text[:2000]
    data = dict(re.findall(r'<input type="hidden" name="(sure|ends|cuts)" value="(\d+)">', question.text))
    if kept := _TEXT.search(question.text):
        data["text"] = unescape(kept[1])
    return reader.http.post(path, data={"csrf": reader.csrf("/seats?tenant=Jim_Test"), **data, **fields})


def licences(site: DashboardSite, tenant: str) -> list[tuple[str, int, bool]]:
    """Those of a tenant, and whether they were removed."""
    with site.store() as store, store.reading() as connection:
        of = store.tenant(tenant)
        assert of is not None
        return [
            (it.name, it.serial, it.removed_at_ms is not None) for it in installed(connection, of.id, tenant)
        ]


def test_a_file_is_installed_after_its_consequences_were_agreed_to(site: DashboardSite, ada: Reader) -> None:
    """What ends is named with its client; the running server counts by it at once."""
    path = "/licences/install?tenant=Jim_Test"
    for client in ("Client1", "Client2", "Client3"):
        site.take(client).raise_for_status()
        site.advance(seconds=1)
    content = file_of(signed(seats=2, exp=days(site, 40)))
    question = upload(ada, path, content)
    said = text_of(question)
    assert heading(question) == "Install licence C-1, serial 1, in Jim_Test?"
    assert "2 seats of full" in said
    assert "1 session will end at once: its tokens stop working. Client3" in said
    assert "Install and end 1 session" in said
    assert licences(site, "Jim_Test") == []
    done = agree(ada, path, question)
    assert done.status_code == 303
    assert done.headers["location"] == "/licences?tenant=Jim_Test"
    assert licences(site, "Jim_Test") == [("C-1", 1, False)]
    assert site.take("Client4").json()["reason"] == "all_in_use"
    assert site.take("Client1").status_code == 200
    again = text_of(upload(ada, path, content))
    assert "All of it is installed already in Jim_Test" in again


def test_what_is_pasted_from_a_mail_is_installed(site: DashboardSite, ada: Reader) -> None:
    """Blanks at the ends of lines and around it are nothing that was signed."""
    path = "/licences/install?tenant=Refusing"
    lines = file_of(signed("Refusing", name="mailed")).decode().splitlines()
    question = paste(ada, path, "\n\n  " + " \n\t".join(lines) + "\n \n")
    assert heading(question) == "Install licence mailed, serial 1, in Refusing?"
    assert "No session ends with it." in text_of(question)
    assert agree(ada, path, question).status_code == 303
    assert ("mailed", 1, False) in licences(site, "Refusing")


def _changed(text: str) -> str:
    head, claims, signature = text.split(".")
    return ".".join((head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]))


REFUSED: dict[str, tuple[Any, str]] = {
    "damaged": (lambda: file_of(signed("Refusing"))[:-40], "the last licence has no line"),
    "changed": (lambda: file_of(_changed(signed("Refusing"))), "its signature is wrong"),
    "no licence": (lambda: b"%PDF-1.7 \xff\x00", "No line of the file is -----BEGIN LICET LICENCE-----"),
    "other tenant": (
        lambda: file_of(signed("Jim_Test")),
        "it is for tenant 'Jim_Test', and not for 'Refusing'",
    ),
    "other vendor": (
        lambda: file_of(TestVendor().sign(TestVendor().claims(tenant="Refusing"))),
        "which is of no vendor that is trusted here",
    ),
    "no pool": (
        lambda: file_of(licence_of("cnc", "all", tenant="Refusing", name="P", seats=1)),
        "licence P is for pool cnc, and tenant Refusing has none",
    ),
    "serial taken": (
        lambda: file_of(signed("Refusing", name="taken", seats=6)),
        "another licence is installed as serial 1 of taken",
    ),
    "too large": (lambda: b"-" * 300_001, "a file of licences has 300000 bytes at most"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_refused_file_changes_nothing_and_keeps_its_text(
    site: DashboardSite, ada: Reader, case: tuple[Any, str]
) -> None:
    """The message says what is wrong and what helps."""
    make, message = case
    content, before = make(), licences(site, "Refusing")
    page = upload(ada, "/licences/install?tenant=Refusing", content)
    assert page.status_code == 422
    assert message.casefold() in text_of(page).casefold()
    assert "Nothing was changed." in text_of(page)
    kept = _TEXT.search(page.text)
    assert kept is not None
    expected = "" if b"\xff" in content else content.decode()
    assert unescape(kept[1]).split() == expected.split()
    assert licences(site, "Refusing") == before


def test_a_refusal_leads_to_the_page_that_helps(site: DashboardSite, ada: Reader) -> None:
    """To trust the vendor, to add the pool, or to change how it counts; for who may do it."""
    path = "/licences/install?tenant=Refusing"
    stranger = TestVendor()
    unknown = upload(ada, path, file_of(stranger.sign(stranger.claims(tenant="Refusing"))))
    assert "/licences/trust?tenant=Refusing" in links_of(unknown)
    pool = licence_of("cnc", "all", tenant="Refusing", name="P", seats=1)
    assert "/set-up/pools/add?tenant=Refusing" in links_of(upload(ada, path, file_of(pool)))
    with site.changing() as change:
        setup = change.tenant("Refusing")
        setup.add_pool("each", seats=2, duplicates=Duplicates.NONE)
    each = licence_of("each", "all", tenant="Refusing", name="E", seats=1)
    assert "/set-up/pools/edit?tenant=Refusing&name=each" in links_of(upload(ada, path, file_of(each)))


def test_nothing_sent_is_asked_for(ada: Reader) -> None:
    """A form without a file and without a text."""
    page = paste(ada, "/licences/install?tenant=Refusing", " ")
    assert page.status_code == 422
    assert "Choose the file that the vendor sent, or paste its text." in text_of(page)
    page = paste(ada, "/licences/trust", "")
    assert "Choose the vendor's vendor.json, or paste its text." in text_of(page)


def test_a_form_that_is_larger_than_any_file_is_not_read(ada: Reader) -> None:
    """A bound of its own, as a file may be larger than any other form."""
    page = upload(ada, "/licences/install?tenant=Refusing", b"-" * 700_000)
    assert page.status_code == 413


def test_more_that_ends_meanwhile_is_asked_again(site: DashboardSite, ada: Reader) -> None:
    """Nobody agreed to it."""
    path = "/licences/install?tenant=Jim_Test"
    for client in ("Client1", "Client2"):
        site.take(client).raise_for_status()
    question = upload(ada, path, file_of(signed(serial=9, seats=1, exp=days(site, 40))))
    assert "Install and end" in text_of(question)
    page = agree(ada, path, question, ends="0")
    assert page.status_code == 409
    assert "More would end by now than you had agreed to. Nothing was changed yet." in text_of(page)
    assert ("C-1", 9, False) not in licences(site, "Jim_Test")


def test_a_licence_is_removed_after_a_question_and_never_comes_back(site: DashboardSite, ada: Reader) -> None:
    put(site, "Removing", signed("Removing", seats=7), signed("Removing", name="B", seats=1))
    path = "/licences/remove?tenant=Removing&licence=C-1&serial=1"
    assert path in links_of(ada.get("/licences?tenant=Removing"))
    question = ada.get(path)
    assert heading(question) == "Remove licence C-1, serial 1, from Removing?"
    assert "8 seats 1 seat" in text_of(question)
    done = agree(ada, path, question)
    assert done.status_code == 303
    assert ("C-1", 1, True) in licences(site, "Removing")
    page = upload(ada, "/licences/install?tenant=Removing", file_of(signed("Removing", seats=7)))
    assert "Serial 1 of C-1 was removed here; ask the vendor for a new serial." in text_of(page)
    assert ada.get(path).status_code == 404
    assert ada.get("/licences/remove?tenant=Removing&licence=C-1&serial=x").status_code == 303


def test_a_vendor_is_trusted_after_its_thumbprint_was_shown(site: DashboardSite, ada: Reader) -> None:
    """Then its keys are replaced, and it is trusted no more."""
    first, second = (TestVendor("kauri", "stock") for _ in range(2))
    question = upload(ada, "/licences/trust", vendor_file(first).encode())
    assert heading(question) == "Trust kauri for stock?"
    assert first.kid in question.text
    assert "kauri" not in vendors(site)
    assert agree(ada, "/licences/trust", question).status_code == 303
    assert vendors(site)["kauri"] == {first.kid}
    same = upload(ada, "/licences/trust", vendor_file(first).encode())
    assert heading(same) == "kauri is trusted already for stock"
    assert 'name="sure"' not in same.text
    question = paste(ada, "/licences/trust", vendor_file(second))
    said = text_of(question)
    assert heading(question) == "Trust other keys of kauri for stock?"
    assert f"New keys {second.kid} Keys that are not in the file, and are trusted no more {first.kid}" in said
    agree(ada, "/licences/trust", question)
    assert vendors(site)["kauri"] == {second.kid}
    path = "/licences/distrust?vendor=kauri&product=stock"
    question = ada.get(path)
    assert heading(question) == "Trust kauri no more for stock?"
    assert agree(ada, path, question).status_code == 303
    assert "kauri" not in vendors(site)
    assert ada.get(path).status_code == 404


def test_the_seats_that_go_with_a_vendor_are_said_before(site: DashboardSite, ada: Reader) -> None:
    """In every tenant, with the sessions that end; nothing goes before somebody agrees."""
    vendor = the_vendor().vendor
    put(site, "Mine", signed("Mine", seats=3))
    put(site, "Jim_Test", signed(name="J", seats=2))
    site.take("Client1").raise_for_status()
    question = ada.get(f"/licences/distrust?vendor={vendor.name}&product={vendor.product}")
    said = text_of(question)
    assert "Mine , full 3 seats 0 seats" in said
    assert re.search(r"\d sessions? will end at once", said)
    assert "Jim_Test : Client1" in said
    assert "Trust it no more and end" in said
    assert "acme" in vendors(site)


def test_a_private_key_is_refused_and_not_shown_again(ada: Reader) -> None:
    """It is a secret."""
    page = paste(ada, "/licences/trust", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMB\n-----END PRIVATE KEY-----")
    assert page.status_code == 422
    assert "This is a private key; whoever has it can sign licences" in text_of(page)
    assert "MIGHAgEAMB" not in page.text


def test_an_owner_of_one_tenant_installs_there_and_changes_no_trust(site: DashboardSite, ada: Reader) -> None:
    """Trust and removal are for owners of all tenants, whatever form is sent."""
    content = file_of(signed("Mine", serial=2, seats=4))
    with site.reader("olga") as olga:
        page = olga.get("/licences")
        assert "/licences/install" in links_of(page)
        assert not [it for it in links_of(page) if "trust" in it or "remove" in it]
        question = upload(olga, "/licences/install", content)
        assert agree(olga, "/licences/install", question).status_code == 303
        assert ("C-1", 2, False) in licences(site, "Mine")
        csrf, sure = olga.csrf("/licences/install"), {"sure": "1", "ends": "9", "cuts": "9"}
        for path in (
            "/licences/trust",
            "/licences/distrust?vendor=acme&product=jim2-api",
            "/licences/remove?licence=C-1&serial=2",
        ):
            assert olga.get(path).status_code == 403, path
            form = {"csrf": csrf, "text": vendor_file(the_vendor()), **sure}
            assert olga.http.post(path, data=form).status_code == 403, path
        assert olga.get("/licences/install?tenant=Jim_Test").status_code == 404


@pytest.mark.parametrize("name", ["vera", "oscar"])
def test_who_is_no_owner_looks_and_changes_nothing(site: DashboardSite, name: str) -> None:
    """Neither a viewer nor an operator has a button, or is let in."""
    with site.reader(name) as reader:
        page = reader.get("/licences?tenant=Mine")
        assert page.status_code == 200
        assert [it for it in links_of(page) if it.startswith("/licences/")] == [
            "/licences/download.csv?tenant=Mine"
        ]
        csrf = reader.csrf("/password")
        for path in ("install?tenant=Mine", "trust", "remove?tenant=Mine&licence=C-1&serial=1"):
            assert reader.get(f"/licences/{path}").status_code == 403, path
            assert reader.http.post(f"/licences/{path}", data={"csrf": csrf}).status_code == 403, path


def test_a_form_without_the_token_is_not_taken(site: DashboardSite, ada: Reader) -> None:
    """A page of another site can make a browser send a file, and cannot know the token."""
    content = file_of(signed("Mine", name="forged"))
    for token in ("", "x" * 43):
        data = {"csrf": token, "sure": "1", "ends": "9", "cuts": "9"}
        page = ada.http.post("/licences/install?tenant=Mine", data=data, files={"file": ("f", content)})
        assert page.status_code in {401, 403}
    assert "forged" not in {name for name, _, _ in licences(site, "Mine")}


def test_a_text_waits_while_somebody_signs_in_again(site: DashboardSite) -> None:
    """What was pasted is in the form after it; nothing was installed meanwhile."""
    path = "/licences/install?tenant=Mine"
    text = file_of(signed("Mine", name="waiting")).decode()
    with site.reader(None) as reader:
        page = reader.http.post(path, data={"csrf": "x", "text": text}, files={"file": ("", b"")})
        assert page.status_code == 401
        page = reader.sign_in("ada", **hidden(page))
        kept = _TEXT.search(page.text)
        assert kept is not None
        assert unescape(kept[1]).split() == text.split()
    assert "waiting" not in {name for name, _, _ in licences(site, "Mine")}


def vendors(site: DashboardSite) -> dict[str, set[str]]:
    """The vendors that are trusted, with their keys."""
    with site.store() as store, store.reading() as connection:
        return {it.name: set(it.keys) for it in trusted(connection)}
