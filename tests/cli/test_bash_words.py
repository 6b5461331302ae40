"""Which words of a line Bash means that it has split at a colon or an equals sign."""

import pytest

from licet.cli.bash_words import Joined, joined


@pytest.mark.parametrize(
    ("words", "at", "found"),
    [
        # As an interactive Bash has them in COMP_WORDS, with COMP_CWORD.
        ("pool set fu", 2, Joined(["pool", "set"], "fu", "")),
        ("--exclude us", 1, Joined(["--exclude"], "us", "")),
        ("--exclude user :", 2, Joined(["--exclude"], "user:", "user:")),
        ("--exclude user : T", 3, Joined(["--exclude"], "user:T", "user:")),
        ("--reserve 2 : cl", 3, Joined(["--reserve"], "2:cl", "2:")),
        ("--reserve 2 : client : Te", 5, Joined(["--reserve"], "2:client:Te", "2:client:")),
        (
            "--exclude user : A --exclude user : T",
            7,
            Joined(["--exclude", "user:A", "--exclude"], "user:T", "user:"),
        ),
        ("--exclude = user : T", 4, Joined([], "--exclude=user:T", "user:")),
        ("--exclude = us", 2, Joined([], "--exclude=us", "")),
        ("--exclude =", 1, Joined([], "--exclude=", "")),
        ("token https : //a : 1/x", 3, Joined(["token"], "https://a", "https:")),
        # Where COMP_WORDBREAKS has no colon.
        ("--exclude user:T", 1, Joined(["--exclude"], "user:T", "")),
        # Behind the cursor there is more.
        ("--exclude user : T --yes", 3, Joined(["--exclude"], "user:T", "user:")),
        ("--exclude user : T", 1, Joined(["--exclude"], "user", "")),
        # A new word.
        ("--exclude user : T", 4, Joined(["--exclude", "user:T"], "", "")),
        (":", 0, Joined([], ":", "")),
    ],
)
def test_the_parts_of_a_word_are_one_up_to_the_cursor(words: str, at: int, found: Joined) -> None:
    assert joined(words.split(), at) == found
