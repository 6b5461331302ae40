"""Sends a server the valid and invalid requests that Schemathesis makes from its OpenAPI document.

The requests are made when a test runs. The decorator of Schemathesis would make all of them when tests are
collected, in each process of a run.
"""

from collections.abc import Callable
from typing import Any

from schemathesis import Case
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.pytest._test_builder import build_operation_test


def send_all(schema: Any, path: str, method: str, send: Callable[[Case[Any]], object]) -> None:
    """Generate the requests for an operation, and pass each to `send`."""

    def test(case: Case[Any]) -> None:
        send(case)

    load_all_checks()
    operation = schema[path][method]
    build_operation_test(
        config=schema.config, operation=operation, test_func=test, given_kwargs={}, feedback=NO_FEEDBACK
    )()
