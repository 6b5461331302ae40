"""Links an error on a set-up page to the page where it can be corrected, or to the object in the way."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from licet.admin.pages.forms import Place
from licet.admin.pages.frame import Visit, link
from licet.refusal import Code, Refusal, Subject, SubjectKind

ROOT = "/set-up"

# The page of one of a kind.
_PAGES: Mapping[SubjectKind, str] = MappingProxyType(
    {
        "pool": "pools/edit",
        "scope": "scopes/edit",
        "user": "users/edit",
        "client": "clients/edit",
        "group": "groups/edit",
        "secret": "clients/edit",
        "key": "clients/edit",
        "administrator": "administrators/edit",
        "API key": "keys/remove",
        "webhook": "webhooks/edit",
    }
)
# Where one more is added, and where some may be removed.
_NEW: Mapping[SubjectKind, str] = MappingProxyType(
    {"user": "users/add", "pool": "pools/add", "scope": "scopes/add", "group": "groups/add"}
)
_ALL: Mapping[SubjectKind, str] = MappingProxyType(
    {"administrator": "administrators", "API key": "keys", "webhook": "webhooks"}
)
_THERE = frozenset({Code.ALREADY_THERE, Code.DIFFERS_BY_CASE, Code.DISABLED, Code.SAME_KID})


def places(visit: Visit, refusal: Refusal) -> tuple[Place, ...]:
    """The pages that help with a refusal; none where the mistake is corrected in the form itself."""
    return tuple(_places(visit, refusal))


def _places(visit: Visit, refusal: Refusal) -> Iterator[Place]:
    subject = refusal.subject
    match refusal.code:
        case Code.IN_USE | Code.IS_DEFAULT:
            for other in refusal.others:
                yield _page(visit, other)
        case Code.LAST_OWNER:
            yield Place("Add an administrator", link(visit, f"{ROOT}/administrators/add"))
        case Code.NOT_FOUND if subject and refusal.field and subject.kind in _NEW:
            yield Place(f"Add a {subject.kind}", link(visit, f"{ROOT}/{_NEW[subject.kind]}"))
        case Code.TOO_MANY if subject and subject.client:
            yield _page(visit, Subject("client", subject.client))
        case Code.TOO_MANY if subject and subject.kind in _ALL:
            yield Place(f"Open the {subject.kind}s", link(visit, f"{ROOT}/{_ALL[subject.kind]}"))
        case code if code in _THERE and subject and subject.client:
            yield _page(visit, Subject("client", subject.client))
        case code if code in _THERE and subject and (subject.kind in _PAGES or subject.kind == "tenant"):
            yield _page(visit, subject)


def _page(visit: Visit, subject: Subject) -> Place:
    if subject.kind == "tenant":
        return Place(f"Open {subject}", link(None, f"{ROOT}/tenants/edit", tenant=subject.name))
    return Place(f"Open {subject}", link(visit, f"{ROOT}/{_PAGES[subject.kind]}", name=subject.name))
