"""The reports beside the page of usage: true-up, idle seats, costs, what if, export and statements."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from licet.units import DAY_MS
from licet.vendor.statements import read_statement, split, troubles
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import links_of, text_of

HERE = "?tenant=Jim_Test"
REPORTS = ("true-up", "idle", "costs", "what-if", "export")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A pool of 2 seats, held for half an hour by one client, and by another that never asked again."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            change.add_tenant("Bare", seats=0)
            tenant = change.tenant("Jim_Test")
            tenant.set_pool("full", seats=2)
            tenant.set_user("C1", cost_centre="=4711")
        site.advance(seconds=30 * 86_400)
        for client_id in ("Client1", "Client2"):
            site.take(client_id).raise_for_status()
        for _ in range(3):
            assert site.take("Client3").status_code == 400
            site.advance(seconds=500)
        site.advance(seconds=1500)  # so long a denial may still be followed by a grant
        yield site


@pytest.mark.parametrize("report", REPORTS)
def test_each_report_leads_to_the_others_with_the_same_span(ada: Reader, report: str) -> None:
    """And asks of which tenant, where none is chosen."""
    page = ada.get(f"/usage/{report}{HERE}&span=24h")
    assert page.status_code == 200
    for other in REPORTS:
        own = "" if other == "what-if" else "&span=24h"
        assert any(it.startswith(f"/usage/{other}{HERE}{own}") for it in links_of(page)), other
    assert "of which tenant?" in heading(ada.get(f"/usage/{report}")).lower()
    assert ada.get(f"/usage/{report}?tenant=None").status_code == 404
    assert ada.get(f"/usage/{report}?tenant=Bare").status_code == 200


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    "query", ["&span=x", "&from=9&until=5", "&from=-1", "&pool=%00", "&seats=x&by=x&price=x", "&price=nan"]
)
def test_what_cannot_be_meant_in_an_address_is_left_out(ada: Reader, report: str, query: str) -> None:
    """A page is never a fault, whatever somebody types."""
    assert ada.get(f"/usage/{report}{HERE}{query}").status_code in {200, 422}


def test_a_true_up_has_a_row_a_day_and_is_a_file(ada: Reader) -> None:
    """With the true denials of the day."""
    page = ada.get(f"/usage/true-up{HERE}&span=7d")
    assert heading(page) == "0.0 overdraft hours and 1 true denial in Jim_Test in the last 7 days"
    rows = list(csv.DictReader(io.StringIO(ada.get(f"/usage/true-up/download.csv{HERE}&span=7d").text)))
    assert len(rows) == 7
    assert sum(int(row["true_denials"]) for row in rows) == 1


def test_a_true_up_of_a_year_shows_a_month(ada: Reader) -> None:
    """With many pools a page with each day would have thousands of rows; the file has them."""
    page = ada.get(f"/usage/true-up{HERE}&span=90d")
    assert page.text.count('<th scope="row">') == 31
    assert "59 more; the file has all." in text_of(page)
    assert len(ada.get(f"/usage/true-up/download.csv{HERE}&span=90d").text.splitlines()) == 91


def test_idle_seats_are_listed_by_client(ada: Reader) -> None:
    """And who held none."""
    text = text_of(ada.get(f"/usage/idle{HERE}&span=24h"))
    assert "may ask for a seat and held none" in text
    rows = list(csv.DictReader(io.StringIO(ada.get(f"/usage/idle/download.csv{HERE}&span=24h").text)))
    assert {row["client_id"] for row in rows} == {"Client1", "Client2"}


def test_costs_are_split_by_what_the_form_says(ada: Reader) -> None:
    """The file has the same, and a cost centre that a spreadsheet would calculate is a text there."""
    page = ada.get(f"/usage/costs{HERE}&by=cost-centre&price=100&span=24h")
    assert "all of it costs 200.00" in text_of(page)
    assert "100.00" in text_of(page)
    (to,) = {it for it in links_of(page) if "costs/download.csv" in it}
    rows = list(csv.DictReader(io.StringIO(ada.get(to).text)))
    assert {row["name"]: row["cost"] for row in rows} == {"'=4711": "100.00", "": "100.00"}
    assert "in no group" in text_of(ada.get(f"/usage/costs{HERE}&by=group&span=24h"))


@pytest.mark.parametrize("price", ["12,50", "-1", "nan", "1e400", "<b>"])
def test_a_price_that_is_none_is_told_and_not_used(ada: Reader, price: str) -> None:
    page = ada.get(f"/usage/costs{HERE}&price={quote(price)}")
    assert page.status_code == 422
    assert f"A price is a number from 0 to 1,000,000,000, like 12.50; this is not: {price!r}." in text_of(
        page
    )
    assert "all of it costs" not in text_of(page)


def test_what_if_replays_only_when_the_form_was_sent(ada: Reader) -> None:
    """With today's set-up in its fields; a third seat would have turned nobody away."""
    page = ada.get(f"/usage/what-if{HERE}")
    assert heading(page) == "What would another set-up have done in Jim_Test?"
    assert 'value="2"' in page.text
    page = ada.get(f"/usage/what-if{HERE}&seats=3&hold_s=60s")
    assert heading(page).startswith("0 true denials of full in Jim_Test with another set-up")
    assert "3 seats by client, hold 60s" in text_of(page).replace("hold 1m", "hold 60s")
    assert "Replayed, today's set-up misses the recorded peak by 0.0%, and misses" in text_of(page)


def test_a_report_that_has_an_end_alone_is_as_long_as_usual(ada: Reader) -> None:
    """It ends with the day before that midnight, and 30 days are its length."""
    page = ada.get(f"/usage/export{HERE}&until={31 * DAY_MS}")
    assert "Log from 1970-01-02 00:00 UTC until 1970-02-01 00:00 UTC" in text_of(page)


def test_what_if_of_a_time_without_seats_says_that_there_is_nothing_to_check_against(ada: Reader) -> None:
    """No percentage of nothing."""
    page = ada.get(f"/usage/what-if{HERE}&span=24h&from={30 * DAY_MS}&until={31 * DAY_MS}&seats=3")
    assert "No seats were recorded in this period, so nothing to check against." in text_of(page)
    assert "%" not in text_of(page)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("&seats=-1", "whole number from 0 to 1,000,000"),
        ("&seats=many", "whole number from 0 to 1,000,000"),
        ("&hold_s=forever", "forever"),
        ("&session_ttl_s=0s", "0s"),
        ("&duplicates=nobody", "nobody"),
    ],
)
def test_a_set_up_that_cannot_be_is_said_at_its_field(ada: Reader, query: str, told: str) -> None:
    """And nothing is replayed."""
    page = ada.get(f"/usage/what-if{HERE}{query}")
    assert page.status_code == 422
    assert told in text_of(page)
    assert "Today's set-up, replayed" not in text_of(page)


def test_other_options_are_typed_a_rule_a_line_as_in_the_form_of_the_pool(ada: Reader) -> None:
    """What was typed is in the address, and shown again; the table says what was replayed."""
    page = ada.get(f"/usage/what-if{HERE}&exclude=user:C3%0D%0Aclient:Client2&max=&max_per_user=1&of=full")
    assert page.status_code == 200
    row = text_of(page).partition("What if 2 seats")[2]
    assert "exclude client:Client2 user:C3, max per user 1" in row
    assert "user:C3\r\nclient:Client2</textarea>" in page.text.replace("&#13;", "\r")


@pytest.mark.parametrize(
    ("query", "fields", "told"),
    [
        ("&exclude=C3", {"exclude"}, "user:INITIALS"),
        ("&max=user:C3+x", {"max"}, "like group:sales 2"),
        ("&max_per_user=-1", {"max_per_user"}, "whole number"),
        ("&include=group:none", {"include"}, "none"),
        ("&named=C3&include=user:C3", {"named", "include"}, "exclude each other"),
        ("&exclude=" + "user:C3%0A" * 200, {"exclude"}, "1,500 characters"),
    ],
)
def test_an_option_that_cannot_be_is_said_at_its_field(
    ada: Reader, query: str, fields: set[str], told: str
) -> None:
    """Where two contradict each other at both; and nothing is replayed."""
    page = ada.get(f"/usage/what-if{HERE}{query}")
    assert page.status_code == 422
    assert set(re.findall(r'class="error" id="e-(\w+)"', page.text)) == fields
    assert told in text_of(page)
    assert "Today's set-up, replayed" not in text_of(page)


def test_the_fields_of_another_pool_are_not_taken_for_those_of_the_one_that_was_chosen(
    site: DashboardSite, ada: Reader
) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_pool("other", seats=7)
    page = ada.get(f"/usage/what-if{HERE}&pool=other&of=full&seats=2&exclude=user:C3")
    assert heading(page) == "What would another set-up have done in Jim_Test?"
    assert 'value="7"' in page.text
    assert "user:C3" not in page.text


def test_a_span_that_is_too_long_to_replay_is_refused(ada: Reader) -> None:
    """A year would take minutes."""
    page = ada.get(f"/usage/what-if{HERE}&seats=3&span=12m")
    assert "A span that is replayed has 31 days at most." in text_of(page)


def test_the_log_is_downloaded_in_each_format(ada: Reader) -> None:
    """Named by tenant and span."""
    for suffix, begins in (("log", "RLM Report Log Format"), ("csv", "at,event"), ("json", "[")):
        answer = ada.get(f"/usage/export/download.{suffix}{HERE}&span=24h")
        assert answer.text.startswith(begins), answer.text[:80]
        assert f"licet-Jim_Test-log-24h.{suffix}" in answer.headers["content-disposition"]


class TestStatements:
    """What goes to a vendor."""

    @pytest.fixture
    def later(self, tmp_path: Path) -> Iterator[DashboardSite]:
        """A server whose clock goes on, which ends what is signed in."""
        with DashboardSite(tmp_path, manual_clock=True) as site:
            yield site

    def test_an_owner_makes_the_next_one_and_downloads_it(self, later: DashboardSite) -> None:
        """They follow each other; where there is nothing to state, the page says so."""
        there, files = f"/usage/export{HERE}", []
        for number in (1, 2):
            with later.reader("ada") as ada:
                assert ("None was made yet." in text_of(ada.get(there))) is (number == 1)
                assert ada.post(f"/usage/statements{HERE}").status_code == 303
                assert f"Statement {number} was made." in text_of(ada.get(there))
                files.append(ada.get(f"/usage/statements/{number}{HERE}"))
                ada.post(f"/usage/statements{HERE}")
                assert "No statement was made: There is nothing to state" in text_of(ada.get(there))
                for seq in ("4", "0", "x", "-1", "9" * 30):
                    assert ada.get(f"/usage/statements/{seq}{HERE}").status_code == 404
            later.advance(seconds=DAY_MS // 1000)
        assert "licet-Jim_Test-usage-2.statement" in files[1].headers["content-disposition"]
        read = [read_statement(split(file.content)[0]) for file in files]
        assert [*troubles(read)] == []

    def test_who_only_reads_makes_none(self, site: DashboardSite) -> None:
        """There is no button, and no way around it."""
        with site.reader("vera") as vera:
            page = vera.get(f"/usage/export{HERE}")
            assert "Make the next statement" not in page.text
            assert vera.post(f"/usage/statements{HERE}").status_code == 403
