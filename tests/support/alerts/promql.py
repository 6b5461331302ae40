"""Parses PromQL as far as our queries use it, and finds queries that are valid but cannot be intended.

    given("sum by (pool) (rate(licet_grants_total[5m]))", metrics) -> Vector(labels={"pool"}, kind="sum")

The rules:

- A label in a matcher or in `by` exists in the metric. Prometheus would return nothing, without an error.
- `rate` takes a counter. `histogram_quantile` takes buckets that still have the label `le`.
- Two vectors in a comparison have the same labels, as Prometheus matches all of them.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

COUNTER, GAUGE, BUCKETS, VALUE = "counter", "gauge", "buckets", "value"

_RATES = frozenset({"rate", "increase"})
_GROUPS = frozenset({"sum", "min", "max"})
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"]*")|(?P<number>\d[\d.]*)|(?P<name>[a-zA-Z_:$][\w:]*)|(?P<sign>[<>=!]=|[=!]~|.))""",
    re.DOTALL,
)
_OPERATORS = ({"==", "!=", "<", ">", "<=", ">="}, {"+", "-"}, {"*", "/"})  # the weakest first


class Misread(Exception):
    """A query that is not PromQL, or cannot be intended."""


class Metric(NamedTuple):
    """A metric of a scrape: a counter, a gauge or the buckets of a histogram, and its labels."""

    kind: str
    labels: frozenset[str]


class Given(NamedTuple):
    """The result of a query. `labels` of a scalar is None; `is_range` is true for a range vector."""

    labels: frozenset[str] | None
    kind: str = VALUE
    is_range: bool = False


def given(query: str, metrics: Mapping[str, Metric]) -> Given:
    """The result of this query. Raises Misread."""
    reader = _Reader(query, metrics)
    found = reader.comparison(0)
    if reader.next:
        raise Misread(f"{reader.next} stands behind the end of {query}")
    return found


class _Reader:
    def __init__(self, query: str, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics
        self._tokens = [found[found.lastgroup or 0] for found in _TOKEN.finditer(query.strip())]
        self._at = 0

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next
        if not token or (wanted and token != wanted):
            raise Misread(f"{token or 'the end'} stands where {wanted or 'more'} is needed")
        self._at += 1
        return token

    def comparison(self, strength: int) -> Given:
        if strength == len(_OPERATORS):
            return self._term()
        found = self.comparison(strength + 1)
        while self.next in _OPERATORS[strength]:
            sign = self.take()
            other = self.comparison(strength + 1)
            if found.is_range or other.is_range:
                raise Misread(f"{sign} is of a range")
            if None not in {found.labels, other.labels} and found.labels != other.labels:
                raise Misread(
                    f"{sign} compares {sorted(found.labels or ())} with {sorted(other.labels or ())}"
                )
            found = Given(other.labels if found.labels is None else found.labels)
        return found

    def _term(self) -> Given:
        if self.next == "(":
            self.take()
            found = self.comparison(0)
            self.take(")")
            return found
        token = self.take()
        if token[0].isdigit():
            return Given(None)
        if token in _GROUPS:
            return self._grouped()
        if self.next == "(":
            return self._call(token)
        return self._selected(token)

    def _names(self) -> frozenset[str]:
        self.take("(")
        found = set()
        while self.next != ")":
            found.add(self.take())
            if self.next == ",":
                self.take()
        self.take(")")
        return frozenset(found)

    def _grouped(self) -> Given:
        how = self.take() if self.next in {"by", "without"} else ""
        names = self._names() if how else frozenset()
        self.take("(")
        of = self._vector("a group")
        self.take(")")
        assert of.labels is not None
        if missing := names - of.labels:
            raise Misread(f"{how} names {sorted(missing)}, which it does not have")
        kept = of.labels - names if how == "without" else names
        return Given(kept, of.kind if of.kind == BUCKETS else VALUE)

    def _vector(self, what: str) -> Given:
        found = self.comparison(0)
        if found.is_range or found.labels is None:
            raise Misread(f"{what} is of a vector of one instant")
        return found

    def _call(self, name: str) -> Given:
        self.take("(")
        if name == "time":
            found = Given(None)
        elif name in _RATES:
            of = self.comparison(0)
            if not of.is_range or of.kind not in {COUNTER, BUCKETS}:
                raise Misread(f"{name} is of a counter over a time, and not of a {of.kind}")
            found = Given(of.labels, of.kind if of.kind == BUCKETS else VALUE)
        elif name in {"histogram_quantile", "topk"}:
            if self.comparison(0).labels is not None:
                raise Misread(f"the first of {name} is a number")
            self.take(",")
            found = self._vector(name)
            if name == "histogram_quantile":
                assert found.labels is not None
                if found.kind != BUCKETS or "le" not in found.labels:
                    raise Misread("a quantile is of buckets with le")
                found = Given(found.labels - {"le"})
        else:
            raise Misread(f"{name} is not known here")
        self.take(")")
        return found

    def _selected(self, name: str) -> Given:
        if (metric := self._metrics.get(name)) is None:
            raise Misread(f"there is no metric {name}")
        if self.next == "{":
            self.take()
            while self.next != "}":
                label = self.take()
                if label not in metric.labels:
                    raise Misread(f"{name} has no label {label}")
                if self.take() not in {"=", "!=", "=~", "!~"} or not self.take().startswith('"'):
                    raise Misread(f"{name} is matched by no text")
                if self.next == ",":
                    self.take()
            self.take("}")
        if self.next != "[":
            return Given(metric.labels, metric.kind)
        self.take()
        while self.next != "]":
            self.take()
        self.take("]")
        return Given(metric.labels, metric.kind, is_range=True)
