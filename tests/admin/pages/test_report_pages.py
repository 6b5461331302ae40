"""The pages that tell what happened: denials, usage, the journal and alerts, against a server."""

import re
from collections.abc import Iterator
from html import unescape
from io import StringIO
from urllib.parse import quote

import pytest
from sqlalchemy import insert, select

from licet.alerts import webhooks
from licet.cli.run.demo import PASSWORD
from licet.reports.chart import By, write_csv
from licet.reports.spans import Reach
from licet.reports.usage import usage
from licet.store import schema
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import links_of, text_of

HERE = "?tenant=Jim_Test"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A pool of 2 seats that two clients hold and a third was denied, and a tenant of nothing."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            change.add_tenant("Bare", seats=None)
            change.tenant("Bare").add_pool("full", seats=0)
            change.tenant("Bare").add_scope("all", pool="full")
            for number in range(10, 40):
                change.tenant("Bare").add_user(f"U{number}")
            change.tenant("Jim_Test").set_pool("full", seats=2)
        site.advance(seconds=30 * 86_400)
        for client_id in ("Client1", "Client2"):
            site.take(client_id).raise_for_status()
        for _ in range(3):
            for _ in range(5):
                assert site.take("Client3").status_code == 400
            site.advance(seconds=60)
        yield site


# Denials


def test_minutes_of_a_client_that_asks_again_and_again_are_one_row(ada: Reader) -> None:
    page = ada.get(f"/denials{HERE}")
    assert heading(page).startswith("15 denials of 1 client in Jim_Test in the last 30 days, the last")
    assert page.text.count('<summary class="denial">') == 1
    said = text_of(page)
    assert "all 2 seats in use" in said
    assert "\N{MULTIPLICATION SIGN} 15" in said


def test_a_row_opens_to_who_held_the_seats_then(ada: Reader) -> None:
    page = ada.get(f"/denials{HERE}")
    (path,) = {it for it in links_of(page) if "/denials/holders" in it}
    holders = ada.get(path)
    assert heading(holders).startswith("2 clients held the seats of full in Jim_Test at")
    said = text_of(holders)
    assert "Client1" in said
    assert "Client2" in said
    assert "still holds it" in said
    assert "Client3" not in said
    long_ago = ada.get(f"/denials/holders{HERE}&pool=full&at=1000")
    assert "Nothing is kept of who held the seats at that time." in long_ago.text


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("&client=Client3", 1),
        ("&client=Client1", 0),
        ("&user=C3&pool=full&reason=all_in_use", 1),
        ("&reason=no_seats", 0),
        ("&reason=none+such", 1),  # what cannot be meant is left out
        ("&within=1h", 1),
        ("&within=forever", 1),
        ("&client=%00%07", 1),  # control characters never reach a store
        ("&client=" + "x" * 5000, 0),
        ("&from=5&until=9", 0),
        ("&from=-1&until=99999999999999999999", 1),
    ],
)
def test_denials_are_narrowed_by_what_is_in_the_address(ada: Reader, query: str, rows: int) -> None:
    page = ada.get(f"/denials{HERE}{query}")
    assert page.status_code == 200
    assert page.text.count('<summary class="denial">') == rows
    if not rows:
        assert "Look at all that is kept" in page.text


def test_a_filter_is_a_chip_that_takes_it_away(ada: Reader) -> None:
    page = ada.get(f"/denials{HERE}&client=Client1")
    assert 'class="chip"' in page.text
    assert f"/denials{HERE}" in links_of(page)


def test_a_list_that_is_not_there_is_a_page_that_says_so(ada: Reader) -> None:
    for path in ("/denials", "/journal", "/alerts"):
        for after in ("x", "AAAA", "W10", "%F0%9F%92%A9", "A" * 5000):
            assert ada.get(f"{path}{HERE}&after={after}").status_code == 404, (path, after)


def test_where_nothing_happened_the_pages_say_what_to_do(ada: Reader) -> None:
    assert "Nobody was refused a seat" in ada.get("/denials?tenant=Bare&within=all").text
    assert "So far the seats were enough." in ada.get("/denials?tenant=Bare").text
    assert ada.get("/usage?tenant=Bare").status_code == 200
    assert "Nothing like this happened." in ada.get("/journal?tenant=Bare&client=x").text
    assert "No pool has an alert." in ada.get("/alerts?tenant=Bare").text


def test_a_page_of_one_tenant_asks_which_one(ada: Reader) -> None:
    for path in ("/denials", "/usage"):
        assert f"{path}?tenant=Jim_Test" in links_of(ada.get(path))


# Usage


def test_the_answer_is_a_sentence(ada: Reader) -> None:
    page = ada.get(f"/usage{HERE}")
    assert heading(page) == "At most 2 of 2 seats of full in Jim_Test at once in the last 7 days, 15 denials"
    assert "With 3 seats you would have had 0 denials in these 7 days." in text_of(page)


def test_the_number_of_seats_in_it_is_a_field_that_needs_no_script(ada: Reader) -> None:
    said = text_of(ada.get(f"/usage{HERE}&span=30d&seats=2"))
    assert "With 2 seats you would have had 15 denials in these 30 days." in said
    table = "Seats Denials More seats avoid No seat avoids Mark 2 15 15 0 now 3 0 0 0 advised Estimate:"
    assert table in said
    said = text_of(ada.get(f"/usage{HERE}&seats=1"))
    assert "With 1 seat you would have had at least 15 denials" in said


@pytest.mark.parametrize("span", ["24h", "7d", "30d", "90d", "12m", "3w", ""])
def test_each_span_is_drawn_and_is_a_table_too(ada: Reader, span: str) -> None:
    page = ada.get(f"/usage{HERE}&span={span}")
    assert page.status_code == 200
    assert 'data-chart="' in page.text
    rows = page.text.partition('class="figures"')[2].partition("</table>")[0].count("<tr>") - 1
    assert rows in {"24h": {24, 25}, "30d": {30}, "90d": {90}, "12m": {365}}.get(span, set(range(145, 170)))


@pytest.mark.parametrize("seats", ["-1", "1e9", "9" * 400, "x", "%00", "1000000"])
def test_a_number_of_seats_that_is_none_is_what_is_usual(ada: Reader, seats: str) -> None:
    assert ada.get(f"/usage{HERE}&seats={seats}").status_code == 200


def test_a_pool_that_is_not_there_is_the_first(ada: Reader) -> None:
    assert "of full in Jim_Test" in heading(ada.get(f"/usage{HERE}&pool=none%00such"))


@pytest.mark.parametrize(
    ("kind", "media_type", "begins"),
    [
        ("csv", "text/csv; charset=utf-8", b"tenant,pool,from,until,peak,seats,denials,true_denials\n"),
        ("png", "image/png", b"\x89PNG"),
        ("svg", "image/svg+xml", b"<?xml"),
    ],
)
def test_the_figures_are_files_too(ada: Reader, kind: str, media_type: str, begins: bytes) -> None:
    answer = ada.get(f"/usage/download.{kind}{HERE}&span=30d&pool=full")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    name = f"licet-Jim_Test-full-30d.{kind}"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.content.startswith(begins)


def test_the_csv_has_the_lines_of_the_command_line(site: DashboardSite, ada: Reader) -> None:
    """One implementation: what the page shows, the file has, and `licet usage --csv` writes."""
    lines = ada.get(f"/usage/download.csv{HERE}&span=30d&pool=full").text.splitlines()
    with site.store() as store, store.reporting() as connection:
        tenant = store.tenant("Jim_Test")
        assert tenant is not None
        now_ms = site.clock.now_ms()
        found = usage(connection, tenant, Reach.MONTH.from_ms(now_ms), now_ms + 1, now_ms=now_ms)
    file = StringIO(newline="")
    write_csv(file, found, By.DAY, "full")
    assert lines[:-1] == file.getvalue().splitlines()[:-1]  # the last day goes on
    assert lines[-1].endswith(",2,2,15,0")
    odd = ada.get(f"/usage/download.csv{HERE}&pool=%22%0d%0ax%3ay")
    assert odd.headers["content-disposition"] == 'attachment; filename="licet-Jim_Test-xy-7d.csv"'
    assert ada.get("/usage/download.csv").status_code == 404


def test_days_are_those_of_the_reader_s_zone(ada: Reader) -> None:
    """The browser says which; one that is none is UTC."""
    for zone in ("Pacific/Auckland", "America/St_Johns", "Nowhere/None", "../../etc/passwd", "x" * 300):
        page = ada.get(f"/usage{HERE}", cookie=_with(ada, f"licet-zone={quote(zone, safe='')}"))
        assert page.status_code == 200
        assert "15 denials" in heading(page)


def _with(reader: Reader, cookie: str) -> str:
    held = "; ".join(f"{name}={text}" for name, text in reader.http.cookies.items())
    return f"{held}; {cookie}"


# The journal


def test_the_journal_tells_who_did_what_and_leads_there(ada: Reader) -> None:
    page = ada.get(f"/journal{HERE}&within=all")
    said, links = text_of(page), links_of(page)
    for text in (
        "was refused: all 2 seats in use",
        "began a session",
        "changed pool full",
        "seats 5 → 2",
        "added client Client1",
    ):
        assert text in said, text
    assert f"/set-up/clients/edit{HERE}&name=Client1" in links
    assert f"/seats{HERE}&q=Client1" in links
    assert f"/denials{HERE}&client=Client3&within=all" in links
    assert f"/set-up/pools/edit{HERE}&name=full" in links


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ("kind=denied", "was refused", "began"),
        ("kind=granted", "began a session", "was refused"),
        ("kind=event", "changed pool full", "began a session"),
        ("kind=none+such", "began a session", "no such word"),
        ("client=Client1", "began a session", "was refused"),
        ("actor=nobody", "Nothing like this happened.", "began"),
        ("user=C3", "was refused", "began a session"),
    ],
)
def test_the_journal_is_narrowed_by_chips(ada: Reader, query: str, there: str, absent: str) -> None:
    said = text_of(ada.get(f"/journal{HERE}&within=all&{query}"))
    assert there in said
    assert absent not in said


def test_the_journal_is_read_in_pages_that_leave_nothing_out(ada: Reader) -> None:
    """Keyset: the place in it is what stands there."""
    with_all: list[str] = []
    path: str | None = "/journal?within=all&kind=event"
    while path is not None:
        page = ada.get(path)
        rows = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
        with_all += re.findall(r'class="what"><bdi>([^<]*)', rows)
        older = re.search(r'href="([^"]*)" rel="next"', page.text)
        path = unescape(older[1]) if older else None
    assert len(with_all) > 50
    assert with_all.count("added user TC") == 1
    assert with_all[-1] == "added tenant Jim_Test"


# Alerts


@pytest.fixture(scope="module")
def letters(site: DashboardSite) -> list[str]:
    """Messages that were given up, one of them to a webhook that is disabled."""
    with site.store() as store:
        with webhooks.changing(store, "a test") as change:
            tenant_id = None
            open_to, closed = (change.add(f"https://example.com/{it}", tenant_id=tenant_id) for it in (1, 2))
            change.set(closed.id, enabled=False)
        with store.transaction() as transaction:
            row = {
                "type": "pool.threshold_reached",
                "payload": '{"data": {"tenant": "Jim_Test", "pool": "full"}}',
                "attempts": 10,
                "next_at_ms": None,
                "last_at_ms": transaction.now_ms,
                "last_error": "<b>connection refused</b>",
            }
            rows = [
                row
                | {"id": f"msg_{number}", "webhook_id": hook, "created_at_ms": transaction.now_ms - number}
                for number, hook in enumerate((open_to.id, open_to.id, closed.id))
            ]
            transaction.connection.execute(insert(schema.delivery), rows)
    return ["msg_0", "msg_1", "msg_2"]


def test_dead_letters_are_sent_again(site: DashboardSite, ada: Reader, letters: list[str]) -> None:
    page = ada.get("/alerts?state=given_up")
    assert "3 messages could not be delivered" in heading(page)
    assert "Send all 3 of this page again" in page.text
    assert "<b>connection" not in page.text
    page = ada.post("/alerts", id=letters)
    assert page.status_code == 303
    assert "2 messages on the way again. 1 message left alone." in ada.get("/alerts").text
    with site.store() as store, store.reading() as connection:
        left = connection.execute(
            select(schema.delivery.c.id).where(
                schema.delivery.c.attempts == 10, schema.delivery.c.next_at_ms.is_(None)
            )
        )
        assert "msg_2" in left.scalars().all()
    assert "ada" in ada.get("/journal?kind=event&actor=ada").text
    nothing = ada.post("/alerts", id=["no such", *letters[2:]])
    assert nothing.status_code == 303
    assert "Nothing was sent again" in ada.get("/alerts").text


def test_a_viewer_sends_nothing_again(site: DashboardSite, letters: list[str]) -> None:
    with site.reader("vera") as vera:
        assert "Send again" not in vera.get("/alerts?state=given_up").text
        assert vera.post("/alerts", id=letters).status_code == 403


def test_a_password_is_nowhere(ada: Reader) -> None:
    """Nothing prints a secret."""
    for path in ("/journal?within=all", f"/set-up/users{HERE}", f"/set-up/users/edit{HERE}&name=TC"):
        assert f'"{PASSWORD}"' not in ada.get(path).text.replace('type="password"', "").replace(
            'name="password"', ""
        )
