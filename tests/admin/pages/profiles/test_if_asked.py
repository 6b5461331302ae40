"""The page of a client says what it would be answered if it asked now; so does the admin API."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from licet.options import Priority, Share
from licet.setup.change import changing
from licet.store import schema
from support.admin.admin_pages import Pages
from support.admin.admin_site import AdminSite, problem
from support.admin.pages import text_of
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, JIM, START_MS

PAGE = f"/client?tenant={JIM}&name=c2"
WHY = f"/tenants/{JIM}/clients/c2/why"
RULES = f"/tenants/{JIM}/clients/c2/rules"


@pytest.fixture
def pages(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[Pages]:
    """A pool of one seat that nobody has, with a queue."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1, queue=3)
    yield Pages(site)
    site.close()


def test_a_client_that_would_get_a_seat_is_told_which_and_takes_none(pages: Pages) -> None:
    text = text_of(pages.get(PAGE, "vera"))
    assert "It would get a seat of pool full." in text
    assert "denies" not in text
    assert pages.site.get(WHY, "viewer")["granted"] is True
    assert pages.site.rows(schema.seat) == pages.site.rows(schema.session) == []


def test_each_step_is_shown_up_to_the_one_that_denies(pages: Pages) -> None:
    pages.site.grant("c1")
    text = text_of(pages.get(PAGE, "vera"))
    assert "It would get no seat of pool full: all seats in use. It may ask again in 20 minutes." in text
    assert text.count(" denies ") == 1
    assert text.index("EXCLUDE passes") < text.index("MAX passes") < text.index("free seats denies")
    found = pages.site.get(WHY, "viewer")
    assert (found["granted"], found["reason"], found["pool"]) == (False, "all_in_use", "full")
    assert [step["passed"] for step in found["steps"]] == [True] * (len(found["steps"]) - 1) + [False]
    assert pages.site.rows(schema.denial_entry) == []  # nobody was denied


def test_who_waits_is_told_its_place(pages: Pages) -> None:
    pages.site.grant("c1")
    pages.site.ask("c3", queue=True)
    pages.site.ask("c2", queue=True)
    told = "no seat of pool full: it is number 2 in line, for as long as it asks again in time."
    assert told in text_of(pages.get(PAGE))
    assert "It may ask again" not in text_of(pages.get(PAGE))  # later than its place lapses
    assert pages.site.get(WHY)["queue_position"] == 2


def test_the_command_that_says_the_same_can_be_pasted_into_a_shell(pages: Pages) -> None:
    """Whatever a client is called."""
    name = "-x;$(reboot)"
    with changing(pages.site.store, ADA) as change:
        change.tenant(JIM).add_client(name, user="U2")
    page = pages.get(f"/client?tenant={JIM}&name={quote(name)}")
    assert f"licet why --tenant {JIM} -- '{name}'" in text_of(page)
    assert f"licet why --rules --tenant {JIM} -- '{name}'" in text_of(page)


def test_every_rule_that_applies_to_it_is_listed_whoever_has_seats(pages: Pages) -> None:
    """By itself, its user and its groups; a limit that another takes the place of says so."""
    assert "full no rule: whoever finds a free seat gets it" in text_of(pages.get(PAGE, "vera"))
    with changing(pages.site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=frozenset({"U2"}))
        tenant.set_pool(
            "full",
            max=(Share(who="user:U2", seats=2), Share(who="user:U3", seats=1)),
            max_per_user=1,
            priority=(Priority(who="group:sales", level=5),),
        )
    rules = text_of(pages.get(PAGE, "vera")).partition("Rules that apply to this client")[2]
    assert "full MAX user:U2 has 2 seats at most" in rules
    assert "full MAX for each user all each user has 1 seat at most; another rule counts instead" in rules
    assert "full Priority in the queue group:sales level 5" in rules
    assert "U3" not in rules.partition("On the command line: licet why --rules")[0]


def test_another_scope_can_be_asked_for(pages: Pages) -> None:
    assert "which needs no seat" in text_of(pages.get(f"{PAGE}&scope=view"))
    assert pages.site.get(f"{WHY}?scope=view")["pool"] is None
    for scope in ("nonsense", "%3Cscript%3E", "x" * 900):
        page = pages.get(f"{PAGE}&scope={scope}")
        assert page.status_code == 200
        assert "It would get no token." in text_of(page)
        assert "<script>alert" not in page.text
        assert pages.site.get(f"{WHY}?scope={scope}")["reason"] == "scope"
    assert pages.site.call("GET", f"{WHY}?scope={'x' * 1001}").status_code == 422


def test_a_suspended_or_disabled_client_is_told_so(pages: Pages) -> None:
    with changing(pages.site.store, ADA) as change:
        change.tenant(JIM).suspend("c2", START_MS + 60_000)
        change.tenant(JIM).set_client("c3", enabled=False)
    assert "suspended by an administrator" in text_of(pages.get(PAGE))
    assert pages.site.get(WHY.replace("c2", "c3"))["reason"] == "client"
    assert "It would get no token." in text_of(pages.get(PAGE.replace("c2", "c3")))


def test_a_client_that_is_not_there_or_is_anothers_is_not_explained(pages: Pages) -> None:
    problem(pages.site.call("GET", WHY.replace("c2", "c9")), 404, "not-found")
    problem(pages.site.call("GET", WHY, "owner of Other"), 404, "not-found")


def test_the_rules_of_a_client_are_those_of_its_page(pages: Pages) -> None:
    """Each with whom it is for and what it says, also where another one takes its place."""
    with changing(pages.site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.add_group("sales", users=frozenset({"U2"}))
        limits = (Share(who="client:c2", seats=1), Share(who="user:U1", seats=1))
        tenant.set_pool("full", max=limits, max_per_client=4, exclude=("user:U3",), reserve=())
        tenant.set_pool("full", priority=(Priority(who="group:sales", level=5),))
    found = pages.site.get(RULES, "viewer")
    assert (found["tenant"], found["client_id"], found["user"]) == (JIM, "c2", "U2")
    [of_pool] = found["pools"]
    assert (of_pool["pool"], of_pool["scopes"]) == ("full", ["all"])
    assert of_pool["rules"] == [
        {"option": "max", "who": "client:c2", "text": "has 1 seat at most", "counts": True},
        {
            "option": "max_per_client",
            "who": "",
            "text": "each client has 4 seats at most",
            "counts": False,
        },
        {"option": "priority", "who": "group:sales", "text": "level 5", "counts": True},
    ]
    text = text_of(pages.get(PAGE, "vera"))
    assert all(rule["text"] in text for rule in of_pool["rules"])


def test_a_client_that_is_not_there_has_no_rules(pages: Pages) -> None:
    problem(pages.site.call("GET", RULES.replace("c2", "nobody")), 404, "not-found")
    problem(pages.site.call("GET", RULES.replace(JIM, "nowhere")), 404, "not-found")
