"""Finds out whether an options file is FlexNet's or RLM's.

A file is of the format in which it has the fewer mistakes. Where that is both, a word that one format has for
everybody decides, `ALL_USERS` or `*`. Where the file says the same in both, or has the same mistakes, it does
not matter; where it says something else, a person has to say which it is.
"""

from licet.options_files import flexnet, rlm
from licet.options_files.statements import Members, Number, Option, Reading, Rule, Said, Who, Wrong


class FormatUnclear(Exception):
    """The file may be of either format; the text says why that matters."""


def recognised(content: bytes) -> Reading:
    """The file, read in its format.

    Raises FileUnreadable, FormatUnclear.
    """
    of_flexnet, of_rlm = flexnet.read(content), rlm.read(content)
    if of_flexnet.mistakes != of_rlm.mistakes:
        return of_flexnet if of_flexnet.mistakes < of_rlm.mistakes else of_rlm
    if of_flexnet.mistakes:
        ours, theirs = _mistakes(of_flexnet), _mistakes(of_rlm)
        if ours == theirs:
            return of_flexnet
        raise FormatUnclear(
            f"it is no options file of FlexNet as it stands ({ours[0]}), nor one of RLM ({theirs[0]})"
        )
    pairs = zip(of_flexnet.said, of_rlm.said, strict=False)
    differing = [(ours, theirs) for ours, theirs in pairs if ours.statement != theirs.statement]
    is_flexnet = any(_is_for_all(ours) for ours, _ in differing)
    is_rlm = any(_is_for_all(theirs) for _, theirs in differing)
    if is_flexnet != is_rlm:
        return of_flexnet if is_flexnet else of_rlm
    if differing:
        where = differing[0][0].line.where
        raise FormatUnclear(f"{where} means something else in FlexNet than in RLM")
    if _differs_by_case(of_flexnet):
        raise FormatUnclear(
            "names differ by upper and lower case alone, which matters in FlexNet and not in RLM"
        )
    if _has_both_lists(of_flexnet):
        raise FormatUnclear("INCLUDE beside INCLUDEALL means something else in FlexNet than in RLM")
    return of_flexnet


def _mistakes(reading: Reading) -> list[str]:
    """What is wrong, line by line."""
    return [f"{it.line.where}: {it.statement.why}" for it in reading.said if isinstance(it.statement, Wrong)]


def _is_for_all(said: Said) -> bool:
    """Whether a name is the format's own word for everybody, which is no login name."""
    return isinstance(said.statement, Rule) and said.statement.who in {Who.EACH_USER, Who.EACH_GROUP}


def _differs_by_case(reading: Reading) -> bool:
    names: dict[str, set[str]] = {}
    for said in reading.said:
        match said.statement:
            case Members(group=group, users=users):
                found = (f"group {group}", *(f"user {user}" for user in users))
            case Rule(who=who, name=name, feature=feature):
                found = (f"{who} {name}", f"feature {feature}")
            case Number(feature=feature):
                found = (f"feature {feature}",)
            case _:
                continue
        for name in found:
            names.setdefault(name.casefold(), set()).add(name)
    return any(len(spelt) > 1 for spelt in names.values())


def _has_both_lists(reading: Reading) -> bool:
    features = {
        it.statement.feature is None
        for it in reading.said
        if isinstance(it.statement, Rule) and it.statement.option is Option.INCLUDE
    }
    return len(features) > 1
