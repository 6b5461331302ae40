"""Sessions: active sessions, and ending them.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence

from licet.admin_client.answers.reports import LiveSession, SessionsEnded
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset


class SessionsCalls(Caller):
    """Active sessions, and ending them."""

    def list_sessions(
        self,
        tenant: str,
        *,
        client: str | None = None,
        user: str | None = None,
        scope: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[LiveSession]:
        """The active sessions, oldest first; filtered by scope, a page may have fewer than its limit.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "sessions"),
            LiveSession,
            {"client": client, "user": user, "scope": scope, "limit": limit, "cursor": cursor},
        )

    def get_session(self, tenant: str, sid: str) -> LiveSession:
        """A session.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "sessions", sid), LiveSession)

    def end_sessions(
        self,
        tenant: str,
        *,
        sids: Sequence[str] | Unset | None = UNSET,
        client: str | Unset | None = UNSET,
        user: str | Unset | None = UNSET,
        all: bool | Unset = UNSET,
        reason: str | Unset = UNSET,
        cool_down_s: int | Unset = UNSET,
    ) -> SessionsEnded:
        """End sessions: their tokens stop working at once; sessions that have ended are no error.

        It needs the role operator.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "sessions", "end"),
            SessionsEnded,
            body={
                "sids": sids,
                "client": client,
                "user": user,
                "all": all,
                "reason": reason,
                "cool_down_s": cool_down_s,
            },
        )
