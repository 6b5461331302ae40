"""Changing one's own password on the dashboard: by HTTP, no browser."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from licet.accounts.administrators import changing
from licet.model import Role
from licet.store import schema
from support.admin.dashboard import PASSWORD, DashboardSite, Reader, heading

NEW = "another horse"
PATH = "/password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all of them."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        yield site


@pytest.fixture
def vera(site: DashboardSite) -> Iterator[Reader]:
    """A viewer who is signed in, with the password that all have, in a minute in which nobody failed."""
    site.advance(seconds=60)
    with site.reader("vera") as reader:
        yield reader
    with site.store() as store, changing(store, "a test") as change:
        ada = change.admin("ada")
        change.set_admin("vera", password_hash=ada.password_hash, role=Role.VIEWER)


def test_every_role_may_change_its_own_password_and_stays_signed_in_here_only(
    site: DashboardSite, vera: Reader
) -> None:
    with site.reader("vera") as elsewhere:
        assert heading(vera.get(PATH)) == "Change your password"
        done = vera.post(PATH, old_password=PASSWORD, new_password=NEW, again_password=NEW)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert "Your password is changed." in vera.get("/").text
        assert elsewhere.get("/").status_code == 303
        assert elsewhere.sign_in("vera", PASSWORD).status_code == 401
        assert elsewhere.sign_in("vera", NEW).status_code == 303


def test_everybody_sees_where_it_is_signed_in_and_may_sign_out_elsewhere(
    site: DashboardSite, vera: Reader
) -> None:
    """OWASP ASVS 7.5.2. Nobody else's sign-ins are there, nor do they end."""
    vera.post(f"{PATH}/sign-out-elsewhere")
    here = vera.get(PATH).text
    assert here.count("127.0.0.1") == 2  # as its text and its title
    assert '<span class="tag on">here</span>' in here
    assert "Sign out everywhere else" not in here
    with site.reader("vera") as elsewhere, site.reader("ada") as ada:
        for reader in (vera, elsewhere):
            assert reader.get(PATH).text.count('<span class="tag on">here</span>') == 1
        assert "Sign out everywhere else" in vera.get(PATH).text
        done = vera.post(f"{PATH}/sign-out-elsewhere")
        assert (done.status_code, done.headers["location"]) == (303, PATH)
        assert "1 other sign-in ended. You are signed in here only." in vera.get(PATH).text
        assert elsewhere.get("/").status_code == 303
        assert ada.get("/").status_code == 200
        assert vera.get("/").status_code == 200
    with site.store() as store, store.reading() as connection:
        events = connection.execute(select(schema.event).where(schema.event.c.action == "sign out")).all()
    assert [(it.actor, it.detail) for it in events][-1] == ("vera", "everywhere else: 1")


def test_a_page_of_another_site_signs_nobody_out(site: DashboardSite, vera: Reader) -> None:
    """OWASP ASVS 3.5.1: it takes the CSRF token, as every form."""
    with site.reader("vera") as elsewhere:
        forged = vera.http.post(f"{PATH}/sign-out-elsewhere", data={"csrf": "no"})
        assert forged.headers["location"].startswith("/sign-in")
        assert elsewhere.get("/").status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "again", "told"),
    [
        ("wrong", NEW, NEW, "This is not your password."),
        (PASSWORD, NEW, "something else", "This is another one than above."),
        (PASSWORD, "short", "short", "A password is 8 to 256 characters."),
        (PASSWORD, "tab\tin it", "tab\tin it", "A password has no control characters."),
        (PASSWORD, "letmein123", "letmein123", "A password must be hard to guess"),
        (PASSWORD, "vera-2026", "vera-2026", "A password is more than a name"),
        (PASSWORD, "", "", "A password is 8 to 256 characters."),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_no_password_comes_back(
    vera: Reader, old: str, new: str, again: str, told: str
) -> None:
    answer = vera.post(PATH, old_password=old, new_password=new, again_password=again)
    assert answer.status_code == 422
    assert heading(answer) == "Your password is not changed yet"
    assert '<p class="error" id="e-' in answer.text
    assert told in answer.text
    assert 'value="short"' not in answer.text
    assert PASSWORD not in answer.text
    assert vera.get("/").status_code == 200


def test_guessing_at_the_old_password_is_limited_like_a_sign_in(vera: Reader) -> None:
    statuses = [
        vera.post(PATH, old_password="wrong", new_password=NEW, again_password=NEW).status_code
        for _ in range(11)
    ]
    assert statuses == [*[422] * 10, 429]


def test_a_form_without_its_csrf_token_changes_nothing(vera: Reader) -> None:
    form = {"old_password": PASSWORD, "new_password": NEW, "again_password": NEW}
    answer = vera.http.post(PATH, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?then=%2Fpassword")
    assert vera.sign_in("vera", PASSWORD).status_code == 303
