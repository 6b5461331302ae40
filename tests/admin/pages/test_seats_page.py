"""Seats and sessions, and ending them: what the pages answer to whom, without a network."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from licet.ledger.commands import Denied, Grant, Granted
from licet.model import NoSeatReason
from licet.setup.change import changing
from licet.setup.end_sessions import REASON_CHARS_MAX
from licet.store import schema
from support.admin.admin_pages import Pages
from support.admin.admin_site import OTHER, AdminSite
from support.admin.dashboard import heading, hidden
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import JIM, START_MS

END = f"/seats/end?tenant={JIM}"
SEAT = "full/client:c1"


@pytest.fixture
def own_pages(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[Pages]:
    """`Jim_Test` and `Other`, for one test alone."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    yield Pages(site)
    site.close()


@pytest.fixture(scope="module")
def shared_pages(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """`Jim_Test` and `Other`, for all that leave nobody in."""
    directory = tmp_path_factory.mktemp("seats")
    site = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield Pages(site)
    site.close()


@pytest.fixture
def pages(shared_pages: Pages) -> Iterator[Pages]:
    """Nobody is in, and nobody is kept away; afterwards neither."""
    yield shared_pages
    site = shared_pages.site
    with changing(site.store, "a test") as change:
        tenant = change.tenant(JIM)
        tenant.end_sessions(
            [row.sid for row in change.transaction.connection.execute(select(schema.session))]
        )
        for client_id in site.tenant.clients:
            tenant.suspend(client_id, None)


def text_of(page: httpx.Response) -> str:
    """What a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def ask(site: AdminSite, client_id: str) -> Any:
    """What a client is answered that asks for a seat now."""
    tenant = site.tenant
    client = tenant.clients[client_id]
    grant = Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=b"x" * 20,
        scope="all",
        pool_id=1,
        address="192.0.2.1",
    )
    return site.commit(grant)


def test_on_every_store_a_seat_is_listed_and_ended_with_reason_and_cool_down(
    make_place: Callable[[int], Place], tmp_path: Path
) -> None:
    """L4, L12; who did it, why and for how long is an event."""
    site = AdminSite(make_place(START_MS), tmp_path)
    pages = Pages(site)
    granted = site.grant("c1")
    page = pages.get(f"/seats?tenant={JIM}")
    assert heading(page) == f"1 of 5 seats in use in {JIM}"
    assert all(text in text_of(page) for text in ("U1 User 1", "c1", "all", "192.0.2.1"))
    done = pages.post(END, seat=SEAT, sure="1", reason=" It hangs ", cool_down="300")
    assert pages.told(done) == "1 session ended, 1 seat came back. c1 may not come back for 5 minutes."
    assert not site.lives(granted)
    actor, tenant, action, target, detail = site.event()
    assert (actor, tenant, action, target) == ("oscar", JIM, "end", "client c1")
    assert "It hangs" in detail
    denied = ask(site, "c1")
    assert isinstance(denied, Denied)
    assert denied.reason is NoSeatReason.SUSPENDED
    site.clock.advance(seconds=300)
    assert isinstance(ask(site, "c1"), Granted)
    site.check()
    site.close()


class TestTheList:
    """`/seats`."""

    def test_of_which_tenant_is_asked_where_there_are_several(self, pages: Pages) -> None:
        """And not where only one is to be seen."""
        assert heading(pages.get("/seats")) == "Seats of which tenant?"
        assert heading(pages.get("/seats", "otto")) == f"0 of 2 seats in use in {OTHER}"

    def test_sessions_without_a_seat_are_a_list_of_their_own(self, pages: Pages) -> None:
        """L1."""
        pages.site.grant("c2", "view")
        page = pages.get(f"/seats?tenant={JIM}&kind=without-seat")
        assert heading(page) == f"1 session without a seat in {JIM}"
        assert "U2 User 2" in text_of(page)
        assert heading(pages.get(f"/seats?tenant={JIM}")) == f"0 of 5 seats in use in {JIM}"

    def test_a_search_is_said_in_the_heading_and_can_be_taken_away(self, pages: Pages) -> None:
        """Each filter is a chip."""
        pages.site.grant("c1")
        pages.site.grant("c2")
        page = pages.get(f"/seats?tenant={JIM}&q=C2&scope=all")
        assert heading(page) == f"1 matching seat in use in {JIM}"
        assert f'href="/seats?tenant={JIM}&amp;scope=all" title="Take this filter away"' in page.text

    @pytest.mark.parametrize(
        "query", ["q=%00", "q=%ff%fe", "q=" + "x" * 5000, "pool=no", "scope=no", "kind=x"]
    )
    def test_whatever_is_searched_for_is_answered(self, pages: Pages, query: str) -> None:
        """Never a fault."""
        assert pages.get(f"/seats?tenant={JIM}&{query}").status_code == 200

    @pytest.mark.parametrize(
        "path", [f"/seats?tenant={JIM}&after=x", "/seats?after=x", "/?after=x", "/?tenant=No"]
    )
    def test_what_is_not_there_is_a_page_that_says_so(self, pages: Pages, path: str) -> None:
        """With the request's id."""
        page = pages.get(path)
        assert page.status_code == 404
        assert heading(page) == "Not found"
        assert page.headers["x-request-id"] in page.text

    def test_an_error_in_a_part_of_a_page_takes_the_place_of_the_whole(self, pages: Pages) -> None:
        """A list has no room for it."""
        page = pages.get(f"/seats?tenant={JIM}&after=x", hx_request="true")
        assert page.headers["hx-retarget"] == "#main"


class TestSeatsOnHold:
    """L18: a seat on which no session lives any more."""

    def test_whoever_ends_a_session_is_told_when_its_seat_is_free_and_sees_it_on_hold(
        self, make_place: Callable[[int], Place], tmp_path: Path
    ) -> None:
        """Before and after; there is nothing left to end at it."""
        site = AdminSite(make_place(START_MS), tmp_path)
        pages = Pages(site)
        with changing(site.store, "a test") as change:
            change.tenant(JIM).set_pool("full", hold_s=60)
        site.grant("c1")
        site.grant("c2")
        before = text_of(pages.get(f"{END}&seat={SEAT}"))
        assert "The tokens stop working at once; the seat is on hold, and free at" in before
        done = pages.told(pages.post(END, seat=SEAT, sure="1"))
        assert re.fullmatch(
            r"1 session ended, 0 seats came back. 1 seat is on hold, and free in (59|60) s.", done
        )
        page = pages.get(f"/seats?tenant={JIM}")
        assert heading(page) == f"2 of 5 seats in use in {JIM}"
        assert text_of(page).count("on hold") == 1
        assert page.text.count('name="seat"') == 1
        assert "full/client%3Ac1" not in page.text
        assert SEAT not in page.text
        seen = text_of(pages.get(f"/?tenant={JIM}"))
        assert "1 of them on hold" in seen
        assert heading(pages.get(f"{END}&seat={SEAT}")) == "There is nothing to end"
        site.clock.advance(seconds=60)
        site.store.probe()  # an idle node follows the database's clock
        assert heading(pages.get(f"/seats?tenant={JIM}")) == f"1 of 5 seats in use in {JIM}"
        site.check()
        site.close()


class TestEnding:
    """`/seats/end`."""

    def test_what_will_happen_is_said_before(self, pages: Pages) -> None:
        """And nothing has happened yet."""
        granted = pages.site.grant("c1")
        pages.site.grant("c1")
        page = pages.get(f"{END}&seat={SEAT}")
        assert heading(page) == "End 2 sessions of c1?"
        assert "The tokens stop working at once; the seat is free." in text_of(page)
        assert pages.post(END, seat=SEAT).status_code == 200
        assert pages.site.lives(granted)

    def test_one_of_two_sessions_leaves_the_seat_in_use(self, pages: Pages) -> None:
        """L4."""
        granted, other = pages.site.grant("c1"), pages.site.grant("c1")
        sid = granted.session.sid.hex()
        page = pages.get(f"{END}&session={sid}")
        assert "The seat stays in use by other sessions." in text_of(page)
        assert pages.told(pages.post(END, session=sid, sure="1")) == "1 session ended, 0 seats came back."
        assert (pages.site.lives(granted), pages.site.lives(other)) == (False, True)

    def test_a_session_that_the_holder_began_meanwhile_goes_as_well(self, pages: Pages) -> None:
        """Who ends a seat wants it back."""
        pages.site.grant("c1")
        asked = pages.get(f"{END}&seat={SEAT}")
        later = pages.site.grant("c1")
        done = pages.post(END, **{key: text for key, text in hidden(asked).items() if key != "csrf"})
        assert pages.told(done) == "2 sessions ended, 1 seat came back."
        assert not pages.site.lives(later)

    def test_all_that_fit_are_ended_and_nothing_else(self, pages: Pages) -> None:
        """More than a page has."""
        first, second, view = (
            pages.site.grant("c1"),
            pages.site.grant("c2"),
            pages.site.grant("c2", "view"),
        )
        asked = pages.get(f"{END}&all=1&q=c2")
        assert heading(asked) == "End 1 session of c2?"
        pages.told(pages.post(END, **{key: text for key, text in hidden(asked).items() if key != "csrf"}))
        assert [pages.site.lives(it) for it in (first, second, view)] == [True, False, True]

    @pytest.mark.parametrize("path", [f"{END}&seat={SEAT}", END])
    def test_a_viewer_ends_nothing(self, pages: Pages, path: str) -> None:
        """It takes an operator, or an owner."""
        granted = pages.site.grant("c1")
        page = pages.get(path, "vera")
        assert (page.status_code, heading(page)) == (403, "This is not for your role")
        assert pages.post(END, "vera", seat=SEAT, sure="1").status_code == 403
        assert pages.site.lives(granted)

    def test_an_administrator_of_another_tenant_neither_sees_nor_ends_anything(self, pages: Pages) -> None:
        """It is answered as a tenant that is not there."""
        granted = pages.site.grant("c1")
        for path in (f"/?tenant={JIM}", f"/seats?tenant={JIM}", f"{END}&seat={SEAT}", f"/live?tenant={JIM}"):
            assert pages.get(path, "otto").status_code == 404
        assert pages.post(END, "otto", seat=SEAT, sure="1").status_code == 404
        sid = granted.session.sid.hex()
        for fields in ({"seat": SEAT}, {"session": sid}, {"all": "1"}):
            told = pages.told(pages.post("/seats/end", "otto", sure="1", **fields), "otto")
            assert told == "Nothing was ended: what you chose had ended by itself."
        assert pages.site.lives(granted)
        assert JIM not in pages.get("/", "otto").text

    @pytest.mark.parametrize("reason", ["x" * (REASON_CHARS_MAX + 1), "two\nlines", "a\0b"])
    def test_a_reason_that_cannot_be_is_shown_again_with_what_is_wrong(
        self, pages: Pages, reason: str
    ) -> None:
        """Beside its field; nothing is ended."""
        granted = pages.site.grant("c1")
        page = pages.post(END, seat=SEAT, sure="1", reason=reason, cool_down="3600")
        assert page.status_code == 422
        assert "A reason is one line of at most 200 characters." in text_of(page)
        assert 'aria-invalid="true" aria-describedby="reason-error"' in page.text
        assert 'value="3600" checked' in page.text
        assert pages.site.lives(granted)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"seat": ""},
            {"seat": "full"},
            {"seat": "no/client:c1"},
            {"seat": "full/client:c1\0"},
            {"seat": "full/client:gone"},
            {"session": "g" * 40},
            {"session": "ab" * 20},
            {"session": ["ab" * 20] * 900},
        ],
    )
    def test_what_is_not_there_cannot_be_ended(self, pages: Pages, fields: dict[str, Any]) -> None:
        """It is said, and is no fault."""
        granted = pages.site.grant("c1")
        assert heading(pages.post(END, **fields)) == "There is nothing to end"
        assert pages.told(pages.post(END, sure="1", **fields)).startswith("Nothing was ended")
        assert pages.site.lives(granted)

    @pytest.mark.parametrize("cool_down", ["", "-5", "x", "1e3", "\u0663", "9" * 40])
    def test_a_cool_down_that_is_none_keeps_nobody_away(self, pages: Pages, cool_down: str) -> None:
        """The page offers three."""
        pages.site.grant("c1")
        pages.told(pages.post(END, seat=SEAT, sure="1", cool_down=cool_down))
        assert isinstance(ask(pages.site, "c1"), Granted)

    def test_nobody_is_sent_on_to_another_site(self, pages: Pages) -> None:
        """The way back is within the list."""
        for back in ("https://example.com/seats?", "//example.com", "/seats?x\r\nset-cookie: a=b"):
            answer = pages.post(END, seat=SEAT, sure="1", back=back)
            assert answer.headers["location"] == f"/seats?tenant={JIM}"


def test_a_store_that_is_down_is_a_plain_page_with_the_requests_id(own_pages: Pages) -> None:
    """Nothing of the fault's own words."""
    own_pages.get("/seats")
    own_pages.site.store.close()
    page = own_pages.get("/seats")
    assert page.status_code == 503
    assert heading(page) == "The store does not answer"
    assert page.headers["x-request-id"] in page.text
    assert "Traceback" not in page.text
    assert "sqlite" not in page.text.lower()
