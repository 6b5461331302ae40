"""Adds to an error or a finding of `licet check` the operation of the admin API that corrects it."""

from collections.abc import Mapping
from types import MappingProxyType

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.refusal import Code, Refusal, SubjectKind
from licet.setup.check import Finding, FindingCode

# In words that follow the detail of a problem; each names operations of the OpenAPI document.
_ADVICE: Mapping[tuple[Code, SubjectKind | None], str] = MappingProxyType(
    {
        (Code.ALREADY_THERE, "tenant"): "changeTenant changes it.",
        (Code.ALREADY_THERE, "pool"): "changePool changes it.",
        (Code.ALREADY_THERE, "scope"): "changeScope changes it.",
        (Code.ALREADY_THERE, "user"): "changeUser changes it.",
        (Code.ALREADY_THERE, "client"): "changeClient changes it.",
        (Code.ALREADY_THERE, "administrator"): "changeAdmin changes it.",
        (Code.ALREADY_THERE, "API key"): "Choose another name, or removeApiKey first.",
        (Code.ALREADY_THERE, "key"): "listClientKeys shows it.",
        (Code.NOT_TOGETHER, "pool"): "changePool changes it.",
        (Code.NOT_FOUND, "pool"): "addPool adds it.",
        (Code.IN_USE, "pool"): "changeScope gives a scope another pool.",
        (Code.IN_USE, "scope"): "changeClient gives a client other scopes.",
        (Code.IN_USE, "user"): "changeClient gives a client another user.",
        (Code.IS_DEFAULT, "scope"): "changeTenant sets default_scope.",
        (Code.TOO_MANY, "secret"): "removeSecret makes room.",
        (Code.TOO_MANY, "key"): "removeClientKey makes room.",
        (Code.TOO_MANY, "administrator"): "removeAdmin makes room.",
        (Code.TOO_MANY, "API key"): "removeApiKey makes room.",
        (Code.TOO_MANY, "webhook"): "removeWebhook makes room.",
        (Code.TOO_MANY, "signing key"): "pruneKeys makes room.",
        (Code.LAST_OWNER, "administrator"): "addAdmin with the role owner and no tenant adds one.",
        (Code.DISABLED, "webhook"): "changeWebhook with enabled true does.",
        (Code.SHARED_KEY, None): "addSecret generates a secret.",
        (Code.PRIVATE_KEY, None): "Send the public key to addClientKey.",
    }
)


_OF_LICENCES: Mapping[LicenceCode, str] = MappingProxyType(
    {
        LicenceCode.UNKNOWN_KEY: "trustVendor takes it.",
        LicenceCode.SERIAL_TAKEN: "getLicence shows what is installed.",
        LicenceCode.REMOVED_SERIAL: "getLicence shows which were removed.",
        LicenceCode.OUT_OF_DATE: "getLicence shows what is installed.",
        LicenceCode.TWO_VENDORS: "removeLicence removes one.",
        LicenceCode.NO_COMMON_SCOPE: "listLicences shows what they allow.",
        LicenceCode.NO_COMMON_HOLDER: "listLicences shows what they allow.",
    }
)


def advised(detail: str, refusal: Refusal | LicenceRefused | None) -> str:
    """The detail of a problem, and what to do next."""
    if refusal is None:
        return detail
    if isinstance(refusal, LicenceRefused):
        return " ".join(filter(None, (detail, _OF_LICENCES.get(refusal.code))))
    kind = refusal.subject.kind if refusal.subject else None
    return " ".join(filter(None, (detail, _ADVICE.get((refusal.code, kind)))))


_RENEWAL = "installLicences with the renewal of the vendor"
_OF_FINDINGS: Mapping[FindingCode, str] = MappingProxyType(
    {
        FindingCode.UPGRADE_UNFINISHED: "on the server, when no older node runs: licet migrate --finish",
        FindingCode.NO_TENANT: "addTenant",
        FindingCode.NO_CLIENT: "addClient",
        FindingCode.NO_INTROSPECTION: "changeClient with introspects true, for the API's own client",
        FindingCode.LICENCE_EXPIRED: "changePool {pool} with expires_at",
        FindingCode.LICENCE_EXPIRES: "changePool {pool} with expires_at",
        FindingCode.SEATS_EXPIRE: _RENEWAL,
        FindingCode.LICENCE_IN_GRACE: _RENEWAL,
        FindingCode.SEATS_EXPIRED: _RENEWAL,
        FindingCode.POOL_UNUSED: "changeScope with the pool {pool}, or removePool {pool}",
        FindingCode.NO_SEATS: "changePool {pool} with seats",
        FindingCode.LICENCE_MISSING: "install a licence of the pool, as its vendor sent it",
        FindingCode.SEATS_NOT_SIGNED: "nothing: the lesser number counts; or install a licence with more",
        FindingCode.OPTIONS_CONTRADICT: "changePool {pool} with other options, or with more seats",
        FindingCode.OPTION_FOR_NOBODY: "changePool {pool} without it",
        FindingCode.GROUP_EMPTY: "changeGroup {group} with users or clients, or removeGroup {group}",
        FindingCode.OPTION_WITHOUT_EFFECT: "nothing, or changePool {pool} without it",
        FindingCode.SEATS_HELD_PER_SESSION: "changePool {pool} with duplicates client",
        FindingCode.SEATS_OVERUSED: (
            "nothing: no new seat is given until it fits; or changePool {pool} with seats"
        ),
        FindingCode.DEFAULT_SCOPE_MISSING: "changeTenant {tenant} with default_scope",
        FindingCode.ALL_UNLICENSED: "changeScope all with a pool",
        FindingCode.JWT_LIVES_LONG: "changeTenant {tenant} with access_ttl_s 60",
        FindingCode.USER_DISABLED: (
            "changeUser {user} with enabled true, or changeClient {client} with enabled false"
        ),
        FindingCode.NO_PASSWORD: "changeUser {user} with a password, or addSecret for {client}",
        FindingCode.NO_CREDENTIALS: "addSecret for {client}",
        FindingCode.SCOPE_MISSING: "changeClient {client} with scopes",
        FindingCode.NO_SCOPE: "changeClient {client} with scopes; null is every scope",
        FindingCode.SECRET_EXPIRED: "removeSecret {secret} of {client}",
        FindingCode.SECRET_EXPIRES: "addSecret for {client}",
        FindingCode.KEY_EXPIRED: "removeClientKey {key} of {client}",
        FindingCode.KEY_EXPIRES: "addClientKey for {client}",
    }
)


def advice_of(finding: Finding) -> str:
    """What to do about a finding."""
    template = _OF_FINDINGS.get(finding.code)
    if finding.advice or template is None:
        return finding.advice
    return template.format_map({**finding.names, "tenant": finding.tenant})
