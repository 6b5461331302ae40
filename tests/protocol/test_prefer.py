"""For how long a client would like to wait (RFC 7240)."""

import time

import pytest

from licet.protocol.prefer import applied, wait_s


def wait_of(*values: str) -> int:
    """The wait that headers of these values ask for, beside another header."""
    return wait_s([(b"host", b"wait=9"), *((b"prefer", value.encode("latin-1")) for value in values)])


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["wait=30"], 30),
        (["WAIT = 30"], 30),  # names are of either case, with white space around the sign
        (['wait="30"'], 30),
        (['wait="3\\0"'], 30),
        (["wait=030"], 30),
        (["respond-async, wait=30"], 30),
        (["respond-async", "wait=30"], 30),
        (["wait=30; foo; bar=baz, wait=10"], 30),
        (['foo="a, wait=9";x=y;;z , wait=30'], 30),
        ([",,wait=30"], 30),
        (["handling=lenient", "return=minimal, wait=30"], 30),
    ],
)
def test_it_is_found_among_other_preferences(values: list[str], seconds: int) -> None:
    """RFC 7240 2: several headers, several preferences, parameters, quoted values."""
    assert wait_of(*values) == seconds


@pytest.mark.parametrize("value", ["wait=61", "wait=3600", "wait=2147483648"])
def test_more_than_a_minute_is_a_minute(value: str) -> None:
    """Proxies give an answer up then."""
    assert wait_of(value) == 60


NO_WAIT = [
    "",
    "wait",
    "wait=",
    'wait=""',
    "wait=-1",
    "wait=+5",
    "wait=1.5",
    "wait=soon",
    "wait=0",
    "wait=1e1",
]
NEITHER = [
    "wait=99999999999",
    "wait=\xb2",
    "waits=30",
    "no-wait=30",
    'wait="30',
    "wait=30 40",
    "a@b, wait=30",
]


@pytest.mark.parametrize("value", [*NO_WAIT, *NEITHER])
def test_what_is_no_number_of_seconds_is_ignored(value: str) -> None:
    """RFC 7240 2: a server ignores what it does not understand."""
    assert wait_of(value) == 0


def test_the_first_counts_even_where_it_is_of_no_use() -> None:
    """RFC 7240 2: of a preference that is there twice, in one header or in two."""
    assert wait_of("wait=soon, wait=30") == 0
    assert wait_of("wait=10", "wait=30") == 10


def test_a_header_that_is_not_well_formed_leaves_the_others() -> None:
    """Each header stands for itself."""
    assert wait_of("foo@bar", "wait=30") == 30
    assert wait_of("foo\n", "wait=30\n") == 0  # and is read to its end


@pytest.mark.parametrize(
    "text", ["a" + "; " * 8000 + "\x01", "a" + " = " * 5000, 'a="' + "\\a" * 7000, ", " * 8000 + "@@"]
)
def test_no_header_takes_long_to_read(text: str) -> None:
    """Of 16 KiB at most, whatever is in it."""
    began_s = time.process_time()
    assert wait_of(text) == 0
    assert time.process_time() - began_s < 0.5


def test_it_is_answered() -> None:
    """RFC 7240 3."""
    assert applied(30) == (b"preference-applied", b"wait=30")
