"""A licence that was signed once is read by every version after."""

from datetime import UTC, date, datetime

from licet.licences.licence import SignedPool
from licet.licences.reading import read_file
from licet.licences.steps import signed_seats
from licet.licences.vendor_file import read_vendor
from support.paths import FIXTURES


def ms(text: str) -> int:
    """An instant in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_file_of_the_first_version_says_what_it_said() -> None:
    """It was made by `licet vendor sign`, and its key is gone: these files are never made anew."""
    vendor = read_vendor((FIXTURES / "vendor-0001.json").read_bytes())
    first, second = read_file((FIXTURES / "licence-0001.licence").read_bytes(), [vendor])
    assert (first.vendor, first.product, first.tenant) == ("acme", "jim2-api", "Jim_Test")
    assert (first.licence, first.serial, first.customer) == ("C-1.Jim_Test", 1, "C-1")
    assert first.begins_at_ms == ms("2026-12-01")
    assert first.expires_at_ms == ms("2028-01-01")
    assert first.over_at_ms == ms("2028-01-15")
    assert first.installation == "2RPcS67qy7OeMdQR0OI5PasHIPqgqGmm6DoDkp4q-Ng"
    assert (first.updates_until, first.features) == (date(2028, 6, 30), ("export",))
    assert first.pools == {
        "full": SignedPool(
            seats=25,
            overdraft=3,
            scopes=frozenset({"all", "reports"}),
            hold_s=1200,
            access_ttl_max_s=300,
            duplicates=frozenset({"user"}),
        )
    }
    assert (second.licence, second.expires_at_ms, second.customer) == ("C-1.emergency", None, None)
    steps = signed_seats([first, second], "full").after(ms("2026-11-30"))
    assert [(it.from_ms, it.signed, it.in_grace) for it in steps] == [
        (ms("2026-12-01"), 29, 0),
        (ms("2028-01-01"), 29, 28),
        (ms("2028-01-15"), 1, 0),
    ]
