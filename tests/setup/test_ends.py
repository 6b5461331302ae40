"""When something ends: a date is the end of that day in the tenant's zone, wherever it is typed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect

from licet.credentials.generated import ClientSecrets
from licet.formats import INSTANT_MS_MAX, end, instant, read_end_ms
from licet.model import InvalidValue, Tenant
from licet.setup.file import read, write
from licet.zones import find_zone
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite
from support.admin.filling import send
from support.cli.cli_site import CommandLine
from support.cli.command_line import run, terminal

SYDNEY = "Australia/Sydney"
HERE = "?tenant=Jim_Test"
FILE = """
[tenant.X]
time_zone = "Australia/Sydney"
[tenant.X.pool.full]
seats = 1
expires = {}
"""


def zone(name: str) -> tzinfo:
    found = find_zone(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "name", "ends"),
    [
        ("2027-01-31", "UTC", "2027-02-01T00:00:00Z"),
        ("2027-01-31", SYDNEY, "2027-01-31T13:00:00Z"),
        ("2027-01-31", "America/Los_Angeles", "2027-02-01T08:00:00Z"),
        ("2027-01-31", "Asia/Kathmandu", "2027-01-31T18:15:00Z"),
        ("2028-02-29", SYDNEY, "2028-02-29T13:00:00Z"),
        ("2026-12-31", SYDNEY, "2026-12-31T13:00:00Z"),
        ("2027-04-04", SYDNEY, "2027-04-04T14:00:00Z"),  # a day of 25 hours
        ("2027-10-03", SYDNEY, "2027-10-03T13:00:00Z"),  # a day of 23 hours
        ("2027-04-29", "Africa/Cairo", "2027-04-29T22:00:00Z"),  # no midnight: 0:00 is 1:00
        ("2027-10-28", "Africa/Cairo", "2027-10-28T22:00:00Z"),  # its last hour comes twice
        ("2027-10-30", "Atlantic/Azores", "2027-10-31T00:00:00Z"),  # the next midnight comes twice
        ("2027-01-31T18:00", SYDNEY, "2027-01-31T07:00:00Z"),
        ("2027-01-31T18:00+02:00", SYDNEY, "2027-01-31T16:00:00Z"),  # says its zone: as ever
        ("2027-01-31T18:00Z", SYDNEY, "2027-01-31T18:00:00Z"),
        ("2027-04-04T02:30", SYDNEY, "2027-04-03T16:30:00Z"),  # comes twice: the later one
        ("never", SYDNEY, "never"),
    ],
)
def test_a_date_is_the_end_of_that_day_in_a_zone(text: str, name: str, ends: str) -> None:
    """`2027-01-31` is the first moment of 1 February there, in which it is over."""
    assert instant(read_end_ms(text, zone(name))) == ends


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "2027-10-03T02:30",
            "there is no 02:30 on 2027-10-03 in Australia/Sydney: the clocks are put forward",
        ),
        ("2027-02-30", "there is no day 2027-02-30"),
        ("2027-13-01", "there is no day 2027-13-01"),
        ("2027-02-30T18:00", "there is no day 2027-02-30"),
        ("tomorrow", "a moment is written 2027-01-31"),
    ],
)
def test_what_never_comes_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        read_end_ms(text, zone(SYDNEY))


@given(
    ms=st.integers(0, INSTANT_MS_MAX - 86_400_000)
    | st.integers(0, 10**10).map(lambda number: number * 1000 % 10**13),
    name=st.sampled_from(["UTC", SYDNEY, "Africa/Cairo", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_what_is_written_is_read_as_the_same_instant(ms: int, name: str) -> None:
    assert read_end_ms(end(ms, zone(name)), zone(name)) == ms


@pytest.mark.parametrize(
    ("ends", "spelled"),
    [
        ("2027-01-31T13:00:00Z", "2027-01-31"),
        ("2027-04-03T16:30:00Z", "2027-04-04T02:30"),
        ("2027-04-03T15:30:00Z", "2027-04-04T02:30+11:00"),  # the earlier of two needs its zone
        ("2027-01-31T07:00:30Z", "2027-01-31T18:00:30"),
    ],
)
def test_an_end_is_written_as_short_as_can_be(ends: str, spelled: str) -> None:
    ms = round(datetime.fromisoformat(ends).timestamp() * 1000)
    assert end(ms, zone(SYDNEY)) == spelled


@pytest.mark.parametrize("value", ["2027-01-31", '"2027-01-31"', "2027-02-01T00:00:00", '"2027-02-01T00:00"'])
def test_the_set_up_file_means_the_tenant_s_zone(value: str) -> None:
    (tenant,) = read(FILE.format(value), "f.toml")
    (pool,) = tenant.pools.values()
    assert instant(pool.expires_at_ms) == "2027-01-31T13:00:00Z"
    assert 'time_zone = "Australia/Sydney"' in write([tenant])
    assert "expires = 2027-01-31T13:00:00" in write([tenant])


def test_a_zone_that_is_none_is_refused_everywhere(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="a time zone is a name of the IANA database"):
        Tenant(id=0, name="X", version=0, time_zone="Nowhere/None")
    cli = _command_line(tmp_path)
    said = cli.error("tenant", "set", "Jim_Test", "--time-zone", "../../etc/passwd", exit_code=2)
    assert "a time zone is a name of the IANA database, like Australia/Sydney, or UTC" in said
    file = tmp_path / "set-up.toml"
    file.write_text(FILE.format("never").replace("Australia/Sydney", "Nowhere").replace("never", '"never"'))
    result = cli.run("apply", str(file), exit_code=2)
    assert (
        "tenant.X.time_zone: a time zone is a name of the IANA database, like Australia/Sydney, or UTC"
        in result.stderr
    )


def test_the_command_line_means_the_tenant_s_zone(tmp_path: Path) -> None:
    cli = _command_line(tmp_path)
    cli.out("user", "add", "TC", "--no-password")
    cli.out("tenant", "set", "Jim_Test", "--time-zone", SYDNEY)
    assert cli.json("tenant", "show", "Jim_Test")["time_zone"] == SYDNEY
    cli.out("pool", "set", "full", "--expires", "2037-01-31")
    assert cli.json("pool", "show", "full")["expires_at"] == "2037-01-31T13:00:00Z"
    made = cli.json("client", "add", "A", "--user", "TC", "--secret", "--secret-expires", "2037-01-31")
    assert made["expires_at"] == "2037-01-31T13:00:00Z"
    key = cli.json("admin", "key", "add", "k", "--tenant", "Jim_Test", "--expires", "2037-01-31")
    assert key["expires_at"] == "2037-01-31T13:00:00Z"
    of_all = cli.json("admin", "key", "add", "all", "--expires", "2037-01-31")
    assert of_all["expires_at"] == "2037-02-01T00:00:00Z"


def test_a_licence_that_has_expired_or_ends_soon_is_told(tmp_path: Path) -> None:
    """By `licet seats` and `licet pool list`, with the moment."""
    cli = _command_line(tmp_path)
    cli.out("pool", "set", "full", "--expires", "2020-01-31", "--yes")
    assert cli.out("seats").startswith(
        "full: no seat can be had: the licence expired at the end of 2020-01-31"
    )
    assert "expired 2020-02-01T00:00:00Z" in cli.out("pool", "list")
    assert cli.json("pool", "list")[0]["expires_at"] == "2020-02-01T00:00:00Z"
    soon = datetime.now(UTC) + timedelta(days=12, hours=1)
    cli.out("pool", "set", "full", "--expires", soon.isoformat())
    assert "(in 12 days)" in cli.out("seats")
    assert "expired" not in cli.out("pool", "list")


def _command_line(tmp_path: Path) -> CommandLine:
    cli = CommandLine(tmp_path / "data")
    cli.out("init", "--tenant", "Jim_Test", "--seats", "1")
    return cli


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A tenant in Sydney."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            change.tenant("Jim_Test").set(time_zone=SYDNEY)
        yield site


def test_a_form_means_the_tenant_s_zone(site: DashboardSite) -> None:
    with site.reader("ada") as ada:
        path = f"/set-up/pools/edit{HERE}&name=full"
        assert send(ada, path, expires=["2031-01-31", ""]).status_code == 303
        assert _end(site) == "2031-01-31T13:00:00Z"
        page = ada.get(path)
        date = 'type="date" min="1970-01-01" max="9998-12-31" value="2031-01-31"'
        assert date in " ".join(page.text.split())
        assert "Without a time, it ends with that day. Empty is never." in page.text
        assert page.text.count("Saved: <time") == 1  # beside no other field
        assert '<option value="Australia/Sydney">Australia/Sydney</option>' in page.text
        assert send(ada, path).status_code == 303  # saved untouched, it stays
        assert _end(site) == "2031-01-31T13:00:00Z"
        assert send(ada, path, expires=["2031-01-31", "18:30"]).status_code == 303
        assert _end(site) == "2031-01-31T07:30:00Z"
        wrong = send(ada, path, expires=["2031-10-05", "02:30"])
        assert "There is no 02:30 on 2031-10-05 in Australia/Sydney" in wrong.text
        assert 'value="2031-10-05"' in wrong.text
        assert send(ada, path, expires=["", ""]).status_code == 303
        assert _end(site) == "never"


def test_an_end_may_be_typed_by_the_readers_own_clocks(site: DashboardSite) -> None:
    """A choice beside the pickers, where the reader's zone is another one; it needs no script."""
    with site.reader("ada", cookies={"licet-zone": "Pacific%2FAuckland"}) as ada:
        path = f"/set-up/pools/edit{HERE}&name=full"
        page = " ".join(ada.get(path).text.split())
        assert '<option value="Pacific/Auckland" >Pacific/Auckland (yours)</option>' in page
        mine = {"expires_zone": "Pacific/Auckland"}
        assert send(ada, path, expires=["2031-06-30", ""], **mine).status_code == 303
        assert _end(site) == "2031-06-30T12:00:00Z"
        assert send(ada, path, expires=["2031-06-30", "18:30"], **mine).status_code == 303
        assert _end(site) == "2031-06-30T06:30:00Z"
        shown = " ".join(ada.get(path).text.split())
        assert 'value="2031-06-30"' in shown  # by the tenant's clocks, as it is saved
        assert 'value="16:30"' in shown
        assert send(ada, path, expires_zone=SYDNEY).status_code == 303  # untouched, it stays
        assert _end(site) == "2031-06-30T06:30:00Z"
        wrong = send(ada, path, expires=["2031-09-28", "02:30"], **mine)
        assert "There is no 02:30 on 2031-09-28 in Pacific/Auckland" in wrong.text
        assert '<option value="Pacific/Auckland" selected' in wrong.text
        for nowhere in ("Nowhere/None", "../etc", "x" * 3000):
            refused = send(ada, path, expires=["2031-06-30", ""], expires_zone=nowhere)
            assert "There is no time zone" in refused.text
        assert _end(site) == "2031-06-30T06:30:00Z"
        assert send(ada, path, expires=["", ""], **mine).status_code == 303
        assert _end(site) == "never"


def test_an_end_that_pickers_cannot_say_is_a_text(site: DashboardSite) -> None:
    """The earlier of two that look the same: it is not moved by saving."""
    at_ms = round(datetime(2031, 4, 5, 15, 30, tzinfo=UTC).timestamp() * 1000)
    with site.changing() as change:
        change.tenant("Jim_Test").set_pool("full", expires_at_ms=at_ms)
    with site.reader("ada") as ada:
        path = f"/set-up/pools/edit{HERE}&name=full"
        assert 'value="2031-04-06T02:30+11:00"' in ada.get(path).text
        send(ada, path, seats="3")
    assert _end(site) == "2031-04-05T15:30:00Z"


def test_who_may_only_look_sees_an_end_or_never(site: DashboardSite) -> None:
    """The licence is shown to an owner of the tenant, who does not change it."""
    site.add_owner("olga", "Jim_Test")
    with site.reader("olga") as olga:
        for at_ms, shown in ((None, "never"), (1_927_630_800_000, "<bdi>2031-01-31</bdi>")):
            with site.changing() as change:
                change.tenant("Jim_Test").set_pool("full", expires_at_ms=at_ms)
            page = "".join(olga.get(f"/set-up/pools/edit{HERE}&name=full").text.split())
            assert f'<pclass="fixed-label">Expires</p><pclass="fixed">{shown}</p>' in page


def _end(site: DashboardSite) -> str:
    with site.store() as store:
        tenant = store.tenant("Jim_Test")
        assert tenant is not None
        pool = tenant.pool_named("full")
        assert pool is not None
        return instant(pool.expires_at_ms)


@pytest.mark.wide
def test_a_browser_has_pickers_and_shows_the_end_by_its_own_clock(
    browser: Browser, site: DashboardSite
) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").set_pool("full", expires_at_ms=None)
    with browser.person(site, "ada", timezone_id="Asia/Kathmandu") as page:
        page.goto(f"{site.admin_url}/set-up/pools/edit{HERE}&name=full")
        page.get_by_label("Date").fill("2031-01-31")
        page.get_by_label("Time").fill("")
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/set-up/pools?*")
        assert _end(site) == "2031-01-31T13:00:00Z"
        page.goto(f"{site.admin_url}/set-up/pools/edit{HERE}&name=full")
        saved = page.locator("#h-expires time")
        expect(saved).to_have_text("Fri, 31 Jan 2031, 18:45:00 GMT+5:45")
        expect(saved).to_have_attribute(
            "title", "Fri, 31 Jan 2031, 18:45:00 GMT+5:45 = 31 Jan 2031, 13:00:00 UTC"
        )
        browser.check_access(page)
        browser.show(page, "pool-form")
        page.get_by_role("button", name="Never").click()
        expect(page.get_by_label("Date")).to_have_value("")
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/set-up/pools?*")
        assert _end(site) == "never"


@pytest.mark.wide
def test_a_page_shows_the_last_day_and_not_the_one_after(browser: Browser, site: DashboardSite) -> None:
    """Of a licence, a secret, a public key and an API key, and in the list of what was changed."""
    end_ms = 2_053_861_200_000  # 2035-01-31T13:00Z, a midnight in Sydney
    with site.changing() as change:
        setup = change.tenant("Jim_Test")
        setup.set_pool("full", expires_at_ms=end_ms)
        setup.add_secret("TestClientId", ClientSecrets(b"p" * 32).generate(), end_ms)
    with browser.person(site, "ada", timezone_id=SYDNEY) as page:
        for path in ("/set-up/pools", "/set-up/clients/edit", "/journal"):
            of = "&name=TestClientId" if path.endswith("edit") else "&kind=event&within=all"
            page.goto(f"{site.admin_url}{path}{HERE}{of}")
            expect(page.get_by_role("main")).to_contain_text("31 Jan 2035")
            expect(page.get_by_role("main")).not_to_contain_text("1 Feb 2035")


def test_a_terminal_shows_the_last_day_and_not_the_one_after(tmp_path: Path) -> None:
    """Of a licence, a secret, a public key and an API key, each in the zone in which it was set."""
    cli = _command_line(tmp_path)
    cli.out("user", "add", "TC", "--no-password")
    cli.out("tenant", "set", "Jim_Test", "--time-zone", SYDNEY)
    cli.out("pool", "set", "full", "--expires", "2035-01-31")
    cli.out("client", "add", "A", "--user", "TC", "--secret", "--secret-expires", "2035-01-31")
    jwk = run("client", "key", "new", "--out", str(tmp_path / "private.pem")).stdout
    cli.run("client", "key", "add", "A", "-", "--expires", "2035-01-31", stdin=jwk)
    cli.run("admin", "key", "add", "k", "--tenant", "Jim_Test", "--expires", "2035-01-31")
    for verb in (
        *(("pool", "list"), ("pool", "show", "full"), ("client", "secret", "list", "A")),
        *(("client", "key", "list", "A"), ("admin", "key", "list")),
    ):
        with terminal(*verb, "--data", str(cli.data)) as screen:
            assert screen.ended() == 0
        text = "".join(screen.text.split())
        assert "2035-01-31" in text, verb
        assert "T13:00" not in text, verb
