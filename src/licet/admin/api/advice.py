"""Names the operation of the admin API that helps with a refusal, by its code and what it is about."""

from collections.abc import Mapping
from types import MappingProxyType

from licet.refusal import Code, Refusal, SubjectKind

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


def advised(detail: str, refusal: Refusal | None) -> str:
    """The detail of a problem, and what to do next."""
    if refusal is None:
        return detail
    kind = refusal.subject.kind if refusal.subject else None
    return " ".join(filter(None, (detail, _ADVICE.get((refusal.code, kind)))))
