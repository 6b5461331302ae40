"""Each claim of a licence has its bounds, and a licence beyond them its own refusal."""

import json
from typing import Any

import pytest

from licet import model
from licet.licences import claims as bounds
from licet.licences import syntax
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.reading import read
from support.licences.vendors import CLAIMS, ISSUED_S, TestVendor

HASH = "2RPcS67qy7OeMdQR0OI5PasHIPqgqGmm6DoDkp4q-Ng"


@pytest.fixture(scope="module")
def acme() -> TestVendor:
    """Whom this place trusts."""
    return TestVendor()


def refusal(acme: TestVendor, payload: bytes) -> LicenceRefused:
    """Why a licence with this content is refused, though its signature is right."""
    with pytest.raises(LicenceRefused) as refused:
        read(acme.sign_bytes(json.dumps(acme.header()).encode(), payload), [acme.vendor])
    return refused.value


@pytest.mark.parametrize("name", ["iss", "product", "tenant", "licence", "serial", "iat", "pools"])
def test_what_every_licence_has_must_be_there(acme: TestVendor, name: str) -> None:
    """Nothing is guessed."""
    refused = refusal(acme, json.dumps(acme.claims(**{name: None})).encode())
    assert (refused.code, refused.field) == (LicenceCode.MISSING_CLAIM, name)
    assert str(refused) == f"{name} is missing; ask the vendor for a new licence"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("iss", "", LicenceCode.WRONG_VALUE),
        ("iss", 7, LicenceCode.WRONG_VALUE),
        ("iss", "x" * 101, LicenceCode.WRONG_VALUE),
        ("product", " jim2", LicenceCode.WRONG_VALUE),
        ("customer", "C-1\n", LicenceCode.WRONG_VALUE),
        ("customer", "\x1b]0;title", LicenceCode.WRONG_VALUE),
        ("tenant", "Jim Test", LicenceCode.WRONG_VALUE),
        ("tenant", "Jim_Test\n", LicenceCode.WRONG_VALUE),
        ("licence", "", LicenceCode.WRONG_VALUE),
        ("licence", "C/1", LicenceCode.WRONG_VALUE),
        ("licence", "C" * 65, LicenceCode.WRONG_VALUE),
        ("licence", "\N{ARABIC-INDIC DIGIT ONE}", LicenceCode.WRONG_VALUE),
        ("serial", 0, LicenceCode.OUT_OF_RANGE),
        ("serial", -1, LicenceCode.OUT_OF_RANGE),
        ("serial", 2**31, LicenceCode.OUT_OF_RANGE),
        ("serial", "1", LicenceCode.WRONG_VALUE),
        ("serial", True, LicenceCode.WRONG_VALUE),
        ("serial", [1], LicenceCode.WRONG_VALUE),
        ("iat", -1, LicenceCode.OUT_OF_RANGE),
        ("iat", 253_370_764_800, LicenceCode.OUT_OF_RANGE),
        ("exp", ISSUED_S, LicenceCode.NOT_TOGETHER),
        ("exp", "2027-12-31", LicenceCode.WRONG_VALUE),
        ("grace", 60, LicenceCode.NOT_TOGETHER),
        ("grace", 90 * 86_400 + 1, LicenceCode.OUT_OF_RANGE),
        ("installation", HASH[:-1], LicenceCode.WRONG_VALUE),
        ("installation", HASH[:-1] + "h", LicenceCode.WRONG_VALUE),
        ("installation", HASH + "\n", LicenceCode.WRONG_VALUE),
        ("updates_until", "2027-02-30", LicenceCode.WRONG_VALUE),
        ("updates_until", "20271231", LicenceCode.WRONG_VALUE),
        ("updates_until", 20271231, LicenceCode.WRONG_VALUE),
        ("features", "export", LicenceCode.WRONG_VALUE),
        ("features", ["two words"], LicenceCode.WRONG_VALUE),
        ("features", ["same", "same"], LicenceCode.WRONG_VALUE),
        ("features", [f"f{number}" for number in range(65)], LicenceCode.OUT_OF_RANGE),
        ("must", ["colour"], LicenceCode.UNKNOWN_MUST),
        ("must", ["exp"], LicenceCode.NOT_TOGETHER),
        ("must", "exp", LicenceCode.WRONG_VALUE),
        ("must", [f"m{number}" for number in range(65)], LicenceCode.OUT_OF_RANGE),
        ("pools", {}, LicenceCode.WRONG_VALUE),
        ("pools", [], LicenceCode.WRONG_VALUE),
        ("pools", {"a b": {"seats": 1, "scopes": ["all"]}}, LicenceCode.WRONG_VALUE),
        ("pools", {"full": 25}, LicenceCode.WRONG_VALUE),
        (
            "pools",
            {f"p{number}": {"seats": 1, "scopes": ["all"]} for number in range(65)},
            LicenceCode.TOO_MANY,
        ),
    ],
)
def test_a_claim_beyond_its_bounds_is_refused(
    acme: TestVendor, name: str, value: object, code: LicenceCode
) -> None:
    """And named."""
    refused = refusal(acme, json.dumps(acme.claims(**{name: value})).encode())
    assert refused.code is code
    assert refused.field.partition(".")[0] in {name, "colour"}
    assert str(refused).isprintable()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("seats", None, LicenceCode.MISSING_CLAIM),
        ("seats", -1, LicenceCode.OUT_OF_RANGE),
        ("seats", 1_000_001, LicenceCode.OUT_OF_RANGE),
        ("seats", "25", LicenceCode.WRONG_VALUE),
        ("seats", True, LicenceCode.WRONG_VALUE),
        ("scopes", None, LicenceCode.MISSING_CLAIM),
        ("scopes", [], LicenceCode.OUT_OF_RANGE),
        ("scopes", "all", LicenceCode.WRONG_VALUE),
        ("scopes", [["all"]], LicenceCode.WRONG_VALUE),
        ("scopes", ["all", "all"], LicenceCode.WRONG_VALUE),
        ("scopes", [f"s{number}" for number in range(33)], LicenceCode.OUT_OF_RANGE),
        ("overdraft", -1, LicenceCode.OUT_OF_RANGE),
        ("hold", 0, LicenceCode.OUT_OF_RANGE),
        ("hold", 86_401, LicenceCode.OUT_OF_RANGE),
        ("access_ttl_max", 59, LicenceCode.OUT_OF_RANGE),
        ("access_ttl_max", 86_401, LicenceCode.OUT_OF_RANGE),
        ("duplicates", [], LicenceCode.OUT_OF_RANGE),
        ("duplicates", ["none"], LicenceCode.WRONG_VALUE),
        ("duplicates", ["user", "none"], LicenceCode.WRONG_VALUE),
        ("weight", 2, LicenceCode.UNKNOWN_POOL_MEMBER),
    ],
)
def test_a_member_of_a_pool_beyond_its_bounds_is_refused(
    acme: TestVendor, name: str, value: object, code: LicenceCode
) -> None:
    """Also one that nobody knows: what limits must not be overlooked."""
    refused = refusal(acme, json.dumps(acme.pool(**{name: value})).encode())
    assert (refused.code, refused.field) == (code, f"pools.full.{name}")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", LicenceCode.MALFORMED),
        (b"[]", LicenceCode.NOT_JSON),
        (b'"text"', LicenceCode.NOT_JSON),
        (b"{", LicenceCode.NOT_JSON),
        (b"{} {}", LicenceCode.NOT_JSON),
        (b"\xef\xbb\xbf{}", LicenceCode.NOT_JSON),
        (b'{"iss": "\xff"}', LicenceCode.NOT_JSON),
        (b'{"a": ["\\ud800"]}', LicenceCode.NOT_JSON),
        (b'{"\\udc00": 1}', LicenceCode.NOT_JSON),
        (b"{'iss': 1}", LicenceCode.NOT_JSON),
        (b'{"iss": "a\nb"}', LicenceCode.NOT_JSON),
        (b'{"a":' + b"[" * 10_000, LicenceCode.NOT_JSON),
        (b'{"a": NaN}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": -Infinity}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": 1.0}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": 1e3}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": -0}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": 9007199254740992}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": [{"b": 0.5}]}', LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": ' + b"9" * 5_000 + b"}", LicenceCode.NOT_A_WHOLE_NUMBER),
        (b'{"a": 1, "a": 1}', LicenceCode.DUPLICATE_MEMBER),
        (b'{"a": 1, "\\u0061": 2}', LicenceCode.DUPLICATE_MEMBER),
        (b'{"pools": {"full": {"seats": 5, "seats": 500}}}', LicenceCode.DUPLICATE_MEMBER),
    ],
)
def test_what_two_readers_may_read_differently_is_refused(
    acme: TestVendor, payload: bytes, code: LicenceCode
) -> None:
    """RFC 7493: members twice, numbers that are no whole ones, and what is no JSON."""
    assert refusal(acme, payload).code is code


@pytest.mark.parametrize("seats", ["25.0", "25.5", "2.5e1", "9007199254740992", "1E2"])
def test_seats_are_written_as_a_whole_number(acme: TestVendor, seats: str) -> None:
    """The same number in another spelling would be another number for another reader."""
    payload = json.dumps(acme.claims()).replace('"seats": 25', f'"seats": {seats}').encode()
    assert refusal(acme, payload).code is LicenceCode.NOT_A_WHOLE_NUMBER


def test_a_header_is_read_as_strictly(acme: TestVendor) -> None:
    """A second `alg` is no choice."""
    header = json.dumps(acme.header())[:-1] + ', "alg": "none"}'
    with pytest.raises(LicenceRefused) as refused:
        read(acme.sign_bytes(header.encode(), json.dumps(CLAIMS).encode()), [acme.vendor])
    assert refused.value.code is LicenceCode.DUPLICATE_MEMBER


def test_a_refusal_repeats_little_of_a_licence(acme: TestVendor) -> None:
    """It ends up on terminals and in logs."""
    evil: dict[str, Any] = {"\x1b[2J" + "x" * 5_000: 1}
    refused = refusal(acme, json.dumps(acme.pool(**evil)).encode())
    assert len(str(refused)) < 300
    assert str(refused).isprintable()


def test_names_are_spelt_as_licet_spells_them() -> None:
    """The room must not import them, and they must not drift apart."""
    assert syntax.NAME.pattern == model._TENANT.pattern == model._POOL.pattern
    assert syntax.WORD.pattern == model._SCOPE.pattern
    assert (bounds.SEATS_MAX, bounds.HOLD_S_MAX) == (model.SEATS_MAX, model.HOLD_S_MAX)
    assert bounds.SECONDS_MAX * 1000 < 253_370_764_800_000
    assert set(model.Duplicates) - {"none"} == bounds.COUNTED_FOR
