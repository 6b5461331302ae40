"""Serves the findings of `licet check`, and to administrators of all tenants the nodes of the store."""

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi
from licet.admin.api.call import Reading
from licet.admin.api.responses import upkeep as shapes
from licet.credentials.keyring import fingerprint, read_keyring
from licet.setup.check import check, check_nodes
from licet.setup.signed_limits import any_signed
from licet.store.nodes import read_nodes

checks = APIRouter(tags=["Upkeep"])


@checks.get("/check", operation_id="getCheck", **openapi.one(shapes.Checked))
async def get_check(call: Reading) -> Response:
    """Mistakes in the set-up and other findings, and the servers that work on the store."""

    def make() -> shapes.Checked:
        seen = {tenant.id: tenant for tenant in call.context.tenants_now(call.identity)}
        is_all = call.identity.tenant_id is None
        own_pepper = fingerprint(read_keyring(call.context.keyring_path).pepper) if is_all else None
        with call.context.store.reporting() as connection:
            now_ms = call.now_ms()
            nodes = read_nodes(connection) if is_all else []
            findings = check_nodes(
                nodes,
                now_ms,
                many_machines=call.context.store.differences.many_machines,
                own_pepper=own_pepper,
                are_signed=any_signed(seen.values()),
            )
            findings += check(connection, seen, now_ms)
        return shapes.Checked(
            findings=tuple(shapes.check_finding(finding) for finding in findings if is_all or finding.tenant),
            nodes=tuple(shapes.node(node, now_ms) for node in nodes),
        )

    return await call.show(make)
