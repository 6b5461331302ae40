"""Reads a licence, verifies its signature with vendors' keys, and checks its tenant and installation.

The signature is verified first: of a licence without a valid one, only the header is parsed.
"""

from collections.abc import Iterable
from datetime import date

from licet.licences.armour import split
from licet.licences.claims import read_claims
from licet.licences.errors import LicenceCode, LicenceRefused, shown
from licet.licences.jws import encode, take_apart
from licet.licences.licence import SignedLicence
from licet.licences.vendor_file import Vendor

_INSTALLATION = b"licet installation\0"


def read(text: str, vendors: Iterable[Vendor]) -> SignedLicence:
    """The licence of a compact JWS, if one of these vendors signed it for its product.

    Raises LicenceRefused.
    """
    jws = take_apart(text)
    # A vendor may sign for several products with one key, each of which has a file of its own.
    known = [vendor for vendor in vendors if jws.kid in vendor.keys]
    if not known:
        problem = f"it is signed with the key {shown(jws.kid)}, which is of no vendor that is trusted here"
        raise LicenceRefused(LicenceCode.UNKNOWN_KEY, problem, field="kid")
    if not known[0].keys[jws.kid].is_signed(jws.signed, jws.signature):
        problem = f"its signature is wrong: it was changed, or {known[0].name} never signed it"
        raise LicenceRefused(LicenceCode.BAD_SIGNATURE, problem)
    licence = read_claims(jws, text)
    _must_be_of(licence, known)
    return licence


def read_file(content: bytes, vendors: Iterable[Vendor]) -> tuple[SignedLicence, ...]:
    """All licences of a file, in its order.

    Raises LicenceRefused.
    """
    known = tuple(vendors)
    return tuple(read(text, known) for text in split(content))


def read_unverified(text: str) -> SignedLicence:
    """The licence of a compact JWS whose signature is not verified: only to show it.

    Raises LicenceRefused.
    """
    return read_claims(take_apart(text), text)


def must_be_for_tenant(licence: SignedLicence, tenant: str) -> None:
    """Return if it is for this tenant, to the letter.

    Raises LicenceRefused.
    """
    if licence.tenant != tenant:
        problem = f"it is for tenant {shown(licence.tenant)}, and not for {shown(tenant)}"
        raise LicenceRefused(LicenceCode.OTHER_TENANT, problem, field="tenant")


def must_cover(licence: SignedLicence, *, tenant: str, installation: str | None, built: date) -> None:
    """Return if it covers this installation of the vendor's API, and its build of this day.

    `installation` is what `installation_hash` gives; None is an API that has none, for which a bound licence
    is no good. Raises LicenceRefused.
    """
    must_be_for_tenant(licence, tenant)
    if licence.installation not in {None, installation}:
        problem = f"it is for the installation {licence.installation}, and not for this one"
        raise LicenceRefused(LicenceCode.OTHER_INSTALLATION, problem, field="installation")
    if licence.updates_until is not None and built > licence.updates_until:
        problem = f"it has updates until {licence.updates_until}, and this build is of {built}"
        raise LicenceRefused(LicenceCode.UPDATES_ENDED, problem, field="updates_until")


def installation_hash(secret: str) -> str:
    """What a licence is bound to: a hash of the text that the API's database keeps."""
    from hashlib import sha256  # noqa: PLC0415 - all of OpenSSL, which a process that only commits has no other use for

    return encode(sha256(_INSTALLATION + secret.encode()).digest())


def _must_be_of(licence: SignedLicence, known: list[Vendor]) -> None:
    if not any(vendor.name == licence.vendor for vendor in known):
        problem = f"it says to be of {shown(licence.vendor)}, and the key is of {shown(known[0].name)}"
        raise LicenceRefused(LicenceCode.OTHER_VENDOR, problem, field="iss")
    if not any((vendor.name, vendor.product) == (licence.vendor, licence.product) for vendor in known):
        problem = f"it is for the product {shown(licence.product)}, and not for {shown(known[0].product)}"
        raise LicenceRefused(LicenceCode.OTHER_PRODUCT, problem, field="product")
