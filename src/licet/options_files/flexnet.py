"""Reads the options file of a vendor daemon of FlexNet (FlexNet Publisher License Administration Guide).

    RESERVE 2 compile GROUP sales

The rules:

- Options and types are words in any case; names of features, users and groups are kept as they are written.
- `feature:KEYWORD=value`, or both in quotation marks with a space between, means some licences of a feature.
- Whoever is named by `INCLUDE` or by `INCLUDEALL` may use a feature.
- `MAX ... USER ALL_USERS` counts for a user only who has no `MAX` line before it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from licet.options_files import reasons
from licet.options_files.lines import FLEXNET, lines_of
from licet.options_files.statements import (
    Amount,
    AnyCase,
    Members,
    Number,
    Option,
    Reading,
    Rule,
    Statement,
    Unmatched,
    Who,
)
from licet.options_files.words import Reader, Unmatchable, Words, said

ALL_USERS: Final = "ALL_USERS"
ALL_GROUPS: Final = "ALL_GROUPS"

_FEATURE = "the feature"
_NAME = "the name"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "USER": Who.USER,
        "GROUP": Who.GROUP,
        "USER_GROUP": Who.GROUP,
        "HOST": reasons.HOST,
        "HOST_GROUP": reasons.HOST,
        "DISPLAY": reasons.HOST,
        "INTERNET": reasons.HOST,
        "PROJECT": reasons.PROJECT,
    }
)
# "f1 VERSION=2.0" in quotation marks is f1:VERSION=2.0, for features with colons in their names.
_QUOTED = re.compile(r"(\S+) +([A-Za-z_]+=.*)")


def read(content: bytes) -> Reading:
    """What each line says.

    Raises FileUnreadable.
    """
    found = tuple(said(line, READERS, FLEXNET.name) for line in lines_of(content, FLEXNET))
    return Reading(format=FLEXNET.name, said=found, any_case=False, first_counts=True, lists_meet=False)


def _feature(words: Words) -> str:
    word = words.take(_FEATURE)
    quoted = _QUOTED.fullmatch(word)
    return f"{quoted[1]}:{quoted[2]}" if quoted else word


def _rule(words: Words, option: Option, feature: str | None, count: int = 0) -> Statement:
    kind = words.choice("the type", _TYPES)
    name = words.take(_NAME)
    if kind not in set(Who):
        return Unmatched(why=kind, includes=option is Option.INCLUDE, feature=feature)
    who = Who(kind)
    if option is Option.MAX and (who, name) == (Who.USER, ALL_USERS):
        return Rule(option=option, feature=feature, who=Who.EACH_USER, count=count)
    if option is Option.MAX and (who, name) == (Who.GROUP, ALL_GROUPS):
        return Rule(option=option, feature=feature, who=Who.EACH_GROUP, count=count)
    return Rule(option=option, feature=feature, who=who, name=name, count=count)


def _list(option: Option) -> Reader:
    return lambda words: _rule(words, option, _feature(words))


def _list_of_all(option: Option) -> Reader:
    return lambda words: _rule(words, option, None)


def _count(option: Option) -> Reader:
    def reader(words: Words) -> Statement:
        count = words.number("the number of licences")
        return _rule(words, option, _feature(words), count)

    return reader


def _number(what: Amount, unit: str) -> Reader:
    def reader(words: Words) -> Statement:
        feature = _feature(words)
        return Number(what=what, feature=feature, amount=words.number(unit))

    return reader


def _timeout_of_all(words: Words) -> Statement:
    return Number(what=Amount.TIMEOUT, feature=None, amount=words.number("the number of seconds"))


def _group(words: Words) -> Statement:
    return Members(group=words.take("the name of the group"), users=words.rest("its first user"))


def _host_group(words: Words) -> Statement:
    words.take("the name of the group")
    words.rest("its first host")
    return Unmatched(why=reasons.HOST)


def _case(words: Words) -> Statement:
    is_on = words.choice("the switch", {"ON": "on", "OFF": ""})
    return AnyCase(is_on=bool(is_on))


_BORROWED: Final = Unmatchable(2, None, reasons.BORROWING).read
_ACTIVATED: Final = Unmatchable(1, None, reasons.ACTIVATION).read

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "EXCLUDE": _list(Option.EXCLUDE),
        "EXCLUDEALL": _list_of_all(Option.EXCLUDE),
        "INCLUDE": _list(Option.INCLUDE),
        "INCLUDEALL": _list_of_all(Option.INCLUDE),
        "RESERVE": _count(Option.RESERVE),
        "MAX": _count(Option.MAX),
        "MAX_OVERDRAFT": _number(Amount.OVERDRAFT, "the number of licences"),
        "LINGER": _number(Amount.LINGER, "the number of seconds"),
        "TIMEOUT": _number(Amount.TIMEOUT, "the number of seconds"),
        "TIMEOUTALL": _timeout_of_all,
        "GROUP": _group,
        "USER_GROUP": _group,
        "HOST_GROUP": _host_group,
        "GROUPCASEINSENSITIVE": _case,
        "BORROW_LOWWATER": _BORROWED,
        "EXCLUDE_BORROW": _BORROWED,
        "INCLUDE_BORROW": _BORROWED,
        "MAX_BORROW_HOURS": _BORROWED,
        "ACTIVATION_LOWWATER": _ACTIVATED,
        "ACTIVATION_EXPIRY_DAYS": _ACTIVATED,
        "EXCLUDE_ENTITLEMENT": _ACTIVATED,
        "EXCLUDEALL_ENTITLEMENT": _ACTIVATED,
        "INCLUDE_ENTITLEMENT": _ACTIVATED,
        "INCLUDEALL_ENTITLEMENT": _ACTIVATED,
        "DEBUGLOG": Unmatchable(1, None, reasons.DEBUG_LOG).read,
        "AUTO_ROLLOVER": Unmatchable(0, None, reasons.DEBUG_LOG).read,
        "REPORTLOG": Unmatchable(1, None, reasons.REPORT_LOG).read,
        "NOLOG": Unmatchable(1, None, reasons.NO_LOG).read,
        "AUTOMATIC_REREAD": Unmatchable(0, 1, reasons.REREAD).read,
        "MAX_CONNECTIONS": Unmatchable(1, 1, reasons.CONNECTIONS).read,
        "DAEMON_SELECT_TIMEOUT": Unmatchable(1, 1, reasons.DAEMONS).read,
        "FQDN_MATCHING": Unmatchable(1, 1, reasons.HOST_NAMES).read,
    }
)
