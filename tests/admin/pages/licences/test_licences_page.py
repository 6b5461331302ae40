"""The page of licences, at a server: what counts, until when, what comes next, and what does not count."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest
from sqlalchemy import update

from licet.alerts.evaluation import look
from licet.model import SEATS_MAX, Role
from licet.setup.licences import remove, trust
from licet.store import schema
from support.admin.dashboard import DashboardSite, Reader, add_admin, heading
from support.admin.pages import links_of, text_of
from support.licences.licensed_site import DAY_S, days, put, signed, trust_vendor
from support.licences.signed_pools import text_of as licence_of
from support.licences.signed_pools import the_vendor, vendor_file
from support.licences.vendors import TestVendor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A tenant for each story, the vendor of which is trusted; time stands still."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        trust_vendor(site)
        with site.changing() as change:
            for name in ("None", "Grace", "Over", "Many", "Mixed", "Other"):
                change.add_tenant(name, seats=SEATS_MAX)
        yield site


def page_of(reader: Reader, tenant: str) -> httpx.Response:
    """The page of a tenant."""
    page = reader.get(f"/licences?tenant={tenant}")
    assert page.status_code == 200
    return page


def states(page: httpx.Response) -> dict[str, str]:
    """What the list says of each serial of a licence."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", page.text, re.DOTALL):
        cells = [_words(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        if 'data-label="Serial"' in row:
            found[f"{cells[0]} {cells[1]}"] = cells[2]
    return found


def _words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", unescape(html)).split()).replace(" ;", ";")


def test_a_tenant_without_a_licence_is_told_what_one_is_and_how_to_install_it(ada: Reader) -> None:
    page = page_of(ada, "None")
    assert heading(page) == "No licence is installed in None"
    assert "licet licence install c1.licence --tenant None" in page.text
    assert '<svg class="steps-plot"' not in page.text


def test_the_page_says_what_counts_and_until_when(site: DashboardSite, ada: Reader) -> None:
    """The seats, overdraft, those in use, the limit of the set-up, and the end; the table has the same."""
    put(site, "Jim_Test", signed(seats=25, overdraft=3, exp=days(site, 400), grace=14 * DAY_S))
    for client in ("Client1", "Client2"):
        site.take(client).raise_for_status()
    page = page_of(ada, "Jim_Test")
    said = text_of(page)
    assert heading(page) == "28 seats of full signed in Jim_Test; next change 2024-12-18 22:13 UTC"
    assert (
        "25 seats signed now, and 3 of overdraft; 2 in use. The set-up leaves it 5 seats and no overdraft."
        in said
    )
    assert "2024-12-18 22:13 UTC 28 seats expire, and go on in grace" in said
    assert "2025-01-01 22:13 UTC 28 seats end, and none is left" in said
    assert 'class="licence ' not in page.text
    assert "Steps of full as a table" in said
    assert states(page) == {"C-1 1": "counts"}
    assert page.text.count('<rect class="grace"') == 1
    assert "/set-up/pools/edit?tenant=Jim_Test&name=full" in links_of(page)
    told = "/journal?tenant=Jim_Test&kind=event&licence=C-1&within=all"
    assert told in links_of(page)
    assert "installed licence C-1" in text_of(ada.get(told))


def test_grace_and_an_end_are_said_above_all_else(site: DashboardSite, ada: Reader) -> None:
    put(
        site,
        "Grace",
        signed("Grace", exp=days(site, -1), grace=2 * DAY_S),
        signed("Grace", name="B", seats=1),
    )
    page = page_of(ada, "Grace")
    assert (
        "A licence of full has expired: 5 of 6 seats are in grace, and end 2023-11-15 22:13 UTC"
        in text_of(page)
    )
    assert states(page) == {
        "B 1": "counts",
        "C-1 1": "in grace until 2023-11-15 22:13 UTC; install a renewal",
    }
    put(site, "Over", signed("Over", exp=days(site, -1)))
    page = page_of(ada, "Over")
    assert heading(page) == "No seat of full signed in Over"
    assert (
        "No seat of full can be had: its licence expired 2023-11-13 22:13 UTC . Install a renewal."
        in text_of(page)
    )


def test_each_licence_that_does_not_count_says_why(site: DashboardSite, ada: Reader) -> None:
    """Replaced, removed, expired, not begun; its vendor is not trusted, or its row was changed."""
    members = ("old", 1), ("old", 2), ("gone", 3), ("late", 1), ("soon", 1), ("torn", 1), ("alien", 1)
    times = {"late": {"exp": days(site, -2)}, "soon": {"nbf": days(site, 2)}}
    put(
        site,
        "Mixed",
        *(signed("Mixed", name=name, serial=serial, **times.get(name, {})) for name, serial in members),
    )
    with site.changing() as change:
        remove(change, "Mixed", "gone", 3)
        connection, row = change.transaction.connection, schema.licence.c
        connection.execute(update(schema.licence).where(row.licence == "torn").values(text="nothing"))
        connection.execute(update(schema.licence).where(row.licence == "alien").values(vendor="nobody"))
        change.tenant("Mixed").is_changed = True
    found = states(page_of(ada, "Mixed"))
    assert found == {
        "old 2": "counts",
        "soon 1": "not begun begins 2023-11-16 22:13 UTC",
        "late 1": "expired 2023-11-12 22:13 UTC; install a renewal",
        "alien 1": "not trusted trust it again, or remove the licence",
        "torn 1": "damaged its text was changed here: install the file again",
        "old 1": "replaced by serial 2",
        "gone 3": "removed 2023-11-14 22:13 UTC",
    }


def test_many_pools_are_counted_in_the_headline(site: DashboardSite, ada: Reader) -> None:
    """With those that need a renewal."""
    with site.changing() as change:
        setup = change.tenant("Many")
        setup.add_pool("more", seats=SEATS_MAX)
        setup.add_scope("m", pool="more")
    more = licence_of("more", "m", tenant="Many", name="M", seats=2, hold=60, exp=days(site, 3))
    put(site, "Many", signed("Many"), more)
    page = page_of(ada, "Many")
    assert heading(page) == "2 pools signed in Many, 1 of them needs a renewal"
    assert "All 2 seats of more expire 2023-11-17 22:13 UTC" in text_of(page)


def test_who_sees_one_tenant_sees_the_vendors_that_signed_for_it(site: DashboardSite, ada: Reader) -> None:
    """Vendors are trusted for all tenants, and may be those of other customers."""
    with site.store() as store:
        tenant = store.tenant("Other")
        assert tenant is not None
        add_admin(store, "olga", Role.VIEWER, tenant.id)
    with site.reader("olga") as olga:
        page = olga.get("/licences")
        assert heading(page) == "No licence is installed in Other"
        assert the_vendor().kid not in page.text
        put(site, "Other", signed("Other"))
        assert the_vendor().kid in olga.get("/licences").text
        assert olga.get("/licences?tenant=Jim_Test").status_code == 404
    assert the_vendor().kid in page_of(ada, "None").text


def test_who_has_chosen_no_tenant_chooses_one(ada: Reader) -> None:
    page = ada.get("/licences")
    assert heading(page) == "Licences of which tenant?"
    assert "/licences?tenant=Grace" in links_of(page)


def test_other_pages_say_what_needs_a_renewal(site: DashboardSite, ada: Reader) -> None:
    """The overview, the seats, and both lists of tenants; each leads to the licences."""
    with site.changing() as change:
        change.add_tenant("Renew", seats=SEATS_MAX)
    extra = signed("Renew", name="B", seats=12, exp=days(site, 12), grace=DAY_S)
    put(site, "Renew", signed("Renew", seats=13), extra)
    for path in ("/?tenant=Renew", "/seats?tenant=Renew"):
        page = ada.get(path)
        assert "12 of 25 seats of full expire 2023-11-26 22:13 UTC" in text_of(page), path
        assert "/licences?tenant=Renew" in links_of(page), path
    for path in ("/", "/seats"):
        assert "12 of 25 seats expire 2023-11-26 22:13 UTC" in text_of(ada.get(path)), path


def test_a_signed_pool_has_the_seats_that_are_signed_on_every_page(site: DashboardSite, ada: Reader) -> None:
    """Not those that somebody typed; what is used of the overdraft is said."""
    with site.changing() as change:
        setup = change.tenant("Jim_Test")
        setup.add_pool("small", seats=9)
        setup.add_scope("s", pool="small")
    put(site, "Jim_Test", licence_of("small", "s", name="S", seats=1, overdraft=1, hold=60))
    assert "small 0 / 1 1 seat free" in text_of(ada.get("/?tenant=Jim_Test"))
    for client in ("Client5", "Client6"):
        site.take(client, scope="s").raise_for_status()
    assert site.take("Client4", scope="s").json()["reason"] == "all_in_use"
    page = ada.get("/?tenant=Jim_Test")
    assert "small 2 / 1 full, 1 of 1 of overdraft in use" in text_of(page)
    assert "too many" not in text_of(page)
    site.ask("Jim_Test/logoff", "Client5")


def test_the_page_of_a_pool_says_what_is_signed_for_it(site: DashboardSite, ada: Reader) -> None:
    """And leads to the licences, as they lead to it; its hold is said to be theirs."""
    with site.changing() as change:
        change.add_tenant("Pool", seats=3)
    page = ada.get("/set-up/pools/edit?tenant=Pool&name=full")
    assert "Vendors sign" not in text_of(page)
    put(site, "Pool", signed("Pool", seats=25, overdraft=2, hold=90, exp=days(site, 3)))
    page = ada.get("/set-up/pools/edit?tenant=Pool&name=full")
    assert "Vendors sign 25 seats and 2 of overdraft of this pool now: Licences" in text_of(page)
    assert "All 27 seats of full expire 2023-11-17 22:13 UTC" in text_of(page)
    assert "/licences?tenant=Pool" in links_of(page)
    assert "90s, by its licence" in text_of(ada.get("/set-up/pools?tenant=Pool"))


def test_a_denial_for_want_of_a_licence_leads_to_the_licences(site: DashboardSite, ada: Reader) -> None:
    """One that has expired, and one that does not allow the scope."""
    with site.changing() as change:
        setup = change.tenant("Jim_Test")
        for pool, scope in (("ended", "e"), ("narrow", "n")):
            setup.add_pool(pool, seats=9)
            setup.add_scope(scope, pool=pool)
    ended = licence_of("ended", "e", name="E", seats=1, exp=days(site, -1))
    put(site, "Jim_Test", ended, licence_of("narrow", "other", name="N", seats=1))
    for scope, reason in (("e", "licence_expired"), ("n", "licence_missing")):
        assert site.take("Client1", scope=scope).json()["reason"] == reason
    page = ada.get("/denials?tenant=Jim_Test")
    said = text_of(page)
    assert "The licence of ended gave no seat at that time" in said
    assert "No licence that counted then gave a seat of narrow for what was asked" in said
    assert "/licences?tenant=Jim_Test" in links_of(page)


def test_a_tenant_that_requires_licences_has_no_seat_without_one(site: DashboardSite, ada: Reader) -> None:
    """Whatever was typed; each page says so."""
    with site.changing() as change:
        change.add_tenant("Strict", seats=4)
        change.tenant("Strict").set(licence_required=True)
    for path in ("/licences?tenant=Strict", "/?tenant=Strict", "/seats?tenant=Strict"):
        said = text_of(ada.get(path))
        assert "No seat of full can be had: it needs a licence, and none that counts gives it one." in said, (
            path
        )
    assert heading(ada.get("/?tenant=Strict")).startswith("0 of 0 seats in use in Strict")
    assert "no licence counts" in text_of(ada.get("/"))


def test_a_vendor_whose_row_was_changed_is_seen(site: DashboardSite, ada: Reader) -> None:
    """Nothing of it counts."""
    with site.changing() as change:
        trust(change, vendor_file(TestVendor("torn", "thing")).encode())
        row = schema.vendor.c
        change.transaction.connection.execute(
            update(schema.vendor).where(row.name == "torn").values(text="{}")
        )
    assert "torn thing damaged its text was changed here" in text_of(page_of(ada, "None"))


def test_the_page_of_alerts_says_which_licence_gives_no_seats(site: DashboardSite, ada: Reader) -> None:
    """And which pool loses seats, and when."""
    with site.changing() as change:
        change.add_tenant("Alerted", seats=SEATS_MAX)
    ending = signed("Alerted", name="ends", exp=days(site, 3))
    put(site, "Alerted", ending, signed("Alerted", name="torn", seats=1))
    with site.changing() as change:
        torn = (schema.licence.c.licence == "torn") & (schema.licence.c.text.like("ey%"))
        of_alerted = schema.licence.c.tenant_id == change.tenant("Alerted").tenant.id
        change.transaction.connection.execute(update(schema.licence).where(torn, of_alerted).values(text="x"))
    with site.store() as store:
        look(store)
    said = text_of(ada.get("/alerts?tenant=Alerted"))
    assert "licence torn gives no seats" in said
    assert "licence expires" in said
    found = ada.get("/api/v1/alerts").json()["items"]
    assert {it["licence"] for it in found if it["tenant"] == "Alerted"} == {"torn", None}
