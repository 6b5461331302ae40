"""The pages of an admin listener, requested without a network by administrators of each role.

pages = Pages(AdminSite(...))
page = pages.get("/seats?tenant=Jim_Test", "vera")
pages.told(pages.post("/seats/end?tenant=Jim_Test", seat="full/client:c1", sure="1"))
"""

import re
from html import unescape

import httpx

from licet.accounts import administrators as accounts
from licet.model import Role
from support.admin.admin_site import OTHER, PASSWORD, PASSWORD_HASH, AdminSite


class Pages:
    """The pages of a site as administrators see them: `ada` is owner, `oscar` operator, `vera` viewer.

    `otto` is an operator of the tenant `Other` only.
    """

    def __init__(self, site: AdminSite) -> None:
        self.site = site
        other = site.store.tenant(OTHER)
        assert other is not None
        with accounts.changing(site.store, "a test") as change:
            for name, role, tenant_id in (
                ("oscar", Role.OPERATOR, None),
                ("vera", Role.VIEWER, None),
                ("otto", Role.OPERATOR, other.id),
            ):
                change.add_admin(name, password_hash=PASSWORD_HASH, role=role, tenant_id=tenant_id)
        self._tokens: dict[str, str] = {}

    def get(self, path: str, who: str = "oscar", **headers: str) -> httpx.Response:
        """Get a page."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.site.node.send("GET", path, headers=self._cookie(who) | named)

    def post(self, path: str, who: str = "oscar", **fields: str | list[str]) -> httpx.Response:
        """Send a form with its CSRF token."""
        csrf = self.site.context.access.csrf(self._token(who))
        return self.site.node.send("POST", path, headers=self._cookie(who), data={"csrf": csrf, **fields})

    def told(self, answer: httpx.Response, who: str = "oscar") -> str:
        """Follow the redirect of a form that succeeded, and return the notice on that page."""
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        headers = {"cookie": f"{self._cookie(who)['cookie']}; {cookie}"}
        page = self.site.node.send("GET", answer.headers["location"], headers=headers)
        found = re.search(r'<p class="notice" role="status">(.*?)</p>', page.text)
        assert found, page.text
        return unescape(found[1])

    def _token(self, who: str) -> str:
        if who not in self._tokens:
            sign_in = self.site.context.access.sign_in
            self._tokens[who] = self.site.node.run(lambda: sign_in(who, PASSWORD, "192.0.2.9"))
        return self._tokens[who]

    def _cookie(self, who: str) -> dict[str, str]:
        return {"cookie": f"licet={self._token(who)}"}
