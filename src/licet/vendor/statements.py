"""Reads usage statements of customers, and checks them: each by itself, and all of a tenant together.

    -----BEGIN LICET USAGE STATEMENT-----
    eyJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLg... in lines of 64 characters
    -----END LICET USAGE STATEMENT-----

A statement is a compact JWS of the type `licet-usage+jws`. Its key is one of its tenant's key set, and is in
its claims as well. The rules:

- The signature is verified by that key: what was changed since is refused.
- Where key sets are given, the key has to be in one of them. Without, anybody may have made the statement.
- What it says has the form of a statement (`statement_claims.py`): its span is covered day by day.
- Of the statements of a tenant, each number may be there once, none may be missing in between, each has the
  hash of the one before, and begins where that one ended. Anything else is reported.
- A signature of ECDSA has a twin, which anybody can make (`licences/jws.py`). Statements that differ in that
  alone are one, and the hash of either is a hash of the one before.

It needs no store.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple

from licet.licences.errors import LicenceRefused
from licet.licences.jws import decode, encode, twin_of
from licet.licences.strict_json import read_object
from licet.licences.vendor_file import read_key
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.statement_claims import problem_of

TYPE: Final = "licet-usage+jws"
BEGIN: Final = "-----BEGIN LICET USAGE STATEMENT-----"
END: Final = "-----END LICET USAGE STATEMENT-----"
LINE_CHARS: Final = 64
FILE_BYTES_MAX: Final = 4_000_000
STATEMENTS_MAX: Final = 100  # of one file

_PARTS = 3
_SAME_NUMBER = "there are two different statements with the number {seq} of {tenant}"


class Statement(NamedTuple):
    """A statement whose signature is good. `is_known` is whether its key is in the key set of the tenant."""

    text: str
    kid: str
    is_known: bool
    claims: Mapping[str, Any]

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return str(self.claims["tenant"])

    @property
    def seq(self) -> int:
        """Its number."""
        return int(self.claims["seq"])

    @property
    def hash(self) -> str:
        """What the next one has as `prev`."""
        return hash_of(self.text)

    @property
    def signed(self) -> str:
        """What is signed of it: by this it is the same statement as another."""
        return self.text.rpartition(".")[0]

    @property
    def hashes(self) -> frozenset[str]:
        """Its hash, and that of it with the twin of its signature."""
        return frozenset({self.hash, hash_of(twin_of(self.text))})


def hash_of(text: str) -> str:
    """SHA-256 of a statement as it travels, in base64url."""
    return encode(sha256(text.encode()).digest())


def header_of(kid: str) -> bytes:
    """The header of a statement that a key with this name signs."""
    return json.dumps({"alg": "ES256", "kid": kid, "typ": TYPE}, separators=(",", ":")).encode()


def armoured(text: str) -> str:
    """A statement in its armour, with a line end behind it."""
    lines = [text[at : at + LINE_CHARS] for at in range(0, len(text), LINE_CHARS)]
    return "\n".join([BEGIN, *lines, END, ""])


def is_statement(content: bytes) -> bool:
    """Whether a file has statements in it, and not licences."""
    return BEGIN.encode() in content


def split(content: bytes) -> tuple[str, ...]:
    """The statements of a file, each as a compact JWS; nothing of them is verified yet.

    Raises VendorRefused.
    """
    if len(content) > FILE_BYTES_MAX:
        raise _refused(f"a file of statements has {FILE_BYTES_MAX} bytes at most")
    found: list[list[str]] = []
    is_inside = False
    for line in content.decode("ascii", "replace").splitlines():
        if line == BEGIN and not is_inside:
            is_inside = True
            found.append([])
        elif line == END and is_inside:
            is_inside = False
        elif is_inside:
            found[-1].append(line)
        elif line:
            raise _refused("a line of the file belongs to no statement")
    if is_inside or not found or len(found) > STATEMENTS_MAX:
        raise _refused(f"a file has 1 to {STATEMENTS_MAX} whole statements")
    return tuple("".join(lines) for lines in found)


def read_statement(text: str, keys: frozenset[str] | None = None) -> Statement:
    """A statement, if it is one and was not changed since it was signed; `keys` are those of its tenant.

    Raises VendorRefused.
    """
    try:
        return _read(text, keys)
    except LicenceRefused as fault:
        raise _refused(f"the statement was changed or damaged: {fault.text}") from None


def _read(text: str, keys: frozenset[str] | None) -> Statement:
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise _refused("a statement has three parts with a dot between them")
    header = read_object(decode(parts[0]), "the header")
    if header.get("typ") != TYPE or header.get("alg") != "ES256" or len(header) != _PARTS:
        raise _refused(f"this is no {TYPE}, signed with ES256")
    claims = read_object(decode(parts[1]), "the statement")
    key = read_key(claims.get("key"))
    if header.get("kid") != key.kid or not key.is_signed(text.rpartition(".")[0].encode(), decode(parts[2])):
        raise _refused("the statement was changed since it was signed")
    if problem := problem_of(claims):
        raise _refused(f"the statement is none: {problem}")
    if keys is not None and key.kid not in keys:
        raise _refused(f"no key of the key set made it: its key is {key.kid}")
    return Statement(text, key.kid, keys is not None, claims)


def read_key_set(content: bytes) -> frozenset[str]:
    """The names of the keys of a tenant's key set, as at `/{tenant}/jwks.json`.

    Raises VendorRefused.
    """
    try:
        found = read_object(content, "the key set").get("keys")
        if isinstance(found, list):
            return frozenset(read_key(key).kid for key in found)
    except LicenceRefused as fault:
        raise _refused(f"this is no key set: {fault.text}") from None
    raise _refused("this is no key set: it has no list of keys")


def _refused(text: str) -> VendorRefused:
    return VendorRefused(VendorCode.BAD_STATEMENT, text)


def troubles(statements: Iterable[Statement]) -> Iterator[str]:
    """What does not fit together, a sentence each."""
    of_tenant: defaultdict[str, dict[str, Statement]] = defaultdict(dict)
    for statement in statements:
        of_tenant[statement.tenant][statement.signed] = statement
    for tenant, found in sorted(of_tenant.items()):
        yield from _troubles(tenant, sorted(found.values(), key=lambda it: (it.seq, it.claims["iat"])))


def _troubles(tenant: str, statements: list[Statement]) -> Iterator[str]:
    if statements[0].seq > 1:
        yield f"statement {statements[0].seq} of {tenant} is the first here: those before it are missing"
    for before, after in pairwise(statements):
        if after.seq == before.seq:
            yield _SAME_NUMBER.format(seq=after.seq, tenant=tenant)
            continue
        if after.seq > before.seq + 1:
            missing = f"{before.seq + 1}" + (f" to {after.seq - 1}" if after.seq > before.seq + 2 else "")
            yield f"statement {missing} of {tenant} is missing"
            continue
        followed = frozenset[str]().union(*(it.hashes for it in statements if it.seq == before.seq))
        if after.claims.get("prev") not in followed:
            yield f"statement {after.seq} of {tenant} follows a different statement {before.seq}"
        if after.claims["from"] != before.claims["until"]:
            yield f"statement {after.seq} of {tenant} does not begin where {before.seq} ended"
