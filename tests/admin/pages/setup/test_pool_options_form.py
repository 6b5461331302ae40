"""The options of a pool and the pools of a scope in the set-up's forms: written, refused whole, by whom."""

from collections.abc import Iterator

import pytest

from licet.model import Pool
from licet.options import Priority, Share
from support.admin.dashboard import DashboardSite, Reader
from support.admin.filling import form_of, resend, send, wrong
from support.admin.pages import text_of
from support.admin.setup_forms import HERE, done, edit, tenant_of

POOL = "options"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all. `otto` owns the tenant alone."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        site.add_owner("otto", "Jim_Test")
        with site.changing() as change:
            change.tenant("Jim_Test").add_group("sales", users=frozenset({"TC"}))
        yield site


@pytest.fixture
def ada(site: DashboardSite) -> Iterator[Reader]:
    """An owner of all tenants, and a pool of five seats without options."""
    with site.changing() as change:
        setup = change.tenant("Jim_Test")
        if POOL in setup.pools:
            setup.remove_pool(POOL)
        setup.add_pool(POOL, seats=5)
    with site.reader("ada") as reader:
        yield reader


def pool(site: DashboardSite) -> Pool:
    found = tenant_of(site).pool_named(POOL)
    assert found is not None
    return found


def test_every_option_is_saved_and_shown_again_a_rule_a_line(site: DashboardSite, ada: Reader) -> None:
    typed = {
        "exclude": "user:AB",
        "include": "client:TestClientId\r\ngroup:sales",
        "max": "group:sales 3\r\n1:user:TC",
        "reserve": "group:sales  2",
        "priority": "group:sales -5",
        "max_per_user": "2",
        "max_per_client": "4",
        "queue": "1,000",
        "queue_hold": "1m",
    }
    with site.changing() as change:
        if "AB" not in change.tenant("Jim_Test").users:
            change.tenant("Jim_Test").add_user("AB", name="AB")
    done(send(ada, edit("pools", POOL), **typed), "/set-up/pools")
    found = pool(site)
    assert (found.exclude, found.include) == (("user:AB",), ("client:TestClientId", "group:sales"))
    assert found.max == (Share(who="group:sales", seats=3), Share(who="user:TC", seats=1))
    assert found.reserve == (Share(who="group:sales", seats=2),)
    assert found.priority == (Priority(who="group:sales", level=-5),)
    assert (found.max_per_user, found.max_per_client) == (2, 4)
    assert (found.queue, found.queue_hold_s) == (1000, 60)
    page = ada.get(edit("pools", POOL))
    form = form_of(page)
    assert form["queue"] == ["1000"]
    assert ">group:sales 3\nuser:TC 1</textarea>" in page.text
    assert '<details class="section" open>' in page.text
    assert "max 2" in text_of(ada.get(f"/set-up/pools{HERE}"))
    cleared = dict.fromkeys(typed, "") | {"queue": "0", "queue_hold": "30s"}
    done(send(ada, edit("pools", POOL), **cleared), "/set-up/pools")
    assert pool(site) == Pool(id=found.id, name=POOL, seats=5)
    assert '<details class="section">' in ada.get(edit("pools", POOL)).text


@pytest.mark.parametrize(
    ("typed", "both"),
    [
        ({"reserve": "user:TC 3", "max": "user:TC 2"}, ("reserve", "max")),
        ({"reserve": "group:sales 6"}, ("reserve", "seats")),
        ({"named": "TC", "include": "group:sales"}, ("named", "include")),
        ({"exclude": "user:TC", "include": "user:TC"}, ("exclude", "include")),
        ({"exclude": "group:sales", "reserve": "group:sales 1"}, ("exclude", "reserve")),
        ({"reserve": "user:TC 2", "max_per_user": "1"}, ("reserve", "max_per_user")),
    ],
)
def test_options_that_contradict_each_other_are_refused_at_both_fields(
    site: DashboardSite, ada: Reader, typed: dict[str, str], both: tuple[str, str]
) -> None:
    """Whole: what else was typed is not applied either, and all of it is still in the form."""
    page = send(ada, edit("pools", POOL), alerts="50", **typed)
    assert page.status_code == 422, page.text
    told = wrong(page)
    assert set(told) == set(both)
    assert told[both[0]] == told[both[1]]
    assert all(word in told[both[0]] for word in both)
    assert pool(site) == Pool(id=pool(site).id, name=POOL, seats=5)
    for name, text in typed.items():
        assert f">{text}</textarea>" in page.text or form_of(page)[name] == [text]
    assert '<details class="section" open>' in page.text


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("exclude", "user:TC\nTC", "Line 2: a rule is for"),
        ("max", "group:sales two", "or whom and a number is allowed, like group:sales 2"),
        ("max", "group:sales 0", "1 to 1,000,000"),
        ("max", "user:TC 1\nuser:TC 2", "twice"),
        ("reserve", "group:sales 99999999999999999999", "1 to 1,000,000"),
        ("max", "group:sales \N{ARABIC-INDIC DIGIT THREE}", "or whom and a number is allowed"),
        ("reserve", "group:nobody 1", "here is no group nobody"),
        ("named", "XX", "here is no user XX"),
        ("priority", "user:TC 10", "-9 to 9"),
        ("queue", "1001", "0 to 1,000"),
        ("queue_hold", "4s", "5"),
        ("max_per_user", "0", "1 to"),
        ("include", "client:\x00", "rule"),
        ("exclude", "\n".join(f"user:A{n:02}"[:8] for n in range(100)) + "\nuser:TC", "100"),
        ("exclude", "x" * 16_001, "16,000"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_beside_its_field(
    site: DashboardSite, ada: Reader, field: str, text: str, said: str
) -> None:
    page = send(ada, edit("pools", POOL), **{field: text})
    assert page.status_code == 422, page.text
    assert said in wrong(page)[field]
    assert getattr(pool(site), field if field != "queue_hold" else "queue_hold_s") in {(), 0, None, 30}


def test_an_owner_of_the_tenant_sets_options_and_not_the_terms_of_the_licence(
    site: DashboardSite, ada: Reader
) -> None:
    with site.reader("otto") as otto:
        done(send(otto, edit("pools", POOL), reserve="group:sales 1", queue="5"), "/set-up/pools")
        assert (pool(site).queue, pool(site).reserve) == (5, (Share(who="group:sales", seats=1),))
        form = form_of(otto.get(edit("pools", POOL)))
        assert not {"seats", "overdraft", "hold"} & form.keys()
        send(otto, edit("pools", POOL), seats="99", overdraft="3")
        assert (pool(site).seats, pool(site).overdraft) == (5, None)
    with site.reader("vera") as vera:
        assert vera.post(edit("pools", POOL), queue="9").status_code == 403
    assert pool(site).queue == 5


def test_of_two_who_edit_options_the_second_sees_what_is_saved_now(site: DashboardSite, ada: Reader) -> None:
    path = edit("pools", POOL)
    with site.reader("otto") as otto:
        opened = otto.get(path)
        done(send(ada, path, max="group:sales 2"), "/set-up/pools")
        page = resend(otto, opened, path, max="group:sales 3")
        assert page.status_code == 409
        assert "Somebody else was first." in text_of(page)
        assert ">group:sales 3</textarea>" in page.text
        assert pool(site).max == (Share(who="group:sales", seats=2),)
        done(resend(otto, page, path), "/set-up/pools")
    assert pool(site).max == (Share(who="group:sales", seats=3),)


def test_a_scope_draws_on_pools_in_the_order_that_is_chosen(site: DashboardSite, ada: Reader) -> None:
    path = f"/set-up/scopes/add{HERE}"
    done(send(ada, path, name="wide", pool=POOL, pool_2="full"), "/set-up/scopes")
    assert tenant_of(site).scopes["wide"].pools == (POOL, "full")
    assert f"{POOL}, then full" in text_of(ada.get(f"/set-up/scopes{HERE}"))
    assert form_of(ada.get(edit("scopes", "wide")))["pool_2"] == ["full"]
    twice = send(ada, edit("scopes", "wide"), pool="full")
    assert "each once" in wrong(twice)["pool_2"]
    done(send(ada, edit("scopes", "wide"), pool="full", pool_2=""), "/set-up/scopes")
    assert tenant_of(site).scopes["wide"].pools == ("full",)
    done(send(ada, edit("scopes", "wide"), pool=""), "/set-up/scopes")
    assert tenant_of(site).scopes["wide"].pools == ()
