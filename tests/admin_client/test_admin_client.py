"""The typed client of the admin API: what an administrator's program does with it, and what may go wrong."""

import runpy
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import licet.admin_client
from licet.admin_client import (
    ANY,
    AdminClient,
    AdminUnreachable,
    ChangedMeanwhile,
    InvalidValue,
    NotAllowed,
    NotFound,
    SignInNeeded,
    TryLater,
    WouldEndSessions,
)
from licet.admin_client.answers.nouns import Consequences
from licet.admin_client.answers.pools import Pool
from licet.admin_client.answers.reports import EventEntry, JournalEntry
from support.admin.admin_site import OTHER, URL, AdminSite
from support.paths import DOCS
from support.store.kinds import SqlitePlaces
from support.store.setup_site import JIM, START_MS

PACKAGE = Path(licet.admin_client.__file__).parent
KEY = "lck_0123"


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener."""
    found = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    yield found
    found.close()


@pytest.fixture
def admin(site: AdminSite) -> Iterator[AdminClient]:
    """An owner of all tenants."""
    with site.admin_client() as found:
        yield found


def answering(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> AdminClient:
    """A client of a server that answers so."""
    return AdminClient(URL, api_key=KEY, transport=httpx.MockTransport(answer), **options)


def test_what_is_made_of_the_document_is_up_to_date() -> None:
    """`make docs` makes it, and its page."""
    maker = runpy.run_path(str(DOCS / "make_admin_client.py"))
    for name, text in maker["made"]().items():
        assert (PACKAGE / name).read_text(encoding="utf-8") == text, name
    page = (DOCS / "reference" / "admin-client.md").read_text(encoding="utf-8")
    assert page == maker["page"](maker["document"]())


def test_the_examples_of_its_page_run(admin: AdminClient, site: AdminSite, monkeypatch: Any) -> None:
    """One after the other, on a store with a denial and sessions."""
    for client in ("c1", "c2", "c3", "c1"):
        site.grant(client)
    page = (DOCS / "reference" / "admin-client.md").read_text(encoding="utf-8")
    blocks = [part.partition("```")[0] for part in page.split("```python\n")[1:]]
    monkeypatch.setattr(licet.admin_client, "AdminClient", lambda *_, **__: site.admin_client())
    names: dict[str, Any] = {"key": KEY, "admin": admin}
    for block in blocks:
        exec(block.replace("2026-01-31", "2001-01-31"), names | {"admin": admin})  # noqa: S102 - of our page
    assert admin.get_user(JIM, "AB").name == "Ada Byron"
    assert admin.get_pool(JIM, "full").seats == 7
    assert [*admin.list_sessions(JIM)] == []


class TestSetUp:
    """Tenants and what they have."""

    def test_a_customer_is_set_up_shown_changed_and_removed(self, admin: AdminClient) -> None:
        """Each answer is a dataclass, with the tag of what it shows."""
        made = admin.add_tenant(name="New_1", seats=3, time_zone="Australia/Sydney")
        assert (made.name, made.time_zone, made.session_ttl_s) == ("New_1", "Australia/Sydney", 1200)
        admin.add_user("New_1", initials="AB", name="Ada Byron", password="correct horse")
        client = admin.add_client("New_1", client_id="Büro/1 %", user="AB", generate_secret=True)
        assert client.secret is not None
        assert client.secret.secret.startswith("lcs_")
        assert client.secret.secret not in repr(client)
        pool = admin.get_pool("New_1", "full")
        assert isinstance(pool, Pool)
        changed = admin.change_pool(
            "New_1", "full", if_match=pool.etag, seats=None, expires_at=date(2037, 1, 31)
        )
        assert (changed.seats, changed.expires_at) == (None, datetime(2037, 1, 31, 13, tzinfo=UTC))
        assert changed.etag != pool.etag
        assert admin.change_pool("New_1", "full", if_match=ANY, expires_at=None).expires_at is None
        assert [it.client_id for it in admin.list_clients("New_1", matching="büro")] == ["Büro/1 %"]
        admin.remove_client("New_1", "Büro/1 %", if_match=ANY)
        admin.remove_client("New_1", "Büro/1 %", if_match=ANY)
        with pytest.raises(NotFound):
            admin.get_client("New_1", "Büro/1 %")

    def test_who_comes_second_gets_what_is_there(self, admin: AdminClient) -> None:
        """And its tag, to try again with."""
        seen = admin.get_pool(JIM, "full")
        admin.change_pool(JIM, "full", if_match=seen.etag, seats=9)
        with pytest.raises(ChangedMeanwhile) as refused:
            admin.change_pool(JIM, "full", if_match=seen.etag, seats=8)
        assert refused.value.current["seats"] == 9
        assert admin.change_pool(JIM, "full", if_match=refused.value.etag, seats=8).seats == 8

    def test_a_file_goes_as_it_is(self, admin: AdminClient) -> None:
        """The set-up, with its tag."""
        found = admin.get_declaration(tenant=JIM)
        plan = admin.apply_declaration(found.text, if_match=admin.get_declaration().etag, rehearse=True)
        assert (plan.is_done, {it.action for it in plan.steps}) == (False, {"keep"})


class TestWhatWouldEnd:
    """A change is refused until the caller agrees."""

    def test_a_dry_run_says_what_a_change_would_end(self, admin: AdminClient, site: AdminSite) -> None:
        """It is not made; with the number, it is."""
        site.grant("c1")
        ending = admin.dry_run(lambda: admin.remove_client(JIM, "c1", if_match=ANY))
        assert (ending.sessions_ended, ending.clients[0].client_id) == (1, "c1")
        with pytest.raises(WouldEndSessions) as refused:
            admin.remove_client(JIM, "c1", if_match=ANY)
        assert isinstance(refused.value.ending, Consequences)
        assert refused.value.ending.sessions_ended == 1
        admin.remove_client(JIM, "c1", if_match=ANY, may_end=1)
        assert [*admin.list_sessions(JIM)] == []

    def test_what_has_no_dry_run_is_not_done(self, admin: AdminClient) -> None:
        """The server refuses to be asked; a call that only reads is no change."""
        with pytest.raises(InvalidValue, match="no dry run"):
            admin.dry_run(lambda: admin.add_admin(name="eve", password="correct horse battery"))
        assert "eve" not in [it.name for it in admin.list_admins()]
        with pytest.raises(TypeError):
            admin.dry_run(lambda: admin.get_pool(JIM, "full"))
        assert admin.change_pool(JIM, "full", if_match=ANY, seats=6).seats == 6


class TestReports:
    """What is looked at."""

    def test_a_list_is_asked_for_page_by_page(self, admin: AdminClient) -> None:
        """As it is iterated over, and again each time."""
        users = admin.list_users(JIM, limit=1)
        assert [it.initials for it in users] == [it.initials for it in users] == ["U1", "U2", "U3"]
        page = users.page()
        assert [it.initials for it in page.items] == ["U1"]
        assert [it.initials for it in admin.list_users(JIM, cursor=page.next)] == ["U2", "U3"]

    def test_seats_usage_and_the_journal_have_their_types(self, admin: AdminClient, site: AdminSite) -> None:
        """Instants are datetimes in UTC, and entries of two kinds are told apart."""
        site.grant("c1")
        admin.change_pool(JIM, "full", if_match=ANY, seats=6)
        now = datetime.fromtimestamp(site.clock.now_ms() / 1000, UTC)
        [pool] = admin.get_seats(JIM).pools
        assert now - timedelta(minutes=1) < pool.in_use_by[0].taken_at <= now
        usage = admin.get_usage(JIM, from_=now - timedelta(hours=1), until=now)
        assert usage.until - usage.from_ == timedelta(hours=1)
        entries = [*admin.get_journal(JIM, limit=1)]
        assert {type(it) for it in entries} == {JournalEntry, EventEntry}
        assert next(it.detail for it in entries if isinstance(it, EventEntry)) == "seats 5 -> 6"

    def test_every_operation_that_only_reads_is_answered(self, admin: AdminClient) -> None:
        """With the class that its method returns."""
        for read in (
            admin.get_me,
            admin.get_check,
            lambda: [*admin.get_overview()],
            lambda: [*admin.list_alerts()],
            lambda: [*admin.list_keys()],
            lambda: [*admin.list_webhooks()],
            lambda: [*admin.list_deliveries()],
            lambda: [*admin.list_api_keys()],
            lambda: [*admin.list_vendors()],
            lambda: [*admin.list_licences(JIM)],
            lambda: [*admin.list_all_failures()],
            lambda: [*admin.list_denials(JIM, from_="2026-01-01", reason="all_in_use")],
            lambda: [*admin.list_holders(JIM, pool="full", at=datetime.now(UTC))],
            lambda: [*admin.list_secrets(JIM, "c1")],
        ):
            assert read() is not None


class TestRefused:
    """A problem is an exception, by what there is to do."""

    def test_a_problem_has_its_members(self, admin: AdminClient) -> None:
        """Those of RFC 9457, and ours."""
        with pytest.raises(InvalidValue) as refused:
            admin.add_scope(JIM, name="a", pool="no")
        problem = refused.value
        assert (problem.status, problem.kind, problem.code) == (422, "invalid-value", "not_found")
        assert [(it.pointer, it.code) for it in problem.errors] == [("#/pool", "not_found")]
        assert (problem.subject and problem.subject.name, [it.name for it in problem.others]) == (
            "no",
            ["full"],
        )
        assert problem.request_id in str(problem)

    def test_rights_are_those_of_the_key(self, site: AdminSite) -> None:
        """Of a role, of a tenant, and of no key that is known."""
        with site.admin_client("viewer") as viewer, pytest.raises(NotAllowed):
            viewer.add_user(JIM, initials="AB")
        with site.admin_client("owner of Other") as other:
            assert [it.name for it in other.list_tenants()] == [OTHER]
            with pytest.raises(NotFound):
                other.get_tenant(JIM)
        site.keys["nobody"] = "lck_0"
        with site.admin_client("nobody") as nobody, pytest.raises(SignInNeeded):
            nobody.get_me()

    def test_a_server_that_is_busy_says_when_to_try_again(self) -> None:
        """It is left to the caller."""
        members = {"type": "tag:licet,2026:store-unavailable", "title": "T", "status": 503, "detail": "D."}
        headers = {"retry-after": "7"}
        busy = answering(lambda _: httpx.Response(503, json={**members, "request_id": "r"}, headers=headers))
        with pytest.raises(TryLater) as refused:
            busy.get_me()
        assert refused.value.retry_after_s == 7


class TestOtherServers:
    """What is no admin API, and what is a later one."""

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(200, text="<html>"),
            httpx.Response(200, json=[]),
            httpx.Response(200, json={"actor": 5, "role": "viewer", "tenant": None}),
            httpx.Response(200, json={"actor": "ada"}),
            httpx.Response(302, headers={"location": "https://example.com/"}),
            httpx.Response(502, text="Bad gateway"),
            httpx.Response(404, json={"error": "not_found"}),
        ],
    )
    def test_what_is_not_understood_is_no_answer(self, answer: httpx.Response) -> None:
        """Never a value that is half made; no redirect is followed with the key."""
        asked: list[httpx.Request] = []

        def one(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return answer

        with pytest.raises(AdminUnreachable):
            answering(one).get_me()
        assert len(asked) == 1

    def test_a_later_server_may_add_members_and_words(self) -> None:
        """They are passed over, or shown as they are."""
        content = {"actor": "ada", "role": "auditor", "tenant": None, "since": "2027-01-01"}
        found = answering(lambda _: httpx.Response(200, json=content)).get_me()
        assert (found.actor, str(found.role)) == ("ada", "auditor")

    def test_an_answer_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the server is."""
        monkeypatch.setattr("licet.admin_client.caller.BODY_BYTES_MAX", 100)
        with pytest.raises(AdminUnreachable, match="more than 100 bytes"):
            answering(lambda _: httpx.Response(200, text="x" * 101)).get_me()

    def test_a_server_that_is_not_there_is_told_without_the_key(self) -> None:
        """Nor with it in the frames of an HTTP error."""

        def gone(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        with pytest.raises(AdminUnreachable) as fault:
            answering(gone).get_me()
        assert KEY not in str(fault.value)
        assert fault.value.__cause__ is None

    @pytest.mark.parametrize(
        ("url", "allowed"),
        [
            ("http://licence.example.com", "https"),
            ("ftp://127.0.0.1", "admin listener"),
            ("127.0.0.1:8081", "admin listener"),
            ("https://u:p@example.com", "admin listener"),
        ],
    )
    def test_the_key_goes_to_no_other_place(self, url: str, allowed: str) -> None:
        """Plain HTTP is for this machine, or where it is said."""
        with pytest.raises(ValueError, match=allowed):
            AdminClient(url, api_key=KEY)
        with AdminClient("http://licence.example.com", api_key=KEY, allow_http=True) as client:
            assert KEY not in repr(client)

    @pytest.mark.parametrize("key", ["", "lck_é", "lck_\n"])
    def test_a_key_that_is_none_is_refused(self, key: str) -> None:
        """Before it is sent."""
        with pytest.raises(ValueError, match="licet admin key add"):
            AdminClient(URL, api_key=key)
