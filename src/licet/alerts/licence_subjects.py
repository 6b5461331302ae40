"""Says in one line of an e-mail what became of signed licences and of overdraft."""

from collections.abc import Callable, Mapping
from typing import Any

from licet.alerts.evaluation import OVERDRAFT_USED
from licet.alerts.signed_licences import EXPIRED, EXPIRES_SOON, GRACE_BEGAN
from licet.alerts.uncounted_licences import INVALID
from licet.store.licences_read import Fault

Data = Mapping[str, Any]

_FAULTS: Mapping[str, str] = {
    Fault.VENDOR_NOT_TRUSTED: "its vendor is not trusted",
    Fault.KEY_NOT_TRUSTED: "its vendor has withdrawn the key that signed it",
    Fault.CHANGED: "its text was changed",
}


def licence_subject(type_: str, data: Data) -> str | None:
    """What happened; None for an alert of something else."""
    told = _SUBJECTS.get(type_)
    return None if told is None else f"{data.get('tenant')}{told(data)}"


def _expires_soon(data: Data) -> str:
    left = "1 day" if data["days"] == 1 else f"{data['days']} days"
    return f", pool {data['pool']}: the licence expires within {left}, at {data['expires_at']}, {_loss(data)}"


def _grace_began(data: Data) -> str:
    text = f"the licence has expired, and its grace ends at {data['grace_until']}"
    return f", pool {data['pool']}: {text}, {_loss(data)}"


def _expired(data: Data) -> str:
    return f", pool {data['pool']}: the licence has expired, {_loss(data)}"


def _loss(data: Data) -> str:
    return f"{data['seats_after']} of {data['seats_before']} seats are left"


def _invalid(data: Data) -> str:
    return f": serial {data['serial']} of licence {data['licence']} gives no seats, {_FAULTS[data['reason']]}"


def _overdraft_used(data: Data) -> str:
    return f", pool {data['pool']}: overdraft is in use, {data['peak']} of {data['seats']} seats"


_SUBJECTS: Mapping[str, Callable[[Data], str]] = {
    EXPIRES_SOON: _expires_soon,
    GRACE_BEGAN: _grace_began,
    EXPIRED: _expired,
    INVALID: _invalid,
    OVERDRAFT_USED: _overdraft_used,
}
