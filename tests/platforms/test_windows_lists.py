"""Whether a file is private on Windows: the text of its access control list says it; in doubt it is not."""

from pathlib import Path

import pytest

from licet.platforms import windows

ADA = "S-1-5-21-3623811015-3361044348-30300820-1013"
BOB = "S-1-5-21-3623811015-3361044348-30300820-1014"
SERVICE = "S-1-5-80-2387347252-3645287876-2469496166-3824418187-3586569773"


@pytest.mark.parametrize(
    "text",
    [
        f"O:{ADA}D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;{ADA})",
        f"O:{BOB}G:{BOB}D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;{BOB})",  # the owner is another
        f"O:BAD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1301bf;;;{SERVICE})",
        f"O:BAD:(D;;FA;;;WD)(A;;FA;;;{ADA})",  # whom a list refuses more than it must
        f"O:BAD:(A;;FA;;;{ADA})(A;;;;;WD)",  # no right at all
        "O:SYD:PAI(A;OICIIO;FA;;;CO)(A;;FA;;;OW)",
    ],
)
def test_a_file_of_its_owner_the_system_and_one_service_is_private(text: str) -> None:
    """Administrators could take it anyway, as root can."""
    assert windows.is_private(text, ADA)


@pytest.mark.parametrize(
    "text",
    [
        f"O:{ADA}D:(A;;FA;;;SY)(A;;0x1200a9;;;WD)",  # everybody
        f"O:{ADA}D:AI(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)",  # users, as a new folder in C:\ has it
        f"O:{ADA}D:AI(A;ID;0x1301bf;;;AU)",  # who has signed in
        f"O:{ADA}D:(A;;FR;;;{BOB})",  # one other account
        f"O:{ADA}D:(A;;FW;;;{BOB})",  # who may write it can sign as well
        f"O:{ADA}D:(A;OICIIO;FR;;;{BOB})",  # files in this folder
        f"O:{ADA}D:(A;;FR;;;S-1-5-80-0)",  # every service
        f"O:{ADA}D:(A;;FR;;;LS)",  # services that share an account
        f"O:{ADA}D:(XA;;FR;;;WD;(exists something))",  # under a condition, which is not understood
        f"O:{ADA}D:(OA;;FR;;;{BOB})",
        f"O:{ADA}D:NO_ACCESS_CONTROL",  # there is no list: everybody may do everything
        f"O:{ADA}D:",
        f"O:{ADA}",
        "D:(A;;FA;;;SY)",
        "",
        "anything",
    ],
)
def test_whoever_else_is_named_and_what_is_not_understood_makes_it_open(text: str) -> None:
    """It fails closed."""
    assert not windows.is_private(text, ADA)


@pytest.mark.parametrize(("own", "short"), [("S-1-5-19", "LS"), ("S-1-5-20", "NS")])
def test_the_account_that_looks_is_known_by_its_short_name(own: str, short: str) -> None:
    """A service that runs as LocalService may have a file of its own."""
    text = f"O:BAD:(A;;FA;;;SY)(A;;FA;;;{short})"
    assert windows.is_private(text, own)
    assert not windows.is_private(text, ADA)


def test_a_system_without_lists_and_without_modes_cannot_say_that_a_file_is_private() -> None:
    """The error of the system reaches who asks: a secret is not read."""
    with pytest.raises(OSError, match="no access control lists"):
        windows.is_open_to_others(Path(__file__))


def test_the_command_that_makes_it_private_names_no_group_in_one_language() -> None:
    """Administrators are Administratoren elsewhere: their number is the same."""
    line = windows.how_to_close(Path("secrets.json"), is_directory=False)
    assert line.startswith('icacls "secrets.json" /inheritance:r /grant:r "*S-1-5-18:F" "*S-1-5-32-544:F"')
    assert '"*S-1-5-18:(OI)(CI)F"' in windows.how_to_close(Path("data"), is_directory=True)
