"""Options of pools as an administrator sets them: what is kept, what is refused, and what an event says."""

from licet.model import Pool
from licet.options import Group, Priority, Share
from licet.setup.change import changing
from licet.store import schema
from support.setup_site import ADA, JIM, Site

SALES = {"users": frozenset({"U1"}), "clients": frozenset({"c2"})}
RULES = {
    "exclude": ("client:c3",),
    "include": ("group:sales", "user:U2"),
    "reserve": (Share(who="group:sales", seats=1),),
    "max": (Share(who="user:U1", seats=1),),
    "priority": (Priority(who="group:sales", level=5),),
    "max_per_user": 2,
    "max_per_client": 3,
    "queue": 20,
    "queue_hold_s": 60,
}


def pool_of(site: Site, name: str = "full") -> Pool:
    pool = site.tenant.pool_named(name)
    assert pool is not None
    return pool


def details(site: Site) -> list[str]:
    return [f"{event.action} {event.target}: {event.detail}" for event in site.rows(schema.event)]


def test_rules_and_groups_are_kept_as_they_were_set(site: Site) -> None:
    with changing(site.store, ADA) as change:
        tenant = change.tenant(JIM)
        tenant.set_pool("full", **RULES)  # which name a group that comes only now
        tenant.add_group("sales", **SALES)
    pool = pool_of(site)
    assert {field: getattr(pool, field) for field in RULES} == RULES
    assert site.tenant.groups == {"sales": Group(name="sales", **SALES)}
    assert "add group sales: users U1, clients c2" in details(site)
