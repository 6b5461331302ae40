"""Scrapes the metrics of a server on a store, without one."""

import asyncio
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as read_text

from licet.store.contract import Store
from licet.telemetry.measures import Measures
from licet.telemetry.metrics import Metrics, Page, Queue

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def made(store: Store, measures: Measures | None = None, **changes: Any) -> Metrics:
    """The metrics of a server on this store."""
    usual: dict[str, Any] = {
        "queues": {"commit": Queue(lambda: 3, 4096)},
        "is_ready": lambda: True,
        "commit_pid": None,
        "tenants_max": 200,
        "build": {"version": "1.2.3", "store": "sqlite"},
    }
    return Metrics(store=store, measures=measures or Measures(), **(usual | changes))


def scraped(metrics: Metrics, accept: str = "") -> Page:
    """One scrape."""
    return asyncio.run(metrics.page(accept))


def families(page: Page) -> list[Metric]:
    """The values on a page of metrics."""
    return list(read_text(page.body.decode()))


def values(metrics: Metrics) -> Values:
    """The values of a scrape, by name and labels."""
    found = families(scraped(metrics))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found
        for sample in family.samples
    }


def of_pool(found: Values, name: str) -> dict[tuple[str, str], float]:
    """The values of a metric, by tenant and pool."""
    return {
        (dict(labels)["tenant"], dict(labels)["pool"]): value
        for (it, labels), value in found.items()
        if it == name
    }
