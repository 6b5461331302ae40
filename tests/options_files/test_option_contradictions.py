"""Lines of an options file that contradict each other or the set-up, and lines that depend on others."""

import re

import pytest
from msgspec.structs import replace

from licet.model import Pool
from licet.options import RULES_MAX, Share
from licet.options_files.outcomes import Fate
from licet.options_files.pool_rules import ENTRIES_MAX
from support.cli.options_files import all_kept, tenant, told, translated


@pytest.mark.parametrize(
    "text",
    [
        "MAX 2 full USER anne\nMAX 3 full USER anne\n",
        "MAX 2 full USER ALL_USERS\nMAX 3 full USER ALL_USERS\n",
        "RESERVE 2 full USER anne\nRESERVE 1 full USER anne\n",
        "LINGER full 60\nLINGER full 90\n",
        "MAX_OVERDRAFT full 1\nMAX_OVERDRAFT full 2\n",
        "TIMEOUTALL 3600\nTIMEOUTALL 7200\n",
        "GROUPCASEINSENSITIVE ON\nGROUPCASEINSENSITIVE OFF\n",
    ],
)
def test_two_lines_that_disagree_are_wrong_and_name_each_other(text: str) -> None:
    done = translated(text)
    first, second = done.outcomes
    assert (first.fate, second.fate) == (Fate.WRONG, Fate.WRONG)
    assert "line 2 says something else" in first.why
    assert "line 1 says something else" in second.why
    assert not done.changes.pools
    assert done.changes.session_ttl_s is None


def test_two_reserves_that_may_be_meant_to_add_up_are_to_be_one_line() -> None:
    """They say the same, so that they contradict nothing."""
    line = "RESERVE 1 full USER anne\n"
    assert told(line + line) == [
        (1, "line 2 reserves for user:AN in pool full too; write one line, with all seats"),
        (2, "line 1 reserves for user:AN in pool full too; write one line, with all seats"),
    ]


@pytest.mark.parametrize(
    "line", ["EXCLUDE full USER anne", "MAX 2 full USER anne", "LINGER full 60", "TIMEOUTALL 3600"]
)
def test_a_line_that_is_there_twice_is_one(line: str) -> None:
    all_kept(f"{line}\n{line}\n")


def test_two_features_that_are_one_pool_may_disagree() -> None:
    done = translated("MAX 2 a USER anne\nMAX 3 b USER anne\n", pools={"a": "full", "b": "full"})
    assert [it.fate for it in done.outcomes] == [Fate.WRONG, Fate.WRONG]


@pytest.mark.parametrize(("limit", "option"), [("anne", "max"), ("ALL_USERS", "max_per_user")])
def test_a_reserve_above_the_limit_of_its_user_names_both_lines(limit: str, option: str) -> None:
    """In the words in which the set-up refuses it."""
    why = f"pool full: reserve has 2 seats for user:AN, and {option} lets it have 1 at most (line 1)"
    assert told(f"MAX 1 full USER {limit}\nRESERVE 2 full USER anne\n") == [(2, why)]


def test_a_reserve_may_be_as_high_as_the_limit_and_a_limit_of_ones_own_counts() -> None:
    all_kept("RESERVE 2 full USER anne\nMAX 2 full USER anne\nMAX 1 full USER ALL_USERS\n")
    all_kept("GROUP g anne\nRESERVE 2 full GROUP g\nMAX 1 full USER ALL_USERS\n")


def test_a_limit_behind_the_one_for_all_users_is_one_that_flexnet_passes_over() -> None:
    """As its manual warns; RLM says nothing of the sort."""
    text = "MAX 1 full USER {}\nMAX 2 full USER anne\n"
    ((line, why),) = told(text.format("ALL_USERS"))
    assert line == 2
    assert "line 1, for all users, is before it" in why
    all_kept(text.format("*"), "rlm")


TOO_MANY = f"it may have {RULES_MAX} rules, and these are {RULES_MAX + 1}: make groups of them"
FULL = Pool(
    id=1,
    name="full",
    seats=5,
    exclude=("user:TC",),
    include=("user:AN",),
    max=(Share(who="user:AN", seats=1),),
    reserve=(Share(who="user:BO", seats=2),),
    max_per_user=3,
)


@pytest.mark.parametrize(
    ("line", "told_of_it"),
    [
        ("INCLUDE full USER TC", "exclude has user:TC (in the set-up), and include has it too"),
        ("RESERVE 1 full USER TC", "exclude has user:TC (in the set-up), and reserve has it too"),
        ("EXCLUDE full USER anne", "exclude has user:AN, and include has it too (in the set-up)"),
        ("EXCLUDE full USER bob", "exclude has user:BO, and reserve has it too (in the set-up)"),
        (
            "RESERVE 2 full USER anne",
            "reserve has 2 seats for user:AN, and max lets it have 1 at most (in the set-up)",
        ),
        (
            "MAX 1 full USER bob",
            "reserve has 2 seats for user:BO (in the set-up), and max lets it have 1 at most",
        ),
        (
            "MAX 1 full USER ALL_USERS",
            "reserve has 2 seats for user:BO (in the set-up), and max_per_user lets it have 1 at most",
        ),
        ("GROUP g anne\nRESERVE 4 full GROUP g", "reserve is 6 seats in all, and seats gives 5"),
    ],
)
def test_what_the_set_up_has_already_is_not_contradicted(line: str, told_of_it: str) -> None:
    ((_, why),) = told(line, of=tenant(FULL))
    assert why.startswith(f"pool full: {told_of_it}")


@pytest.mark.parametrize(
    "text",
    [
        "MAX 2 full USER anne\nRESERVE 2 full USER anne\n",
        "MAX 1 full USER bob\nRESERVE 1 full USER bob\n",
        "RESERVE 3 full USER bob\n",
        "MAX 2 full USER ALL_USERS\n",
        "GROUP g anne\nRESERVE 3 full GROUP g\n",
        "EXCLUDE full USER TC\nINCLUDE full USER anne\n",
    ],
)
def test_what_a_file_says_of_a_name_takes_the_place_of_what_the_set_up_says(text: str) -> None:
    all_kept(text, of=tenant(FULL))


def test_named_users_are_in_no_other_list() -> None:
    found = told(
        "INCLUDE full USER anne\nEXCLUDE full USER TC\n", of=tenant(Pool(id=1, name="full", named=("TC",)))
    )
    assert found == [
        (1, "pool full: named and include exclude each other: put those users into include as well"),
        (2, "pool full: exclude has user:TC, and named has it too (in the set-up)"),
    ]


@pytest.mark.parametrize("line", ["INCLUDE full USER anne", "RESERVE 1 full USER anne"])
def test_who_is_excluded_has_no_reserve_and_is_not_included(line: str) -> None:
    """FlexNet takes both lines, and the first of them has no effect there."""
    ((at, why),) = told(f"{line}\nEXCLUDEALL USER anne\n")
    assert at == 1
    assert why.startswith("pool full: exclude has user:AN (line 2), and")
    assert ("everybody" in why) == line.startswith("INCLUDE")


def test_reserves_are_kept_in_the_order_of_the_lines_as_long_as_there_are_seats() -> None:
    text = "RESERVE 3 full USER anne\nRESERVE 3 full USER bob\nRESERVE 2 full USER TC\n"
    assert told(text) == [(2, "pool full: reserve is 6 seats in all, and seats gives 5")]
    all_kept(text, of=tenant(Pool(id=1, name="full")))  # as many as are signed


def test_a_rule_that_is_left_out_gives_its_place_back_to_that_of_the_set_up() -> None:
    """BO has a reserve of 2; a line reserves 1, and is left out with the group that another pool refuses."""
    full = Pool(id=1, name="full", seats=5, reserve=(Share(who="user:BO", seats=2),))
    light = Pool(id=2, name="light", seats=5, exclude=("user:BO",))
    text = "MAX 1 full USER bob\nRESERVE 1 a USER bob\n"
    all_kept(text.replace(" a ", " full "), of=tenant(full, light))
    done = translated(text.replace(" a ", " light "), of=tenant(full, light))
    assert [it.why for it in done.outcomes] == [
        "pool full: reserve has 2 seats for user:BO (in the set-up), and max lets it have 1 at most",
        "pool light: exclude has user:BO (in the set-up), and reserve has it too",
    ]


def test_a_line_for_all_pools_that_one_refuses_is_none_of_any_other() -> None:
    """So what it stood in the way of is kept: the exclusion of all pools does not count in the other."""
    light = Pool(id=2, name="light", seats=5, named=("AN",))
    found = told("EXCLUDEALL USER anne\n", of=tenant(Pool(id=1, name="full", seats=5), light))
    assert found == [(1, "pool light: exclude has user:AN, and named has it too (in the set-up)")]


def test_a_number_of_seats_has_bounds() -> None:
    assert "EXCLUDE" in told("MAX 0 full USER anne\n")[0][1]
    assert told("RESERVE 0 full USER anne\n")
    assert told("RESERVE 1000001 full USER anne\n")
    assert told("MAX_OVERDRAFT full 1000001\n")
    all_kept("MAX 1000000 full USER anne\nMAX_OVERDRAFT full 0\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("TIMEOUT full 3600\n", [1]),  # and light?
        ("TIMEOUT full 3600\nTIMEOUT light 7200\n", [1, 2]),
        ("TIMEOUTALL 3600\nTIMEOUT full 7200\n", [2]),
        ("TIMEOUTALL 0\n", [1]),
        ("TIMEOUTALL 2678401\n", [1]),  # more than 31 days
        ("TIMEOUTALL 599\n", [1]),  # less than an access token lives
        ("LINGER full 86401\n", [1]),
    ],
)
def test_a_time_that_a_tenant_cannot_have_is_told(text: str, lines: list[int]) -> None:
    assert [line for line, _ in told(text)] == lines


def test_the_life_of_a_session_is_one_of_the_tenant() -> None:
    assert told("TIMEOUTALL 0\n") == [(1, "session_ttl of the tenant is at most 31d")]


def test_time_outs_that_differ_name_each_other() -> None:
    (_, first), (_, second) = told("TIMEOUT full 3600\nTIMEOUT light 7200\n")
    assert "line 2 sets another" in first
    assert "line 1 sets another" in second


def test_the_last_time_out_counts_in_rlm() -> None:
    assert told("TIMEOUT 7200 full\nTIMEOUTALL 3600\n", "rlm") == [(1, "line 2 takes its place")]
    assert "one for all pools" in told("TIMEOUTALL 3600\nTIMEOUT 7200 full\n", "rlm")[0][1]


def test_a_group_of_which_a_line_cannot_be_kept_is_not_kept_nor_any_rule_for_it() -> None:
    """A rule for half a group is another rule."""
    text = (
        "GROUP sales anne\nGROUP sales carl dora\nGROUP ours bob\nEXCLUDE full GROUP sales\n"
        "EXCLUDE full GROUP ours\nMAX 1 full GROUP ALL_GROUPS\n"
    )
    found = told(text)
    assert [line for line, _ in found] == [1, 2, 4, 6]
    assert found[1][1].startswith("'carl', 'dora' are no users of tenant Sales")
    assert all("line 2" in why for line, why in found if line != 2)
    assert translated(text).changes.groups == {"ours": ("BO",)}


def test_a_group_whose_name_no_set_up_file_has_is_told() -> None:
    assert "a group's name is" in told("GROUP söles anne\n")[0][1]


def test_of_many_unknown_users_one_that_was_named_is_told_first() -> None:
    """Who has said who each of them is, is not to say it again."""
    ((_, why),) = told("GROUP g carl dora emil\n", users={"dora": "DO", "emil": "EM"})
    assert why == "'dora' is to be user DO, and tenant Sales has no such user; add that user first"


def test_many_unknown_users_of_a_group_are_told_in_one_sentence() -> None:
    ((_, why),) = told("GROUP g " + " ".join(f"user{number}" for number in range(300)))
    assert "and 295 more" in why
    assert len(why) < 250


@pytest.mark.parametrize("line", ["INCLUDE full HOST x", "INCLUDE full USER carl", "INCLUDEALL HOST x"])
def test_a_list_that_is_left_out_tells_that_everybody_may(line: str) -> None:
    assert re.search("without it everybody may use pools? full", told(f"{line}\n")[0][1])
    assert "everybody" not in told(f"INCLUDE full USER anne\nINCLUDE light USER anne\n{line}\n")[0][1]


def test_several_pools_that_a_list_leaves_open_are_named() -> None:
    of = tenant(Pool(id=1, name="a", seats=1), Pool(id=2, name="b", seats=1))
    assert told("INCLUDEALL HOST x\n", of=of)[0][1].endswith("without it everybody may use pools a, b")


def test_a_group_that_is_excluded_no_more_is_told() -> None:
    """One unknown name is enough for that: the others of the group would get seats."""
    found = told("GROUP outside anne zed\nEXCLUDE full GROUP outside\nEXCLUDE full USER zed\n")
    assert found[1] == (
        2,
        "its group cannot be kept: line 1; without it the group is not excluded from pool full",
    )
    assert "without it" not in found[2][1]  # whom nobody knows gets no seat anyway


def test_an_exclude_that_is_left_out_opens_no_pool() -> None:
    assert "everybody" not in told("EXCLUDE full HOST x\n")[0][1]


def test_include_and_includeall_of_rlm_are_two_lists_and_a_pool_has_one() -> None:
    found = told("INCLUDE full USER anne\nINCLUDEALL USER bob\n", "rlm")
    assert found == [(1, "with INCLUDEALL (line 2) only who is in both lists may; a pool has one list")]
    all_kept("INCLUDE full USER anne\nINCLUDEALL USER bob\n", "flexnet")


def test_a_pool_has_so_many_rules_and_no_more() -> None:
    lines = [f"GROUP g{number} anne\nEXCLUDE full GROUP g{number}\n" for number in range(RULES_MAX)]
    all_kept("".join(lines))
    more = "EXCLUDE full GROUP g0\nINCLUDE full USER bob\nMAX 1 full USER ALL_USERS\n"
    assert told("".join(lines) + more) == [
        (2 * RULES_MAX + 2, f"pool full: {TOO_MANY}; without it everybody may use pool full")
    ]


def test_lines_for_all_features_of_very_many_pools_are_bounded() -> None:
    pools = [Pool(id=number, name=f"p{number}", seats=1) for number in range(1000)]
    found = told("EXCLUDEALL USER anne\n" * 200, of=tenant(*pools))
    assert {why for _, why in found} == {f"the file has more than {ENTRIES_MAX} rules"}
    assert len(found) == 200 - ENTRIES_MAX // 1000


def test_a_tenant_without_pools_keeps_no_rule() -> None:
    empty = replace(tenant(), pools={})
    assert told("EXCLUDEALL USER anne\n", of=empty) == [(1, "tenant Sales has no pool")]
    assert told("TIMEOUTALL 7200\n", of=empty) == []
