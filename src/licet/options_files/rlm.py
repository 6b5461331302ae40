"""Reads the options file of an ISV server of RLM, the Reprise License Manager (RLM License Administration).

    RESERVE 2 compile group sales

The rules:

- Everything but the path of a log is the same in upper and lower case.
- `id=nnn` at the end of a line means the licences of that id only; it becomes part of the product's name.
- `TIMEOUT secs` without a product is `TIMEOUTALL secs`.
- Of a product with `INCLUDE` lines, and with `INCLUDEALL` lines beside them, only who is named by both is
  sure to be let in.
- `USER` has a password, which nothing shows or keeps.
- The lower the number of a `PRIORITY`, the earlier in the queue; who has none is last.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from licet.options_files import reasons
from licet.options_files.lines import RLM, Line, lines_of
from licet.options_files.statements import (
    Amount,
    Members,
    Nothing,
    Number,
    Option,
    Reading,
    Rule,
    Statement,
    Unmatched,
    Who,
)
from licet.options_files.words import NotWrittenSo, Reader, Unmatchable, Words, said, shown

_EVERYBODY: Final = "*"
_PRODUCT = "the product"
_SECONDS = "the number of seconds"
_NO_PROJECT = "noproject"
_USER: Final = "USER"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "USER": Who.USER,
        "GROUP": Who.GROUP,
        "HOST": reasons.HOST,
        "HOST_GROUP": reasons.HOST,
        "INTERNET": reasons.HOST,
        "INTERNET_GROUP": reasons.HOST,
        "PROJECT": reasons.PROJECT,
    }
)


def read(content: bytes) -> Reading:
    """What each line says.

    Raises FileUnreadable.
    """
    lines = map(_without_password, lines_of(content, RLM))
    found = tuple(said(line, READERS, RLM.name) for line in lines)
    return Reading(format=RLM.name, said=found, any_case=True, first_counts=False, lists_meet=True)


def _without_password(line: Line) -> Line:
    """What is shown of a line, and kept as a comment, has no password."""
    before, option, after = line.text.upper().partition(_USER)
    if before.strip() or not option or not after[:1].isspace():
        return line
    name = line.text[len(before) + len(option) :].split()[:1]
    return replace(line, text=" ".join([_USER, *name, "..."]), words=(_USER, *name))


def _with_id(words: Words, product: str) -> str:
    """The product with the id behind it, if the line has one."""
    if not words.left():
        return product
    word = words.take("")
    if not word.lower().startswith("id="):
        raise NotWrittenSo(f"{words.option} has a word too many, which is no id=NNN: {shown(word)}")
    return f"{product}:{word}"


def _rule(words: Words, option: Option, product: str | None, count: int = 0) -> Statement:
    kind = words.choice("the type", _TYPES)
    name = words.take("the name")
    feature = product if product is None else _with_id(words, product)
    if kind not in set(Who):
        return Unmatched(why=kind, includes=option is Option.INCLUDE, feature=feature)
    if option is Option.MAX and kind == Who.USER and name == _EVERYBODY:
        return Rule(option=option, feature=feature, who=Who.EACH_USER, count=count)
    return Rule(option=option, feature=feature, who=Who(kind), name=name, count=count)


def _list(option: Option) -> Reader:
    return lambda words: _rule(words, option, words.take(_PRODUCT))


def _exclude(words: Words) -> Statement:
    product = words.take(_PRODUCT)
    if words.option == "EXCLUDE" and words.next_is(_NO_PROJECT):
        words.skip()
        return Unmatched(why=reasons.PROJECT)
    return _rule(words, Option.EXCLUDE, product)


def _exclude_from_all(words: Words) -> Statement:
    if words.next_is(_NO_PROJECT):
        words.skip_one()
        return Unmatched(why=reasons.PROJECT)
    return _rule(words, Option.EXCLUDE, None)


def _include_in_all(words: Words) -> Statement:
    return _rule(words, Option.INCLUDE, None)


def _count(option: Option, what: str) -> Reader:
    def reader(words: Words) -> Statement:
        count = words.number(what)
        return _rule(words, option, words.take(_PRODUCT), count)

    return reader


def _timeout(words: Words) -> Statement:
    amount = words.number(_SECONDS)
    product = _with_id(words, words.take(_PRODUCT)) if words.left() else None
    return Number(what=Amount.TIMEOUT, feature=product, amount=amount)


def _timeout_of_all(words: Words) -> Statement:
    return Number(what=Amount.TIMEOUT, feature=None, amount=words.number(_SECONDS))


def _group(words: Words) -> Statement:
    return Members(group=words.take("the name of the group"), users=words.rest("its first user"))


def _express(words: Words) -> Statement:
    is_on = words.choice("the switch", {"ON": "on", "OFF": ""})
    if words.left():
        words.take(_PRODUCT)
    return Nothing(why="the queue works so") if is_on else Unmatched(why=reasons.EXPRESS)


_GROUP_OF_HOSTS: Final = Unmatchable(2, None, reasons.HOST).read
_ROAMING: Final = Unmatchable(1, None, reasons.BORROWING).read

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "EXCLUDE": _exclude,
        "EXCLUDEALL": _exclude_from_all,
        "INCLUDE": _list(Option.INCLUDE),
        "INCLUDEALL": _include_in_all,
        "RESERVE": _count(Option.RESERVE, "the number of licences"),
        "MAX": _count(Option.MAX, "the number of licences"),
        "PRIORITY": _count(Option.PRIORITY, "the priority"),
        "TIMEOUT": _timeout,
        "TIMEOUTALL": _timeout_of_all,
        "GROUP": _group,
        "EXPRESS": _express,
        "HOST_GROUP": _GROUP_OF_HOSTS,
        "INTERNET_GROUP": _GROUP_OF_HOSTS,
        "EXEMPT_MAX": Unmatchable(3, None, reasons.EXEMPT).read,
        "EXEMPTALL_MAX": Unmatchable(2, None, reasons.EXEMPT).read,
        "EXCLUDEALL_ROAM": _ROAMING,
        "INCLUDEALL_ROAM": _ROAMING,
        "ROAM_MAX_COUNT": _ROAMING,
        "ROAM_MAX_DAYS": _ROAMING,
        "MINREMOVE": Unmatchable(1, 2, reasons.MIN_REMOVE).read,
        "CLIENT_CACHE": Unmatchable(1, None, reasons.CLIENT_CACHE).read,
        "TIMEZONE": Unmatchable(1, None, reasons.TIME_ZONES).read,
        "DEBUGLOG": Unmatchable(1, None, reasons.DEBUG_LOG).read,
        "REPORTLOG": Unmatchable(1, None, reasons.REPORT_LOG).read,
        "ROTATE": Unmatchable(1, 1, reasons.REPORT_LOG).read,
        "PURGE_REPORTLOG": Unmatchable(1, 1, reasons.REPORT_LOG).read,
        "NOLOG": Unmatchable(1, None, reasons.NO_LOG).read,
        "NO_OLD_RLMUTIL": Unmatchable(0, 0, reasons.OLD_TOOLS).read,
        _USER: Unmatchable(1, None, reasons.PASSWORDS).read,
        "ACTIVATE": Unmatchable(0, None, reasons.OWN_OPTIONS).read,
    }
)
