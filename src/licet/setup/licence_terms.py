"""Says which settings of a tenant are its licence, and refuses a change of them by an owner of one tenant.

The rules:

- The operator of the server sells licences; an owner of one tenant may be the customer. So only owners of all
  tenants change the licence: seats and how they are counted, their end, their hold, and what needs one.
- Settings that are not marked as the tenant's own belong to the licence, including those added to the model
  later.
- A change is judged by the tenant that results, in its own transaction and before COMMIT: so it does not
  matter whether it came by the API, a page or a file.
- A scope that needs no seat and may change data is a licence by itself. So an owner of one tenant gives it to
  no client that does not have it.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any, Protocol

from licet.model import Client, Pool, Scope, Tenant, Value
from licet.refusal import Code
from licet.setup.noun import Noun
from licet.setup.nouns import POOL, SCOPE, TENANT
from licet.store.errors import SetupError

# Fields that are not settings: the store's numbers, the names, what a vendor signed, and the nouns that are
# compared separately.
_NO_SETTING = frozenset(
    {
        "id",
        "version",
        "name",
        "signed",
        "licences",
        "scopes",
        "pools",
        "users",
        "clients",
        "clients_by_key",
        "groups",
        "options",
    }
)
_CALLED: Mapping[str, str] = MappingProxyType({"other_pools": "pools"})  # a part of the setting of this name

_COUNTED: Mapping[str, Noun] = MappingProxyType({noun.word: noun for noun in (TENANT, POOL, SCOPE)})

WHY = "It is part of the licence, which an owner of all tenants changes."


class Term(Value, frozen=True, kw_only=True):
    """One part of the licence that the change would alter. `field` is '' for all of it."""

    field: str
    text: str


class LicenceKept(SetupError):
    """An owner of one tenant may not change its licence; `terms` are the parts that would change."""

    def __init__(self, terms: tuple[Term, ...]) -> None:
        super().__init__(
            f"{'; '.join(term.text for term in terms)}; only an owner of all tenants may do this",
            code=Code.PART_OF_LICENCE,
        )
        self.terms = terms


class After(Protocol):
    """A tenant after a change."""

    @property
    def tenant(self) -> Tenant:
        """The tenant itself."""

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Its pools by name."""

    @property
    def scopes(self) -> Mapping[str, Scope]:
        """Its scopes by name."""

    @property
    def clients(self) -> Mapping[str, Client]:
        """Its clients by client_id."""


def licence_fields(word: str) -> frozenset[str]:
    """The settings of a `tenant`, `pool` or `scope` that are part of the licence; none of another noun."""
    if word not in _COUNTED:
        return frozenset()
    noun = _COUNTED[word]
    own = {setting.field for setting in noun.settings if setting.is_own}
    return frozenset(noun.model.__struct_fields__) - _NO_SETTING - own


def licence_names(word: str) -> frozenset[str]:
    """The same, by their names."""
    return frozenset(_called(word, field) for field in licence_fields(word))


def _called(word: str, field: str) -> str:
    return _CALLED.get(field) or _COUNTED[word].name_of(field)


def is_counted(word: str) -> bool:
    """Whether adding or removing one of these changes the licence."""
    return word in _COUNTED


def must_keep_licence(
    before: Mapping[str, Tenant], after: Mapping[str, After], removed: AbstractSet[str]
) -> None:
    """Return if a change leaves the licences of all tenants as they were.

    `after` are the tenants that the change touched. Raises LicenceKept.
    """
    terms = [Term(field="", text=f"tenant {name} is removed") for name in sorted(removed)]
    for name, setup in after.items():
        if name in before:
            terms += _changed(before[name], setup)
        else:
            terms.append(Term(field="", text=f"tenant {name} is new"))
    if terms:
        raise LicenceKept(tuple(terms))


def _changed(before: Tenant, after: After) -> Iterator[Term]:
    pools = {pool.name: pool for pool in before.pools.values()}
    yield from _of_one("tenant", before.name, before, after.tenant)
    yield from _of_all("pool", pools, after.pools)
    yield from _of_all("scope", before.scopes, after.scopes)
    yield from _given_away(before, after)


def _of_all(word: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Term]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Term(field="", text=f"{word} {name} is removed")
        elif name not in before:
            yield Term(field="", text=f"{word} {name} is new")
        else:
            yield from _of_one(word, name, before[name], after[name])


def _of_one(word: str, name: str, before: Value, after: Value) -> Iterator[Term]:
    for field in sorted(licence_fields(word)):
        if getattr(before, field) != getattr(after, field):
            called = _called(word, field)
            yield Term(field=called, text=f"{called} of {word} {name} is part of the licence")


def _given_away(before: Tenant, after: After) -> Iterator[Term]:
    """Clients that would get a scope that needs no seat and may change data."""
    free = {scope.name for scope in after.scopes.values() if not scope.licensed and not scope.read_only}
    for client in after.clients.values() if free else ():
        had = before.clients_by_key.get(client.key)
        given = _may_have(client, free) - (_may_have(had, free) if had else frozenset())
        if given:
            named = ", ".join(sorted(given))
            yield Term(
                field="scopes",
                text=f"scopes: {named} needs no seat and may change data, and would be given to client"
                f" {client.client_id}",
            )


def _may_have(client: Client, scopes: set[str]) -> frozenset[str]:
    return frozenset(scopes if client.scopes is None else client.scopes & scopes)
