"""Makes the test vectors of docs/reference/guard-protocol.md, with the guard itself.

    PYTHONPATH=tests .venv/bin/python -m support.guard.guard_vectors > docs/reference/guard-vectors.json

The vendor's key is derived from a text, and its signatures are deterministic, so that the file changes only
when the protocol does.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from licet.guard import OneProcess, Refused
from licet.guard.counting import Counting, Rules
from licet.guard.coverage import Coverage, Place, PoolTerms, Why, read_all
from licet.guard.identity import Identity
from licet.guard.introspection import Secret
from licet.guard.licence import Licence
from licet.guard.licence_source import Client, LicenceSource
from licet.guard.seat_claims import claimant, who_has
from licet.licences.jws import encode
from licet.licences.reading import installation_hash
from licet.licences.vendor_file import Vendor, read_key, vendor_file
from support.guard.seat_memories import START_S, Time
from support.licences.vendors import TestVendor

DAY_S = 86_400
BUILT = date(2026, 11, 1)
INSTALLATION = "the text of the vectors"
READ_ONLY = frozenset({"view"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class VectorVendor(TestVendor):
    """A vendor whose key is derived from a text, with deterministic signatures (RFC 6979)."""

    def __init__(self, seed: str = "licet guard vectors") -> None:
        self.private = ec.derive_private_key(int.from_bytes(sha256(seed.encode()).digest()), ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        x, y = (encode(it.to_bytes(32, "big")) for it in (point.x, point.y))
        key = read_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        self.kid = key.kid
        self.vendor = Vendor(name="acme", product="jim2-api", keys={key.kid: key})

    def signature(self, content: bytes) -> bytes:
        """The signature in the format of RFC 7518 3.4."""
        how = ec.ECDSA(SHA256(), deterministic_signing=True)
        r, s = utils.decode_dss_signature(self.private.sign(content, how))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


VENDOR = VectorVendor()
PLACE = Place(VENDOR.vendor, "Jim_Test", INSTALLATION, BUILT)


def _pools(**members: Any) -> dict[str, Any]:
    return {"full": {"seats": 3, "scopes": ["all"]} | members}


def _licences() -> dict[str, str]:
    """The licences of the vectors, by name."""
    claims: dict[str, dict[str, Any]] = {
        "plain": {"pools": _pools()},
        "bound": {"pools": _pools(), "installation": installation_hash(INSTALLATION)},
        "bound to another": {"pools": _pools(), "installation": installation_hash("another text")},
        "of another tenant": {"pools": _pools(), "tenant": "Other"},
        "of another product": {"pools": _pools(), "product": "other-api"},
        "updates ended": {"pools": _pools(), "updates_until": "2026-10-31"},
        "updates until the day of the build": {"pools": _pools(), "updates_until": "2026-11-01"},
        "must know more": {"pools": _pools(), "must": ["moods"], "moods": 1},
        "claims that are not known": {"pools": _pools(), "moods": 1},
        "a pool limits in a new way": {"pools": _pools(per_day=1)},
        "seats as a fraction": {"pools": _pools(seats=3.0)},
        "a month": {"pools": _pools(overdraft=2), "exp": START_S + 30 * DAY_S, "grace": 10 * DAY_S},
        "renewal, two weeks earlier": {
            "pools": _pools(seats=5, hold=120, duplicates=["client"]),
            "serial": 2,
            "nbf": START_S + 16 * DAY_S,
        },
        "two more": {"licence": "C-2", "pools": _pools(seats=2, access_ttl_max=300)},
        "two pools": {"pools": _pools() | {"lite": {"seats": 1, "scopes": ["lite"]}}},
        "counted by user": {"pools": _pools(duplicates=["user"])},
    }
    made = {name: VENDOR.sign(VENDOR.claims(**of)) for name, of in claims.items()}
    other = VectorVendor("another vendor")
    made["of another vendor"] = other.sign(other.claims(pools=_pools()))
    other.kid = VENDOR.kid
    made["of another key under the vendor's name"] = other.sign(other.claims(pools=_pools()))
    made["another algorithm"] = VENDOR.sign(VENDOR.claims(pools=_pools()), alg="HS256")
    made["a header with a key"] = VENDOR.sign(VENDOR.claims(pools=_pools()), jwk={})
    made["the type of an access token"] = VENDOR.sign(VENDOR.claims(pools=_pools()), typ="at+jwt")
    made["two members of one name"] = VENDOR.sign_bytes(
        json.dumps(VENDOR.header()).encode(),
        json.dumps(VENDOR.claims(pools=_pools())).replace('"seats": 3', '"seats": 3, "seats": 300').encode(),
    )
    head, _, signature = made["plain"].rpartition(".")
    made["a signature that was changed"] = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    return made


def _verdicts(licences: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for name, text in licences.items():
        _, passed = read_all([text], PLACE)
        found.append({"licence": name, "reason": passed[0].why.value if passed else None})
    return found


def _coverage(licences: Mapping[str, str], names: Sequence[str]) -> Coverage:
    good, passed = read_all([licences[name] for name in names], PLACE)
    return Coverage(good, passed, PLACE.built_ms)


def _signed(licences: Mapping[str, str]) -> list[dict[str, Any]]:
    cases = [
        (["plain"], "full", 0),
        (["plain"], "full", -400 * DAY_S),
        (["plain"], "lite", 0),
        (["plain", "two more"], "full", 0),
        (["a month"], "full", 30 * DAY_S),
        (["a month"], "full", 40 * DAY_S),
        (["a month"], "full", 41 * DAY_S),
        (["a month"], "full", 41 * DAY_S + 1),
        (["a month", "renewal, two weeks earlier"], "full", 15 * DAY_S - 1),
        (["a month", "renewal, two weeks earlier"], "full", 15 * DAY_S),
        (["a month", "renewal, two weeks earlier"], "full", 17 * DAY_S),
        (["a month", "renewal, two weeks earlier"], "full", 17 * DAY_S + 1),
        (["bound to another"], "full", 0),
        (["of another vendor"], "full", 0),
        ([], "full", 0),
    ]
    found: list[dict[str, Any]] = []
    for names, pool, after_s in cases:
        terms = _coverage(licences, names).terms(pool, (START_S + after_s) * 1000)
        case: dict[str, Any] = {"licences": names, "pool": pool, "now": START_S + after_s}
        if isinstance(terms, PoolTerms):
            case["terms"] = {
                "signed": terms.signed,
                "scopes": sorted(terms.scopes),
                "duplicates": sorted(terms.duplicates),
                "hold": terms.hold_s,
                "access_ttl_max": terms.access_ttl_max_s,
            }
        else:
            case["reason"] = Why(terms).value
        found.append(case)
    return found


def _who() -> list[dict[str, Any]]:
    names = [
        ("client", "App", "TC"),
        ("client", "App", None),
        ("client", None, "TC"),
        ("user", "App", "TC"),
        ("user", "Other", "TC"),
        ("user", "App", None),
        ("client", "a,1:b", "c"),
        ("client", "a", "b,1:c"),
        ("client", "Zoë", "☃"),
    ]
    return [
        {"counted_for": way, "client_id": client, "username": user, "who": who_has(way, client, user)}
        for way, client, user in names
    ]


Step = tuple[int, dict[str, Any], str, list[str]]


def _claims(after_s: int = 0, number: Any = 1, client: str = "C1", **more: Any) -> dict[str, Any]:
    """The claims of a token that is issued this many seconds after the beginning."""
    iat = START_S + after_s
    seat = {"seat": {"number": number, "counted_for": "client"}}
    usual = {"client_id": client, "username": "TC", "scope": "all view", "pool": "full"}
    return {**usual, "iat": iat, "exp": iat + 600, **seat, **more}


def _scenarios() -> list[tuple[str, list[str], list[Step]]]:
    post: tuple[str, list[str]] = ("POST", [])
    return [
        (
            "who needs a seat",
            ["two pools"],
            [
                (0, _claims(number=99), "GET", []),
                (0, _claims(number=99), "GET", ["view"]),
                (0, _claims(number=99), "GET", ["all"]),
                (0, _claims(seat=None), "GET", []),
                (0, _claims(seat=None), *post),
                (0, _claims(pool="lite"), "GET", []),
                (0, _claims(pool="lite"), *post),
                (0, _claims(pool="lite", scope="lite view"), *post),
                (0, _claims(scope="all reports"), *post),
                (0, _claims(scope="all reports"), "POST", ["reports"]),
                (0, _claims(pool="mine"), *post),
            ],
        ),
        (
            "numbers",
            ["plain"],
            [(0, _claims(number=it), *post) for it in (1, 3, 4, 0, -1, True, "1", None, 2**53)],
        ),
        (
            "clocks",
            ["plain"],
            [
                (0, _claims(300), *post),
                (0, _claims(301, number=2), *post),
                (0, _claims(-900, number=3, exp=START_S + 60), *post),
                (0, _claims(-901, number=3, exp=START_S + 60), *post),
                (0, _claims(-500, number=3, exp=START_S - 300), *post),
                (0, _claims(-500, number=3, exp=START_S - 301), *post),
            ],
        ),
        (
            "a seat changes hands",
            ["plain"],
            [
                (0, _claims(0), *post),
                (10, _claims(10, client="C2"), *post),
                (59, _claims(59, client="C2"), *post),
                (60, _claims(60, client="C2"), *post),
                (60, _claims(0), *post),
                (61, _claims(61), *post),
                (119, _claims(61), *post),
                (120, _claims(61), *post),
                (121, _claims(60, client="C2"), *post),
                (121, _claims(-600, client="C3"), *post),
                (121, _claims(0, client="C1", username="Other"), *post),
                (121, _claims(120, client="C1", username="Other"), *post),
            ],
        ),
        (
            "silence takes nothing off what is kept",
            ["plain"],
            [
                (0, _claims(0), *post),
                (60, _claims(-800, client="C2", exp=START_S + 600), *post),
                (60, _claims(-740, client="C3", exp=START_S + 600), *post),
                (60, _claims(59, client="C3"), *post),
                (60, _claims(60, client="C3"), *post),
            ],
        ),
        (
            "counted by user",
            ["counted by user"],
            [
                (0, _claims(), *post),
                (0, _claims(seat={"number": 1, "counted_for": "user"}), *post),
                (0, _claims(client="C2", seat={"number": 1, "counted_for": "user"}), *post),
                (0, _claims(username="Other", seat={"number": 1, "counted_for": "user"}), *post),
                (0, _claims(username=None, seat={"number": 1, "counted_for": "user"}), *post),
            ],
        ),
        ("no licence for this place", ["bound to another"], [(0, _claims(), *post)]),
        ("of another vendor", ["of another vendor"], [(0, _claims(), *post)]),
        ("over", ["a month"], [(41 * DAY_S + 1, _claims(41 * DAY_S), *post)]),
    ]


def _answers(licences: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for name, names, steps in _scenarios():
        time = Time()
        counting = _counting(_coverage(licences, names), time)
        told = []
        for after_s, claims, method, needs in steps:
            time.s = START_S + after_s
            answer = _answer(counting, claims, method, frozenset(needs))
            told.append({"now": int(time.s), "claims": claims, "method": method, "needs": needs, **answer})
        counting.close()
        found.append({"name": name, "licences": names, "requests": told})
    return found


def _counting(coverage: Coverage, time: Time) -> Counting:
    licence = Licence(
        vendor=vendor_file(VENDOR.vendor),
        product="jim2-api",
        built=BUILT,
        installation=INSTALLATION,
        memory=OneProcess(now_s=time.now_s),
        wall_s=time.now_s,
    )
    nowhere = Client("http://127.0.0.1:1/Jim_Test/", "Api", Secret("-"), 1.0)
    # The licences are already loaded: while the clock stands still, the guard fetches no others.
    source = LicenceSource(nowhere, PLACE, now_s=lambda: -1e9, wall_s=time.now_s, verify=None)
    source.coverage = coverage
    return Counting(licence, source, Rules("licet", "Jim_Test", READ_ONLY, 0.0, 1.0, time.now_s))


def _answer(counting: Counting, claims: dict[str, Any], method: str, needs: frozenset[str]) -> dict[str, Any]:
    caller = Identity(
        tenant="Jim_Test",
        client=claims["client_id"],
        user=claims["username"],
        scopes=frozenset(claims["scope"].split()),
        session=None,
        pool=claims["pool"],
        read_only=False,
    )
    try:
        found = counting.admit(claimant(caller, claims), needs, is_writing=method not in SAFE)
    except Refused as refused:
        answer: dict[str, Any] = {"status": refused.status}
        if refused.reason:
            answer["reason"] = refused.reason
        if "Retry-After" in refused.headers:
            answer["retry_after"] = int(refused.headers["Retry-After"])
        return answer
    return {"status": 200, "scopes": sorted(found.scopes)}


def made() -> str:
    """The content of the file."""
    licences = _licences()
    content = {
        "vendor": json.loads(vendor_file(VENDOR.vendor)),
        "place": {
            "product": "jim2-api",
            "tenant": "Jim_Test",
            "built": BUILT.isoformat(),
            "installation": INSTALLATION,
            "installation_hash": installation_hash(INSTALLATION),
            "read_only_scopes": sorted(READ_ONLY),
        },
        "licences": licences,
        "verdicts": _verdicts(licences),
        "signed": _signed(licences),
        "who": _who(),
        "scenarios": _answers(licences),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(made())
