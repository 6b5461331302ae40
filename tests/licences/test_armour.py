"""A file has licences in their armour and nothing else, whatever a mail program does to it."""

import pytest

from licet.licences.armour import BEGIN, END, FILE_BYTES_MAX, LICENCES_MAX, armoured, split
from licet.licences.errors import LicenceCode, LicenceRefused

JWS = "a" * 150 + "." + "b" * 150 + "." + "c" * 86


def refusal(content: bytes) -> LicenceRefused:
    """Why a file is refused."""
    with pytest.raises(LicenceRefused) as refused:
        split(content)
    return refused.value


@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 16_384])
def test_what_is_armoured_is_found_again(length: int) -> None:
    """In lines of 64 characters."""
    text = armoured("x" * length)
    assert split(text.encode()) == ("x" * length,)
    assert max(map(len, text.splitlines())) <= 64


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n\n" + text + "\n\n",
    ],
    ids=["as made", "no last line end", "Windows", "byte order mark", "blank lines"],
)
def test_what_editors_do_to_a_file_changes_nothing(change: object) -> None:
    """The signature covers what is inside."""
    assert callable(change)
    assert split(change(armoured(JWS) + "\n" + armoured(JWS)).encode()) == (JWS, JWS)


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        ("", LicenceCode.NOT_A_LICENCE, "no line of the file is -----BEGIN LICET LICENCE-----"),
        (JWS, LicenceCode.NOT_A_LICENCE, "no line of the file is"),
        ("PK\x03\x04", LicenceCode.NOT_A_LICENCE, "no line of the file is"),
        ("-----BEGIN CERTIFICATE-----\n", LicenceCode.NOT_A_LICENCE, "no line of the file is"),
        ("500 seats\n" + armoured(JWS), LicenceCode.DAMAGED_FILE, "line 1 belongs to no licence"),
        (armoured(JWS) + "500 seats", LicenceCode.DAMAGED_FILE, "line 10 belongs to no licence"),
        (armoured(JWS) + "\0", LicenceCode.DAMAGED_FILE, "line 10 belongs to no licence"),
        (armoured(JWS).replace("\n", "\r"), LicenceCode.DAMAGED_FILE, "its lines do not all end alike"),
        (armoured(JWS).replace("\n", "\r\n", 3), LicenceCode.DAMAGED_FILE, "do not all end alike"),
        (armoured(JWS).replace("\n", " \n"), LicenceCode.DAMAGED_FILE, "line 1 belongs to no licence"),
        (armoured(JWS).replace("\n", "\u2028"), LicenceCode.DAMAGED_FILE, "characters in it that no"),
        (
            armoured(JWS).replace("a", "\N{CYRILLIC SMALL LETTER A}", 1),
            LicenceCode.DAMAGED_FILE,
            "characters",
        ),
        (armoured(JWS).replace(END, ""), LicenceCode.DAMAGED_FILE, "it breaks off"),
        (armoured(JWS)[:100], LicenceCode.DAMAGED_FILE, "it breaks off"),
        (f"{BEGIN}\n{END}\n", LicenceCode.DAMAGED_FILE, "a line of the licence that ends in line 2"),
        (f"{BEGIN}\n\n{END}\n", LicenceCode.DAMAGED_FILE, "a line of the licence that ends in line 3"),
        (f"{BEGIN}\n{JWS}\n{END}\n", LicenceCode.DAMAGED_FILE, "was broken, joined or lost"),
        (f"{BEGIN}\n{armoured(JWS)}", LicenceCode.DAMAGED_FILE, "was broken, joined or lost"),
        (armoured(JWS) + END, LicenceCode.DAMAGED_FILE, "line 10 belongs to no licence"),
        (armoured("x" * 16_385), LicenceCode.TOO_LARGE, "16384 bytes at most"),
        (armoured(JWS) * (LICENCES_MAX + 1), LicenceCode.TOO_MANY, "16 licences at most, and this has 17"),
        ("\n" * (FILE_BYTES_MAX + 1), LicenceCode.TOO_LARGE, "300000 bytes at most"),
    ],
)
def test_what_is_no_file_of_licences_is_refused(content: str, code: LicenceCode, text: str) -> None:
    """Each with what is wrong, and in which line."""
    refused = refusal(content.encode())
    assert refused.code is code
    assert text in refused.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_file_in_another_encoding_is_refused(encoding: str) -> None:
    """As PowerShell once wrote them."""
    assert refusal(armoured(JWS).encode(encoding)).code is LicenceCode.NOT_A_LICENCE


def test_a_file_of_as_many_licences_as_there_may_be_is_read() -> None:
    """Each as large as it may be, on Windows."""
    content = (armoured("x" * 16_384) * LICENCES_MAX).replace("\n", "\r\n").encode()
    assert len(split(content)) == LICENCES_MAX
