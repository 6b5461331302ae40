"""Other people's libraries read our licences, and we read theirs."""

import json
import subprocess
import sys
import textwrap

import jwt
import pytest

from licet.licences.jws import put_together, what_to_sign
from licet.licences.reading import read
from licet.licences.vendor_file import vendor_file
from support.licences.vendors import TestVendor


@pytest.fixture(scope="module")
def acme() -> TestVendor:
    """Who signs."""
    return TestVendor()


def test_a_licence_is_read_by_pyjwt_under_the_vendors_file(acme: TestVendor) -> None:
    """The key set of the file is all that it needs (RFC 7517, RFC 7519)."""
    signed = what_to_sign(acme.kid, acme.claims(customer="M\u00fcller"))
    text = put_together(signed, acme.signature(signed))
    [key] = jwt.PyJWKSet.from_json(vendor_file(acme.vendor).decode()).keys
    header = jwt.get_unverified_header(text)
    claims = jwt.decode(text, key, algorithms=["ES256"], issuer="acme", options={"verify_iat": False})
    assert header == {"alg": "ES256", "kid": key.key_id, "typ": "licet-licence+jws"}
    assert claims == acme.claims(customer="M\u00fcller")
    assert read(text, [acme.vendor]).customer == "M\u00fcller"


def test_a_licence_that_pyjwt_made_is_read(acme: TestVendor) -> None:
    """Its header and claims are spelt in its own way."""
    headers = {"typ": "licet-licence+jws", "kid": acme.kid}
    text = jwt.encode(acme.claims(), acme.private, "ES256", headers=headers, sort_headers=True)
    assert read(text, [acme.vendor]).pools["full"].seats == 25
    payload = json.dumps(acme.claims(), indent=4).encode()
    made = jwt.PyJWS().encode(payload, acme.private, "ES256", headers=headers)
    assert read(made, [acme.vendor]).serial == 1


def test_the_room_imports_the_standard_library_alone() -> None:
    """So that the guard of the base install can have it; `cryptography` comes with the first key."""
    code = """
        import pkgutil, sys
        before = set(sys.modules)
        import licet.licences
        for module in pkgutil.iter_modules(licet.licences.__path__, "licet.licences."):
            __import__(module.name)
        tops = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(tops - sys.stdlib_module_names))
        print(sorted(it for it in sys.modules if it.startswith("licet") and "licences" not in it))
    """
    script = [sys.executable, "-c", textwrap.dedent(code)]
    printed = subprocess.run(script, check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed.splitlines() == ["['licet']", "['licet']"]
