"""A typed client of the admin API, which needs httpx alone.

    from licet.admin_client import ANY, AdminClient

    with AdminClient("http://127.0.0.1:8081", api_key=key) as admin:
        admin.add_user("Jim_Test", initials="AB", name="Ada Byron", password=password)
        made = admin.add_client("Jim_Test", client_id="Desk", user="AB")
        for denial in admin.list_denials("Jim_Test", from_="2026-11-01"):
            print(denial.last_at, denial.client_id, denial.reason)

There is a method for each operation of the API, with its name: `change_pool` is `changePool`. They, and what
they return, are made of the OpenAPI document by `docs/make_admin_client.py`.
"""

from typing import Self

from licet.admin_client.caller import ANY, Caller, Items, Page, Text
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.errors import (
    AdminError,
    AdminProblem,
    AdminUnreachable,
    ChangedMeanwhile,
    InvalidValue,
    NotAllowed,
    NotFound,
    SignInNeeded,
    TryLater,
    WouldEndSessions,
)
from licet.admin_client.operations.accounts import AccountsCalls
from licet.admin_client.operations.alerts import AlertsCalls
from licet.admin_client.operations.clients import ClientsCalls
from licet.admin_client.operations.groups import GroupsCalls
from licet.admin_client.operations.licences import LicencesCalls
from licet.admin_client.operations.pools import PoolsCalls
from licet.admin_client.operations.reports import ReportsCalls
from licet.admin_client.operations.scopes import ScopesCalls
from licet.admin_client.operations.sessions import SessionsCalls
from licet.admin_client.operations.tenants import TenantsCalls
from licet.admin_client.operations.upkeep import UpkeepCalls
from licet.admin_client.operations.usage import UsageCalls
from licet.admin_client.operations.users import UsersCalls

__all__ = [
    "ANY",
    "UNSET",
    "AdminClient",
    "AdminError",
    "AdminProblem",
    "AdminUnreachable",
    "Caller",
    "ChangedMeanwhile",
    "InvalidValue",
    "Items",
    "NotAllowed",
    "NotFound",
    "Page",
    "SignInNeeded",
    "Text",
    "TryLater",
    "Unset",
    "WouldEndSessions",
]


class AdminClient(
    TenantsCalls,
    PoolsCalls,
    LicencesCalls,
    ScopesCalls,
    UsersCalls,
    ClientsCalls,
    GroupsCalls,
    SessionsCalls,
    ReportsCalls,
    AccountsCalls,
    UpkeepCalls,
    UsageCalls,
    AlertsCalls,
):
    """The operations of the admin API, of a server and with an API key. Threads may share one.

    Every call raises AdminError: AdminProblem where the server refuses it, AdminUnreachable where no answer
    came.
    """

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
