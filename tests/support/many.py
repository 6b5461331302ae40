"""Of many examples that are alike: the first few in `make test`, and all others in `make test-wide`."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

EXAMPLES_MAX = 100  # what Hypothesis makes by itself
EXAMPLES_FEW = 25  # in `make test`; `make test-wide` makes all


def few(examples: Iterable[Any], count: int) -> list[Any]:
    """What `pytest.mark.parametrize` takes: these examples, those after the first `count` marked wide.

    A tuple has the values of several parameters.
    """
    return [
        pytest.param(*(it if isinstance(it, tuple) else (it,)), marks=() if at < count else pytest.mark.wide)
        for at, it in enumerate(examples)
    ]


def one_in(every: int, examples: Iterable[Any]) -> list[Any]:
    """What `pytest.mark.parametrize` takes: of these params one of so many, and the others marked wide."""
    return [
        it if at % every == 0 else pytest.param(*it.values, id=it.id, marks=[*it.marks, pytest.mark.wide])
        for at, it in enumerate(examples)
    ]


def examples(most: int) -> int:
    """How many Hypothesis makes in this run, of as many in `make test-wide`."""
    return -(-most * settings().max_examples // EXAMPLES_MAX)
