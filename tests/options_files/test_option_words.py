"""Each option of FlexNet and of RLM: what it says, and what is not written so."""

import re

import pytest
from msgspec.structs import replace

from licet.options import Group
from licet.options_files import flexnet, rlm
from licet.options_files.changes import PoolChanges
from licet.options_files.outcomes import Fate
from licet.options_files.recognition import FormatUnclear
from support.cli.options_files import all_kept, one, read, tenant, told, translated
from support.paths import DOCS

TYPES = {"USER", "GROUP", "HOST", "HOST_GROUP", "DISPLAY", "INTERNET", "INTERNET_GROUP", "PROJECT"}
GROUP = "GROUP sales anne TC\n"


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("EXCLUDE full USER bob", PoolChanges(exclude=("user:BO",))),
        ("exclude full user bob", PoolChanges(exclude=("user:BO",))),
        ("EXCLUDE full GROUP sales", PoolChanges(exclude=("group:sales",))),
        ("INCLUDE full USER TC", PoolChanges(include=("user:TC",))),
        ("RESERVE 2 full GROUP sales", PoolChanges(reserve={"group:sales": 2})),
        ("MAX 1 full USER bob", PoolChanges(max={"user:BO": 1})),
    ],
)
@pytest.mark.parametrize("form", ["flexnet", "rlm"])
def test_a_rule_of_both_formats_is_the_same_rule(form: str, line: str, changes: PoolChanges) -> None:
    done = all_kept(GROUP + line, form)
    assert done.changes.pools == {"full": changes}
    assert done.changes.groups == {"sales": ("AN", "TC")}


@pytest.mark.parametrize(
    ("form", "line", "changes"),
    [
        ("flexnet", "MAX 2 full USER ALL_USERS", PoolChanges(max_per_user=2)),
        ("rlm", "MAX 2 full USER *", PoolChanges(max_per_user=2)),
        ("flexnet", "MAX 2 full GROUP ALL_GROUPS", PoolChanges(max={"group:sales": 2})),
        ("flexnet", "LINGER full 90", PoolChanges(hold_s=90)),
        ("flexnet", "MAX_OVERDRAFT full 3", PoolChanges(overdraft=3)),
        ("rlm", "PRIORITY 4 full GROUP sales", PoolChanges(priority={"group:sales": 1})),
    ],
)
def test_an_option_of_one_format_is_kept(form: str, line: str, changes: PoolChanges) -> None:
    assert all_kept(GROUP + line, form).changes.pools == {"full": changes}


@pytest.mark.parametrize("form", ["flexnet", "rlm"])
def test_an_option_for_all_features_is_one_of_every_pool(form: str) -> None:
    done = all_kept("EXCLUDEALL USER bob\nINCLUDEALL USER TC\n", form)
    both = PoolChanges(exclude=("user:BO",), include=("user:TC",))
    assert done.changes.pools == {"full": both, "light": both}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("flexnet", "TIMEOUTALL 7200"),
        ("rlm", "TIMEOUTALL 7200"),
        ("rlm", "TIMEOUT 7200"),
        ("flexnet", "TIMEOUT full 7200\nTIMEOUT light 7200"),
        ("rlm", "TIMEOUT 7200 full\nTIMEOUT 7200 light"),
    ],
)
def test_a_time_out_of_every_pool_is_the_life_of_a_session(form: str, text: str) -> None:
    assert all_kept(text, form).changes.session_ttl_s == 7200


def test_the_groups_that_all_groups_means_have_no_limit_of_their_own() -> None:
    done = all_kept("GROUP a anne\nGROUP b bob\nMAX 1 full GROUP b\nMAX 3 full GROUP ALL_GROUPS\n")
    assert done.changes.pools["full"].max == {"group:b": 1, "group:a": 3}


def test_lines_of_one_group_add_up_also_behind_its_use() -> None:
    done = all_kept("EXCLUDE full GROUP sales\nGROUP sales anne\nUSER_GROUP sales bob anne\n")
    assert done.changes.groups == {"sales": ("AN", "BO")}


def test_names_in_groups_of_flexnet_have_their_case_unless_it_is_switched_off() -> None:
    assert told("GROUP sales ANNE\n")[0][1].endswith("if it is that user, say --user ANNE=AN")
    assert all_kept("GROUP sales ANNE tc\nGROUPCASEINSENSITIVE ON\n").changes.groups == {
        "sales": ("AN", "TC")
    }
    assert told("GROUPCASEINSENSITIVE OFF\nGROUP sales ANNE\n")[0][0] == 2
    assert told("GROUPCASEINSENSITIVE ON\nEXCLUDE full USER ANNE\n")[0][0] == 2


def test_names_of_rlm_have_no_case() -> None:
    done = all_kept("group Sales ANNE tc\nexclude FULL group sALES\n", "rlm")
    assert done.changes.groups == {"Sales": ("AN", "TC")}
    assert done.changes.pools["full"].exclude == ("group:Sales",)


def test_a_group_of_rlm_is_that_of_the_set_up_in_whatever_case() -> None:
    """Else there would be two, of which each has some rules; names of FlexNet have their case."""
    of = replace(tenant(), groups={"sales": Group(name="sales", users=frozenset({"TC"}))})
    text = "GROUP SALES anne\nMAX 2 full GROUP Sales\n"
    changes = all_kept(text, "rlm", of=of).changes
    assert changes.groups == {"sales": ("AN",)}
    assert changes.pools == {"full": PoolChanges(max={"group:sales": 2})}
    assert all_kept("GROUP SALES anne\n", of=of).changes.groups == {"SALES": ("AN",)}
    two = replace(of, groups={**of.groups, "Sales": Group(name="Sales")})
    assert all_kept("GROUP SALES anne\n", "rlm", of=two).changes.groups == {"SALES": ("AN",)}


def test_priorities_of_rlm_keep_their_order_before_all_who_have_none() -> None:
    """A lower number is earlier there, and a higher level here."""
    done = all_kept("PRIORITY 40 full user TC\nPRIORITY 7 full user anne\nPRIORITY 40 full user bob\n", "rlm")
    assert done.changes.pools["full"].priority == {"user:TC": 1, "user:AN": 2, "user:BO": 1}
    assert "no queue" in done.notes[0]


def test_a_user_who_has_the_level_of_a_group_here_and_not_in_rlm_is_told() -> None:
    done = all_kept("GROUP sales anne\nPRIORITY 7 full user anne\nPRIORITY 3 full group sales\n", "rlm")
    assert "user:AN has the level of group:sales" in done.notes[0]


@pytest.mark.parametrize("kind", ["HOST", "DISPLAY", "INTERNET", "HOST_GROUP", "PROJECT"])
@pytest.mark.parametrize(
    "line", ["EXCLUDE full {} x", "INCLUDEALL {} x", "RESERVE 1 full {} x", "MAX 1 full {} x"]
)
def test_a_host_or_a_project_proves_nothing(line: str, kind: str) -> None:
    outcome = one(line.format(kind))
    assert outcome.fate is Fate.LEFT_OUT
    assert "proves nothing" in outcome.why


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("HOST_GROUP machines a b c", "proves nothing"),
        ("EXCLUDE_BORROW full USER anne", "no seat can be borrowed"),
        ("INCLUDE_BORROW full USER anne", "no seat can be borrowed"),
        ("BORROW_LOWWATER full 3", "no seat can be borrowed"),
        ("MAX_BORROW_HOURS full 12", "no seat can be borrowed"),
        ("EXCLUDE_ENTITLEMENT ID USER anne", "nothing is activated"),
        ("EXCLUDEALL_ENTITLEMENT USER anne", "nothing is activated"),
        ("ACTIVATION_LOWWATER ID 2", "nothing is activated"),
        ("DEBUGLOG +/var/log/x.log", "log_level"),
        ("REPORTLOG +/var/log/x.rl", "licet usage export"),
        ("NOLOG IN", "everything is recorded"),
        ("AUTOMATIC_REREAD OFF", "nothing is read again"),
        ("MAX_CONNECTIONS 100", "connections_max"),
        ("DAEMON_SELECT_TIMEOUT 2", "no vendor daemon"),
        ("FQDN_MATCHING EXACT", "no rule is for a host"),
        ("EXCLUDE full:VERSION=2.0 USER anne", "--pool full:VERSION=2.0=POOL"),
        ('EXCLUDE "full VERSION=2.0" USER anne', "--pool full:VERSION=2.0=POOL"),
        ("EXCLUDE fulll USER anne", "did you mean full?"),
        ("EXCLUDE full USER carl", "'carl' is no user of tenant Sales"),
    ],
)
def test_what_has_no_counterpart_of_flexnet_says_why(line: str, told: str) -> None:
    outcome = one(line)
    assert outcome.fate is Fate.LEFT_OUT
    assert told in outcome.why


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("EXCLUDE full noproject", "for which project"),
        ("EXCLUDE full noproject id=42", "for which project"),
        ("EXCLUDEALL noproject", "for which project"),
        ("EXCLUDE full internet 172.16.7.*", "proves nothing"),
        ("INTERNET_GROUP net 172.16.7.*", "proves nothing"),
        ("EXEMPT_MAX full user anne", "exempt"),
        ("EXEMPTALL_MAX user anne", "exempt"),
        ("INCLUDEALL_ROAM user anne", "no seat can be borrowed"),
        ("EXCLUDEALL_ROAM user anne", "no seat can be borrowed"),
        ("ROAM_MAX_COUNT 3 full", "no seat can be borrowed"),
        ("ROAM_MAX_DAYS 3 full", "no seat can be borrowed"),
        ("MINREMOVE 60", "may end a session"),
        ("MINREMOVE -1 full", "may end a session"),
        ("USER anne geheim", "a secret or key of its own"),
        ("CLIENT_CACHE 60 full", "access_ttl"),
        ("TIMEZONE 40", "clock"),
        ("EXPRESS OFF", "the first in the queue"),
        ("ROTATE daily", "licet usage export"),
        ("PURGE_REPORTLOG 3", "licet usage export"),
        ("NO_OLD_RLMUTIL", "no access"),
        ("RESERVE 1 full user anne id=42", "--pool full:id=42=POOL"),
    ],
)
def test_what_has_no_counterpart_of_rlm_says_why(line: str, told: str) -> None:
    outcome = one(line, "rlm")
    assert outcome.fate is Fate.LEFT_OUT
    assert told in outcome.why


@pytest.mark.parametrize(
    "line", ["USER anne geheim", "  user anne\tgeheim", 'USER anne ge"heim', "USER anne geheim x"]
)
def test_the_password_of_a_user_of_rlm_is_shown_nowhere(line: str) -> None:
    """Nor is it kept as a comment of the set-up file."""
    outcome = one(line, "rlm")
    assert outcome.fate is not Fate.KEPT
    assert "heim" not in repr(outcome)
    assert outcome.line.text == "USER anne ..."


def test_the_queue_works_as_express_of_rlm() -> None:
    assert one("EXPRESS ON full", "rlm").fate is Fate.KEPT


def test_some_licences_of_a_feature_may_be_a_pool_of_their_own() -> None:
    done = translated("MAX 1 full:VERSION=2.0 USER anne\n", pools={"full:VERSION=2.0": "light"})
    assert done.changes.pools == {"light": PoolChanges(max={"user:AN": 1})}
    done = translated("MAX 1 full USER anne ID=42\n", "rlm", pools={"full:id=42": "light"})
    assert done.changes.pools == {"light": PoolChanges(max={"user:AN": 1})}


def test_the_option_that_names_a_pool_can_be_pasted_into_a_shell() -> None:
    assert "--pool '$(reboot)=POOL'" in one("EXCLUDE $(reboot) USER anne").why
    assert "--pool 'light:VERSION=2.0 up=POOL'" in one('EXCLUDE "light VERSION=2.0 up" USER anne').why


def test_a_feature_that_was_named_in_vain_is_told() -> None:
    done = translated("MAX 1 full USER anne\n", pools={"compil": "light"})
    assert done.notes == ("No line has the feature 'compil', which --pool names.",)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("RESRVE 1 full USER anne", "did you mean RESERVE?"),
        ("RESERVE full USER anne", "a whole number; this is not: 'full'"),
        ("RESERVE -1 full USER anne", "a whole number"),
        ("RESERVE 1_0 full USER anne", "a whole number"),
        ("RESERVE ٣ full USER anne", "a whole number"),
        ("RESERVE 99999999999999999999 full USER anne", "is at most 2147483647; this is more"),
        ("RESERVE 1 full USER", "lacks the name"),
        ("RESERVE 1 full", "lacks the type"),
        ("RESERVE 1 full USR anne", "the type is USER, GROUP"),
        ("RESERVE 1 full USER anne bob", "a word too many: 'bob'"),
        ("EXCLUDE full GROUP nobody", "no GROUP line says who is in 'nobody'"),
        ("GROUP sales", "lacks its first user"),
        ("GROUP", "lacks the name of the group"),
        ("GROUPCASEINSENSITIVE MAYBE", "the switch is ON, OFF"),
        ("TIMEOUT 7200", "lacks the number of seconds"),
        ("TIMEOUTALL", " lacks "),
        ("REPORTLOG", " lacks "),
        ("MAX_CONNECTIONS 1 2", "a word too many: '2'"),
        ("PRIORITY 1 full USER anne", "FlexNet has no option 'PRIORITY'"),
        ("x" * 300, "and more"),
    ],
)
def test_what_is_not_written_so_is_wrong(line: str, told: str) -> None:
    outcome = one(line)
    assert outcome.fate is Fate.WRONG
    assert told in outcome.why
    assert len(outcome.why) < 200


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("LINGER full 60", "RLM has no option 'LINGER'"),
        ("TIMEOUT full 7200", "a whole number; this is not: 'full'"),
        ("EXCLUDE full user anne 42", "which is no id=NNN: '42'"),
        ("EXCLUDE full display anne", "the type is USER"),
    ],
)
def test_rlm_has_words_of_its_own(line: str, told: str) -> None:
    outcome = one(line, "rlm")
    assert outcome.fate is Fate.WRONG
    assert told in outcome.why


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TIMEOUT full 7200\n", "FlexNet"),
        ("TIMEOUT 7200 full\n", "RLM"),
        ("EXCLUDE full user anne\nROTATE daily\n", "RLM"),
        ("EXCLUDE full USER anne\nLINGER full 3\n", "FlexNet"),
        ("GROUP g \\\n anne\n", "FlexNet"),
        ("EXCLUDE full:VERSION=2.0 USER anne\nLINGER full 3\nbroken\n", "FlexNet"),
        ("EXCLUDE full USER anne\n", "FlexNet"),  # it says the same in both
        ("MAX 2 full USER ALL_USERS\n", "FlexNet"),
        ("MAX 2 full GROUP ALL_GROUPS\n", "FlexNet"),
        ("MAX 2 full USER *\n", "RLM"),
        ("# nothing\n", "FlexNet"),
        ("", "FlexNet"),
    ],
)
def test_the_format_is_recognised_from_what_is_in_it(text: str, expected: str) -> None:
    assert read(text, "").format == expected


def test_a_file_with_the_same_mistakes_in_both_formats_needs_no_format() -> None:
    reading = read("GROUP sales \a\nEXCLUDE full\n", "")
    assert reading.mistakes == 2


def test_a_file_with_other_mistakes_in_each_format_says_the_first_of_each() -> None:
    with pytest.raises(FormatUnclear, match=r"FlexNet .*line 2: FlexNet has no .*RLM \(line 2: RLM has no"):
        read("EXCLUDE full USER anne\nSERVER host 0 27000\nVENDOR acme\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "MAX 2 full USER *\nMAX 2 light USER ALL_USERS\n",
        "GROUP sales anne \\",
        "GROUP sales anne\nEXCLUDE full USER Anne\n",
        "GROUP sales anne\nEXCLUDE full GROUP Sales\n",
        "EXCLUDE full USER anne\nEXCLUDE Full USER bob\n",
        "INCLUDE full USER anne\nINCLUDEALL USER bob\n",
        "neither\n",
    ],
)
def test_a_file_that_could_be_either_and_would_differ_is_not_guessed_at(text: str) -> None:
    with pytest.raises(FormatUnclear):
        read(text, "")


@pytest.mark.parametrize(
    ("heading", "readers"), [("FlexNet", flexnet.READERS), ("RLM", rlm.READERS)], ids=["flexnet", "rlm"]
)
def test_each_word_has_a_row_on_the_page_of_those_who_move(heading: str, readers: dict[str, object]) -> None:
    page = (DOCS / "how-to" / "move-from-flexnet-or-rlm.md").read_text(encoding="utf-8")
    table = page.partition(f"## {heading} keywords")[2].partition("\n## ")[0]
    rows = "\n".join(line.split(" | ")[0] for line in table.splitlines() if line.startswith("|"))
    told = set(re.findall(r"`([A-Z_]+)", rows))
    assert set(readers) <= told
    assert told <= {*readers, "ON", "OFF", *TYPES}
