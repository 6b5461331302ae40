"""Says which line of the command mends what `licet check` has found."""

from collections.abc import Mapping
from types import MappingProxyType

from licet.setup.check import Finding, FindingCode

# {of} says which tenant, where there are several.
_ADVICE: Mapping[FindingCode, str] = MappingProxyType(
    {
        FindingCode.UPGRADE_UNFINISHED: "licet migrate --finish, when no older node runs",
        FindingCode.NO_TENANT: "licet tenant add NAME --seats 5",
        FindingCode.NO_CLIENT: "licet client add CLIENT_ID --user INITIALS{of}",
        FindingCode.NO_INTROSPECTION: (
            "licet client set CLIENT_ID --introspects{of}, for the API's own client"
        ),
        FindingCode.LICENCE_EXPIRED: "licet pool set {pool} --expires DATE{of}",
        FindingCode.LICENCE_EXPIRES: "licet pool set {pool} --expires DATE{of}",
        FindingCode.POOL_UNUSED: "licet scope set SCOPE --pool {pool}{of}, or licet pool remove {pool}{of}",
        FindingCode.NO_SEATS: "licet pool set {pool} --seats N{of}",
        FindingCode.SEATS_HELD_PER_SESSION: "licet pool set {pool} --duplicates client{of}",
        FindingCode.SEATS_OVERUSED: (
            "nothing: no new seat is given until it fits; or licet pool set {pool} --seats N{of}"
        ),
        FindingCode.DEFAULT_SCOPE_MISSING: "licet tenant set {tenant} --default-scope SCOPE",
        FindingCode.ALL_UNLICENSED: "licet scope set all --pool POOL{of}",
        FindingCode.JWT_LIVES_LONG: "licet tenant set {tenant} --access-ttl 60s",
        FindingCode.USER_DISABLED: "licet user enable {user}{of}, or licet client disable {client}{of}",
        FindingCode.NO_PASSWORD: "licet user password {user}{of}, or licet client secret add {client}{of}",
        FindingCode.NO_CREDENTIALS: "licet client secret add {client}{of}",
        FindingCode.SCOPE_MISSING: "licet client set {client} --scope SCOPE{of}",
        FindingCode.NO_SCOPE: "licet client set {client} --scope SCOPE{of}, or --every-scope",
        FindingCode.SECRET_EXPIRED: "licet client secret remove {client} {secret}{of}",
        FindingCode.SECRET_EXPIRES: "licet client secret add {client}{of}",
        FindingCode.KEY_EXPIRED: "licet client key remove {client} {key}{of}",
        FindingCode.KEY_EXPIRES: "licet client key add {client} FILE{of}",
    }
)


def advice_of(finding: Finding, *, names_tenant: bool) -> str:
    """What to do about a finding; with `names_tenant` a line says of which tenant."""
    of = f" --tenant {finding.tenant}" if names_tenant else ""
    template = _ADVICE.get(finding.code)
    if finding.advice or template is None:
        return finding.advice
    return template.format_map({**finding.names, "tenant": finding.tenant, "of": of})
