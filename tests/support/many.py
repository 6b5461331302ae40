"""Selects a few of many similar examples for `make test`; `make test-wide` runs all others."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

EXAMPLES_MAX = 100  # the default of Hypothesis
EXAMPLES_FEW = 16  # in `make test`; `make test-wide` makes all


def few(examples: Iterable[Any], count: int) -> list[Any]:
    """What `pytest.mark.parametrize` takes: these examples, those after the first `count` marked wide.

    A tuple has the values of several parameters.
    """
    return [
        pytest.param(*(it if isinstance(it, tuple) else (it,)), marks=() if at < count else pytest.mark.wide)
        for at, it in enumerate(examples)
    ]


def one_in(every: int, examples: Iterable[Any]) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: each n-th one unmarked, and the others marked wide."""
    return [
        it if at % every == 0 else pytest.param(*it.values, id=it.id, marks=[*it.marks, pytest.mark.wide])
        for at, it in enumerate(examples)
    ]


def examples(most: int) -> int:
    """How many Hypothesis makes in this run, of as many in `make test-wide`."""
    return -(-most * settings().max_examples // EXAMPLES_MAX)
