"""Who waits for a seat, on the dashboard: the line of a pool, and a place that is removed (L19)."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from licet.options import Share
from licet.setup.change import changing
from support.admin.admin_pages import Pages
from support.admin.admin_site import AdminSite
from support.admin.dashboard import heading
from support.admin.pages import text_of
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, JIM, START_MS

QUEUE = f"/queue?tenant={JIM}&pool=full"
REMOVE = f"/queue/remove?tenant={JIM}&pool=full"


@pytest.fixture
def pages(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[Pages]:
    """A pool of one seat, in use by `c1`, with a queue of three; `c3` waits, and then `c2`."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1, queue=3)
    site.grant("c1")
    site.ask("c3", queue=True)
    site.ask("c2", queue=True)
    yield Pages(site)
    site.close()


def line(pages: Pages) -> list[list[str]]:
    """Places and clients, as the file of the page has them."""
    text = pages.get(QUEUE.replace("/queue", "/queue/download.csv")).text
    return [[row["place"], row["client_id"]] for row in csv.DictReader(text.splitlines())]


def test_a_page_shows_who_waits_in_which_order_and_since_when(pages: Pages) -> None:
    page = pages.get(QUEUE, "vera")
    assert heading(page) == f"2 clients wait for a seat of full in {JIM}"
    text = text_of(page)
    assert text.index("c3") < text.index("c2")
    assert "U3 User 3" in text
    assert "Remove" not in text  # who may only look is offered nothing
    assert line(pages) == [["1", "c3"], ["2", "c2"]]


def test_an_operator_is_asked_before_a_place_is_removed(pages: Pages) -> None:
    question = pages.get(f"{REMOVE}&client=c3")
    assert heading(question) == "Remove c3 from the line for full?"
    assert "It loses place 1 of 2" in text_of(question)
    assert len(line(pages)) == 2
    assert pages.told(pages.post(f"{REMOVE}&client=c3")) == "c3 has no place in line any more."
    assert line(pages) == [["1", "c2"]]


def test_a_place_that_was_removed_meanwhile_is_no_fault(pages: Pages) -> None:
    pages.post(f"{REMOVE}&client=c3")
    assert heading(pages.get(f"{REMOVE}&client=c3")) == "It does not wait any more"
    assert pages.told(pages.post(f"{REMOVE}&client=c3")) == "c3 had no place in line."


def test_who_may_only_look_or_is_of_another_tenant_removes_nothing(pages: Pages) -> None:
    assert pages.get(f"{REMOVE}&client=c3", "vera").status_code == 403
    assert pages.post(f"{REMOVE}&client=c3", "vera").status_code == 403
    assert pages.post(f"{REMOVE}&client=c3", "otto").status_code == 404
    assert pages.get(QUEUE, "otto").status_code == 404
    assert len(line(pages)) == 2


def test_a_form_without_its_token_removes_nothing(pages: Pages) -> None:
    """As a page of another site would send it."""
    pages.post(f"{REMOVE}&client=c3", csrf="")
    assert len(line(pages)) == 2


@pytest.mark.parametrize("query", ["pool=fuller", "", "pool=%00", "pool=" + "x" * 5000])
def test_a_pool_that_is_not_there_has_no_page(pages: Pages, query: str) -> None:
    assert pages.get(f"/queue?tenant={JIM}&{query}").status_code == 404
    assert pages.post(f"{REMOVE}&client=nobody").status_code == 404


def test_a_pool_without_a_queue_says_so(pages: Pages) -> None:
    with changing(pages.site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", queue=0)
    assert pages.site.tenant.pool_named("full")
    pages.site.clock.advance(seconds=30)
    assert "This pool has no queue." in text_of(pages.get(QUEUE))


def test_seats_and_overview_show_how_many_wait_and_lead_to_the_line(pages: Pages) -> None:
    for path in (f"/seats?tenant={JIM}", f"/?tenant={JIM}"):
        page = pages.get(path)
        assert "2 clients wait" in text_of(page)
        assert "/queue?tenant=Jim_Test&amp;pool=full" in page.text


def test_a_page_that_is_open_learns_that_the_line_changed(pages: Pages) -> None:
    """By the mark, which a list that follows compares."""
    before = pages.get(QUEUE).text.partition('data-mark="')[2].partition('"')[0]
    pages.post(f"{REMOVE}&client=c3")
    pages.site.ask("c3", queue=True)
    after = pages.get(QUEUE).text.partition('data-mark="')[2].partition('"')[0]
    assert before != after


def test_seats_show_what_is_reserved_and_by_which_options_each_is_counted(pages: Pages) -> None:
    site = pages.site
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=4, queue=0, reserve=(Share(who="client:c2", seats=2),))
    site.grant("c2")
    page = pages.get(f"/seats?tenant={JIM}")
    assert "1 of 2 reserved seats in use" in text_of(page)
    assert "reserve client:c2" in text_of(page)
    assert "1 of 2 reserved in use" in text_of(pages.get(f"/?tenant={JIM}"))
    found = csv.DictReader(pages.get(f"/seats/download.csv?tenant={JIM}").text.splitlines())
    assert {row["client_id"]: row["counted_by"] for row in found}["c2"] == "reserve client:c2"
