"""What a server counts beside its requests: exact, and bounded whatever is sent."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import pytest

from licet.telemetry.measures import COMMANDS, OTHER, SECONDS, Histogram, Measures, endpoint_of


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/Jim_Test/token", "token"),
        ("/Jim_Test/logoff", "logoff"),
        ("/Jim_Test/revoke", "revoke"),
        ("/Jim_Test/introspect", "introspect"),
        ("/Jim_Test/verify", "verify"),
        ("/Jim_Test/verify/", "verify"),
        ("/Jim_Test/verify/jobs/introspect", "verify"),
        ("/Jim_Test/.well-known/oauth-authorization-server", "metadata"),
        ("/.well-known/oauth-authorization-server/Jim_Test", "metadata"),
        ("/health/live", "health"),
        ("/health/ready", "health"),
        ("/Jim_Test/x/token", OTHER),
        ("/token", OTHER),
        ("/", OTHER),
        ("", OTHER),
        ("*", OTHER),
        ("/Jim_Test/token/", OTHER),
    ],
)
def test_a_path_is_of_one_of_a_few_endpoints(path: str, endpoint: str) -> None:
    assert endpoint_of(path) == endpoint
    measures = Measures()
    measures.answered(path, 200, perf_counter())
    assert list(measures.requests) == [(endpoint, 200)]


def test_what_is_sent_makes_no_more_names() -> None:
    """A scanner that asks for a million paths is one line."""
    measures = Measures()
    for number in range(1000):
        measures.answered(f"/{number}/{number}", 404, perf_counter())
    assert list(measures.requests) == [(OTHER, 404)]
    assert sum(measures.requests[OTHER, 404].counts) == 1000


def test_a_value_counts_up_to_its_bound() -> None:
    """Prometheus: a bucket is what was less than or equal to its bound."""
    histogram = Histogram((1, 2, 4))
    for value in (0, 1, 1.5, 2, 4, 4.1, 1000):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.total == pytest.approx(1012.6)


@pytest.mark.parametrize("bounds", [SECONDS, COMMANDS])
def test_bounds_stand_in_order(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_a_request_is_timed_from_its_beginning() -> None:
    measures = Measures()
    measures.answered("/Jim_Test/token", 200, perf_counter() - 7)
    histogram = measures.requests["token", 200]
    assert histogram.counts[SECONDS.index(10.0)] == 1
    assert 7 <= histogram.total < 10


def test_a_batch_brings_news_of_another_process() -> None:
    measures = Measures()
    measures.committed(8, 0.002, {"granted": 7, "denied all_in_use": 1})
    measures.committed(1, 0.001, {"granted": 1})
    assert measures.counted == {"granted": 8, "denied all_in_use": 1}
    assert (sum(measures.batches.counts), measures.batches.total) == (2, 9)
    assert sum(measures.commits.counts) == 2
    assert measures.commits.total == pytest.approx(0.003)


def test_several_threads_that_hash_lose_no_count() -> None:
    measures = Measures()
    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(measures.hashed, [1.0] * 20_000):
            pass
    assert (sum(measures.hashes.counts), measures.hashes.total) == (20_000, 20_000.0)
