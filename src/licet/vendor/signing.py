"""Signs a licence: takes a serial, makes the signature, and verifies the result before anybody gets it.

Whatever can be refused is refused before a serial is taken: the claims are checked by the same rules that
readers apply, and the key is opened first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from licet.licences.claims import SERIAL_MAX, read_claims
from licet.licences.errors import LicenceRefused
from licet.licences.jws import SIGNATURE_BYTES, put_together, take_apart, what_to_sign
from licet.licences.licence import SignedLicence, Standing
from licet.licences.reading import read, read_unverified
from licet.licences.vendor_file import Vendor, VendorKey
from licet.vendor.register import Register
from licet.vendor.signers import Sign


class Draft(NamedTuple):
    """What is to be signed, and how it reads; its serial is not the one that it will have."""

    claims: Mapping[str, Any]
    licence: SignedLicence


def drafted(claims: Mapping[str, Any], key: VendorKey) -> Draft:
    """These claims, if they make a licence.

    Raises LicenceRefused.
    """
    longest = {**claims, "serial": SERIAL_MAX}
    text = put_together(what_to_sign(key.kid, longest), bytes(SIGNATURE_BYTES))
    return Draft(claims, read_claims(take_apart(text), text))


def signed(
    draft: Draft, key: VendorKey, vendor: Vendor, *, sign: Sign, register: Register, serial: int | None = None
) -> SignedLicence:
    """The licence, with the next serial or with this one; it is in the register.

    Raises VendorRefused, and LicenceRefused if what was signed is no licence.
    """
    licence = draft.licence
    taken = register.take(licence.licence, licence.tenant, serial)
    content = what_to_sign(key.kid, {**draft.claims, "serial": taken})
    made = read(put_together(content, sign(content)), [vendor])
    register.keep(made.licence, made.serial, made.text)
    return made


def replaced(licence: SignedLicence, register: Register) -> SignedLicence | None:
    """The serial of the register whose place this one takes, if it gives more seats of a pool at that moment.

    Raises VendorRefused.
    """
    texts = [
        entry.text
        for entry in register.entries()
        if entry.licence == licence.licence and entry.text is not None
    ]
    try:
        before = read_unverified(texts[-1]) if texts else None
    except LicenceRefused:  # of a version that allowed more
        return None
    if before is None or before.standing(licence.begins_at_ms) is Standing.OVER:
        return None
    is_less = any(
        name not in licence.pools or licence.pools[name].seats < pool.seats
        for name, pool in before.pools.items()
    )
    return before if is_less and before.tenant == licence.tenant else None


def beside(licence: SignedLicence, register: Register) -> tuple[SignedLicence, ...]:
    """The other licences of the register for the same tenant and installation, each in its newest serial.

    Those of one pool add up with it: somebody who gave a renewal another id would double what was bought.
    Raises VendorRefused.
    """
    newest: dict[str, SignedLicence] = {}
    for entry in register.entries():
        if entry.text is None or (entry.tenant, entry.licence == licence.licence) != (licence.tenant, False):
            continue
        try:
            newest[entry.licence] = read_unverified(entry.text)
        except LicenceRefused:  # of a version that allowed more
            continue
    return tuple(other for other in newest.values() if _is_same_place(other, licence))


def _is_same_place(one: SignedLicence, other: SignedLicence) -> bool:
    is_bound_elsewhere = one.installation is not None and other.installation not in {None, one.installation}
    return not is_bound_elsewhere and (one.customer is None or one.customer == other.customer)
