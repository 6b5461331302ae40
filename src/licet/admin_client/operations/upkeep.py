"""Upkeep: signing keys, the check of the set-up, and the set-up as a file.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from licet.admin_client.answers.nouns import Checked, Plan, SigningKey
from licet.admin_client.caller import Caller, Items, Text
from licet.admin_client.decoding import UNSET, Unset


class UpkeepCalls(Caller):
    """Signing keys, the check of the set-up, and the set-up as a file."""

    def list_keys(self, *, limit: int | None = None, cursor: str | None = None) -> Items[SigningKey]:
        """The keys that sign tokens, the newest last; the keys themselves are never shown.

        It needs the role viewer of all tenants.
        """
        return self._list(("keys",), SigningKey, {"limit": limit, "cursor": cursor})

    def rotate_keys(self, *, signs_after_s: int | Unset = UNSET) -> SigningKey:
        """Add a key, which signs from now on or later; tokens signed with older keys still work.

        It needs the role owner of all tenants.
        """
        return self._ask("POST", ("keys",), SigningKey, body={"signs_after_s": signs_after_s})

    def prune_keys(self) -> Items[SigningKey]:
        """Remove the keys older than the one that signs: tokens signed with them stop working.

        It needs the role owner of all tenants.
        """
        return self._list(("keys", "prune"), SigningKey, {}, method="POST")

    def get_check(self) -> Checked:
        """Mistakes in the set-up and other findings, and the servers that work on the store.

        It needs the role viewer.
        """
        return self._ask("GET", ("check",), Checked)

    def get_declaration(self, *, tenant: str | None = None) -> Text:
        """The set-up as a TOML file, without passwords and secrets.

        It needs the role viewer.
        """
        return self._ask("GET", ("declaration",), Text, query={"tenant": tenant})

    def apply_declaration(
        self, content: str | bytes, *, if_match: str, prune: bool | None = None, rehearse: bool | None = None
    ) -> Plan:
        """Make the store match a TOML file, all of it or nothing; passwords and secrets stay unchanged.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "PUT",
            ("declaration",),
            Plan,
            query={"prune": prune, "rehearse": rehearse},
            content=content,
            media="application/toml",
            if_match=if_match,
        )
