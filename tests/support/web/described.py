"""Has Schemathesis send a server what an operation of its OpenAPI document takes, and what it does not.

The requests are made when a test runs. The decorator of Schemathesis makes all of them when tests are
collected, in each process of a run.
"""

from collections.abc import Callable
from typing import Any

from schemathesis import Case
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.pytest._test_builder import build_operation_test


def send_all(schema: Any, path: str, method: str, send: Callable[[Case[Any]], object]) -> None:
    """Make the requests that there are for an operation, and `send` each."""

    def test(case: Case[Any]) -> None:
        send(case)

    load_all_checks()
    operation = schema[path][method]
    build_operation_test(
        config=schema.config, operation=operation, test_func=test, given_kwargs={}, feedback=NO_FEEDBACK
    )()
