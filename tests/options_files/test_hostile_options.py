"""Whatever is in an options file: nothing breaks, and every line of it is accounted for."""

import tomllib
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from licet.options_files.names import Names
from licet.options_files.outcomes import Fate
from licet.options_files.recognition import FormatUnclear
from licet.options_files.statements import Reading
from licet.options_files.translation import translate
from licet.options_files.writing import written
from licet.setup.file import read as read_setup
from licet.setup.file import write
from licet.setup.options.contradictions import disagreements
from support.cli.options_files import LOGINS, read, tenant

TENANT = tenant()
BASE = write([TENANT])
WORDS = (
    *("EXCLUDE", "INCLUDE", "EXCLUDEALL", "INCLUDEALL", "RESERVE", "MAX", "PRIORITY", "GROUP", "HOST_GROUP"),
    *("TIMEOUT", "TIMEOUTALL", "LINGER", "MAX_OVERDRAFT", "GROUPCASEINSENSITIVE", "REPORTLOG", "EXPRESS"),
    *("USER", "HOST", "PROJECT", "ALL_USERS", "ALL_GROUPS", "*", "ON", "anne", "bob", "TC", "carl", "sales"),
    *("full", "light", "full:VERSION=2.0", "id=7", "0", "1", "2", "3600", "99999999999", "\\", '"', "#", "<"),
)
LINES = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
# Lines as they are meant, so that many are kept and meet each other.
GOOD = st.one_of(
    st.builds(
        "GROUP {} {}".format, st.sampled_from(["sales", "ours"]), st.sampled_from(["anne", "bob TC", "carl"])
    ),
    st.builds(
        "{} full {}".format,
        st.sampled_from(["EXCLUDE", "INCLUDE", "RESERVE 1", "RESERVE 3", "MAX 2", "MAX 3"]),
        st.sampled_from(["USER anne", "USER bob", "GROUP sales", "GROUP ours", "HOST x"]),
    ),
    st.builds("MAX {} light USER ALL_USERS".format, st.integers(0, 3)),
    st.builds("TIMEOUTALL {}".format, st.sampled_from([60, 3600, 7200])),
    st.sampled_from(["EXCLUDEALL USER TC", "INCLUDEALL GROUP sales", "NOLOG IN", "", "# here"]),
)


def must_account_for(content: bytes, reading: Reading) -> None:
    """Return if each line is kept, passed over, left out or wrong, and the set-up file can be read."""
    done = translate(reading, TENANT, Names(users=LOGINS), disagreements)
    numbers = [number for it in done.outcomes for number in range(it.line.first, it.line.last + 1)]
    lines = content.split(b"\n")
    assert numbers == list(range(1, len(lines) + (lines[-1] != b"")))
    for outcome in done.outcomes:
        assert bool(outcome.why) or outcome.fate in {Fate.NOTHING, Fate.KEPT}
        assert (outcome.fate is Fate.NOTHING) == (not outcome.line.words and not outcome.line.wrong)
        assert outcome.line.text.isprintable()
        assert outcome.why.isprintable()
    left_out = [it for it in done.outcomes if it.fate is Fate.LEFT_OUT]
    text = written(BASE, "Sales", done.changes, left_out, "x.opt")
    (setup,) = read_setup(text, "what was written")
    for made in setup.pools.values():
        assert not list(disagreements(made, made.seats))
    after = tomllib.loads(text)["tenant"]["Sales"]
    for pool in after["pool"].values():
        limits = {rule["for"]: rule["seats"] for rule in pool.get("max", ())}
        for rule in pool.get("reserve", ()):
            most = limits.get(
                rule["for"], pool.get("max_per_user", 9) if rule["for"].startswith("user:") else 9
            )
            assert 1 <= rule["seats"] <= most
        named = [*pool.get("exclude", ()), *pool.get("include", ()), *limits]
        for who in named:
            kind, _, name = who.partition(":")
            assert name in (TENANT.users if kind == "user" else after["group"])


@given(st.lists(LINES | GOOD, max_size=12).map("\n".join))
def test_every_line_of_an_options_file_is_accounted_for(text: str) -> None:
    content = text.encode()
    for form in ("flexnet", "rlm"):
        must_account_for(content, read(content, form))


@given(st.lists(GOOD, max_size=20).map("\n".join))
def test_rules_that_meet_never_make_a_set_up_that_contradicts_itself(text: str) -> None:
    content = text.encode()
    must_account_for(content, read(content))


@given(st.binary(max_size=300))
@example(b"\x00" * 300)
@example(b"\\\n" * 150)
@example(b'"\n"\\\n"')
@example(b"\xff\xfe\n\\")
@example(b"GROUP \xc3(\\\n\xc3\\")
def test_any_bytes_are_accounted_for(content: bytes) -> None:
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\xff\xfe", b"").replace(b"\xfe\xff", b"")
    content += b"\n"  # without any, each CR would be a line end of the Mac
    for form in ("flexnet", "rlm"):
        must_account_for(content, read(content, form))


@given(st.binary(max_size=100))
def test_a_format_is_recognised_or_asked_for(content: bytes) -> None:
    content = content.replace(b"\xff\xfe", b"").replace(b"\xfe\xff", b"") + b"\n"
    with suppress(FormatUnclear):
        assert read(content, "").format in {"FlexNet", "RLM"}
