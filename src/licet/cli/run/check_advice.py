"""Says which command corrects a finding of `licet check`."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from licet.cli.suggested_options import of_data, of_tenant, options_first
from licet.platforms.shells import quoted
from licet.setup.check import Finding, FindingCode

_RENEWAL = "licet licence install FILE{to}, with the renewal of the vendor"

# {to} adds the tenant, where there are several, and the data; {at} only the data.
_ADVICE: Mapping[FindingCode, str] = MappingProxyType(
    {
        FindingCode.UPGRADE_UNFINISHED: "licet migrate --finish{at}, when no older node runs",
        FindingCode.NO_TENANT: "licet tenant add NAME --seats 5{at}",
        FindingCode.NO_CLIENT: "licet client add CLIENT_ID --user INITIALS{to}",
        FindingCode.NO_INTROSPECTION: (
            "licet client set CLIENT_ID --introspects{to}, for the API's own client"
        ),
        FindingCode.LICENCE_EXPIRED: "licet pool set {pool} --expires DATE{to}",
        FindingCode.LICENCE_EXPIRES: "licet pool set {pool} --expires DATE{to}",
        FindingCode.SEATS_EXPIRE: _RENEWAL,
        FindingCode.LICENCE_IN_GRACE: _RENEWAL,
        FindingCode.SEATS_EXPIRED: _RENEWAL,
        FindingCode.POOL_UNUSED: "licet scope set SCOPE --pool {pool}{to}, or licet pool remove {pool}{to}",
        FindingCode.NO_SEATS: "licet pool set {pool} --seats N{to}",
        FindingCode.LICENCE_MISSING: "licet licence install FILE{to}, as the vendor sent it",
        FindingCode.SEATS_NOT_SIGNED: (
            "nothing: the lesser number counts; or a licence with more: licet licence install FILE{to}"
        ),
        FindingCode.SEATS_HELD_PER_SESSION: "licet pool set {pool} --duplicates client{to}",
        FindingCode.SEATS_OVERUSED: (
            "nothing: no new seat is given until it fits; or licet pool set {pool} --seats N{to}"
        ),
        FindingCode.OPTIONS_CONTRADICT: "licet pool set {pool}{to}; licet pool show {pool}{to} shows them",
        FindingCode.OPTION_FOR_NOBODY: "take it away with: licet pool set {pool}{to}",
        FindingCode.OPTION_WITHOUT_EFFECT: "nothing, or take it away with: licet pool set {pool}{to}",
        FindingCode.GROUP_EMPTY: "licet group set {group} --user INITIALS{to}, or group remove",
        FindingCode.DEFAULT_SCOPE_MISSING: "licet tenant set {tenant} --default-scope SCOPE{at}",
        FindingCode.ALL_UNLICENSED: "licet scope set all --pool POOL{to}",
        FindingCode.JWT_LIVES_LONG: "licet tenant set {tenant} --access-ttl 60s{at}",
        FindingCode.USER_DISABLED: "licet user enable {user}{to}, or licet client disable {client}{to}",
        FindingCode.NO_PASSWORD: "licet user password {user}{to}, or licet client secret add {client}{to}",
        FindingCode.NO_CREDENTIALS: "licet client secret add {client}{to}",
        FindingCode.SCOPE_MISSING: "licet client set {client} --scope SCOPE{to}",
        FindingCode.NO_SCOPE: "licet client set {client} --scope SCOPE{to}, or --every-scope",
        FindingCode.SECRET_EXPIRED: "licet client secret remove {client} {secret}{to}",
        FindingCode.SECRET_EXPIRES: "licet client secret add {client}{to}",
        FindingCode.KEY_EXPIRED: "licet client key remove {client} {key}{to}",
        FindingCode.KEY_EXPIRES: "licet client key add {client} FILE{to}",
    }
)


def advice_of(finding: Finding, *, names_tenant: bool, data: Path | None = None) -> str:
    """What to do about a finding; with `names_tenant` a command names the tenant."""
    template = _ADVICE.get(finding.code)
    if finding.advice or template is None:
        return finding.advice
    if any(text.startswith("-") for text in finding.names.values()):
        template = options_first(template)
    names = {name: quoted(text) for name, text in finding.names.items()}
    to = of_tenant(finding.tenant if names_tenant else None, data)
    return template.format_map({**names, "tenant": quoted(finding.tenant), "to": to, "at": of_data(data)})
