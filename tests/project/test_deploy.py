"""What is ready in `deploy/` asks for metrics and labels that there are, and for no others."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from licet.telemetry.metrics import COMMITTER, FAMILIES
from support.paths import ROOT

DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))

_OF_A_PROCESS = ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "start_time_seconds")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
_LABELS = {"job", "instance", "le", *(label for family in FAMILIES for label in family.labels)}
_WORDS = {"and", "or", "unless", "bool", "offset"}
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHERS = re.compile(r"\{([^}]*)\}")


def rules() -> list[dict[str, Any]]:
    """All rules."""
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def known() -> set[str]:
    """Every name that a query may ask for."""
    names = {"up", *(rule["record"] for rule in rules() if "record" in rule)}
    for family in FAMILIES:
        names |= {family.name + suffix for suffix in _SUFFIXES.get(family.kind, ("",))}
    return names | {f"{prefix}process_{it}" for prefix in ("", f"{COMMITTER}_") for it in _OF_A_PROCESS}


def names(query: str) -> Iterator[str]:
    """The metrics that a query asks for."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", _MATCHERS.sub("", bare)))
    for name, call in re.findall(r"\b([a-zA-Z_][\w:]*)\b\s*(\(?)", bare):
        if not call and name not in _WORDS:
            yield name


def labels(query: str) -> Iterator[str]:
    """The labels that it names."""
    for _, group in _GROUPING.findall(query):
        yield from (label.strip() for label in group.split(",") if label.strip())
    for matchers in _MATCHERS.findall(re.sub(r'"[^"]*"', '""', query)):
        yield from re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)


def queries() -> Iterator[tuple[str, str]]:
    """Every query, and where it is."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if (
            found := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
        ) is not None:
            yield variable["name"], f"sum by ({found[2]}) ({found[1]})"


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_asks_for_what_there_is(where: str, query: str) -> None:
    assert list(names(query)), "a query of nothing"
    assert set(names(query)) <= known()
    assert set(labels(query)) <= _LABELS
    assert query.count("(") == query.count(")")


def test_what_is_asked_for_is_found_in_a_query() -> None:
    counted = 'sum by (reason, job) (increase(licet_x_total{tenant=~"a|b (c)", pool!="y"}[5m]))'
    query = f"{counted} / licet:z:ratio > 0.5"
    assert list(names(query)) == ["licet_x_total", "licet:z:ratio"]
    assert list(labels(query)) == ["reason", "job", "tenant", "pool"]


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["alert"].startswith("Licet")
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert {"summary", "description"} == set(rule["annotations"])


def test_the_dashboard_has_no_data_source_of_its_own() -> None:
    """It works with whichever Prometheus the reader's Grafana has."""
    sources = [panel["datasource"] for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_scrape_names_the_rules_that_are_beside_it() -> None:
    assert [(DEPLOY / name).exists() for name in CONFIG["rule_files"]] == [True]
    assert CONFIG["scrape_configs"][0]["job_name"] == "licet"
