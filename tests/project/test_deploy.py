"""What is ready in `deploy/` asks for metrics and labels that there are, and for no others."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from licet.accounts import administrators
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from licet.options import Share
from licet.telemetry.metrics import FAMILIES
from support.alerts.promql import BUCKETS, COUNTER, GAUGE, Metric, Misread, given
from support.paths import ROOT
from support.server.running import PATIENCE_S, RunningServer

DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))

FAR_MS = 4_000_000_000_000
_BY_PROMETHEUS = frozenset({"job", "instance"})  # what it adds to all that it scrapes
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_sum", "_count")}


def rules() -> list[dict[str, Any]]:
    """All rules."""
    return [rule for group in RULES["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Metric]:
    """The metrics of a server that has given a seat, as Prometheus has them, and what our rules record."""
    with RunningServer(tmp_path_factory.mktemp("scraped"), admin=True, commit_process=True) as server:
        with server.changing() as change:
            reserve = (Share(who="user:TC", seats=1),)
            change.tenant("Jim_Test").set_pool("full", queue=3, reserve=reserve, expires_at_ms=FAR_MS)
        for scope in ("all", "view"):
            server.ask("Jim_Test/token", grant_type="client_credentials", scope=scope).raise_for_status()
        made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
        with server.store() as store, administrators.changing(store, "a test") as change:
            change.add_api_key("prometheus", made, role=Role.VIEWER)
        headers = {"authorization": f"Bearer {made.key}"}
        page = httpx.get(f"{server.admin_url}/metrics", headers=headers, timeout=4 * PATIENCE_S)
    found = dict(metrics_of(page.raise_for_status().text)) | {"up": Metric(GAUGE, _BY_PROMETHEUS)}
    for rule in rules():
        if "record" in rule:
            labels = given(rule["expr"], found).labels
            assert labels is not None
            found[rule["record"]] = Metric(GAUGE, labels)
    return found


def metrics_of(page: str) -> Iterator[tuple[str, Metric]]:
    """Each name of a page that a query may ask for, with the labels of its samples.

    What there is no sample of, as of certificates or of denials that there were none of, is as declared.
    """
    kinds = {"info": "gauge"}  # in the text format
    declared = {it.name: (kinds.get(it.kind, it.kind), frozenset(it.labels)) for it in FAMILIES}
    found = dict(declared)
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            shown = family.type, frozenset(sample.labels) - {"le"}
            assert declared.get(name, shown) == shown, name
            found[name] = shown
    for name, (kind, labels) in found.items():
        for suffix in _SUFFIXES[kind]:
            is_counted = kind in {"counter", "histogram"}
            yield name + suffix, Metric(COUNTER if is_counted else GAUGE, labels | _BY_PROMETHEUS)
        if kind == "histogram":
            yield f"{name}_bucket", Metric(BUCKETS, labels | _BY_PROMETHEUS | {"le"})


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
def test_a_query_can_be_meant_of_what_a_server_shows(
    scraped: Mapping[str, Metric], where: str, query: str
) -> None:
    """Each metric is on a scrape, with these labels, and of the kind that a rate or a quantile is of."""
    found = given(query, scraped)
    assert not found.is_range, where


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("licet_nothing", "there is no metric licet_nothing"),
        ('licet_seats{reason="x"}', "licet_seats has no label reason"),
        ("sum by (reason) (licet_seats)", "by names ['reason']"),
        ("rate(licet_seats[5m])", "not of a gauge"),
        ("rate(licet_grants_total)", "a counter over a time"),
        ("licet_grants_total[5m] > 0", "> is of a range"),
        ("histogram_quantile(0.9, sum(rate(licet_commit_duration_seconds_bucket[5m])))", "buckets with le"),
        ("histogram_quantile(0.9, rate(licet_commit_duration_seconds_sum[5m]))", "buckets with le"),
        ("histogram_quantile(licet_seats, licet_seats)", "is a number"),
        ("licet_seats / licet_queue_limit", "/ compares"),
        ("sum(licet_seats", "the end stands where ) is needed"),
        ("sum(licet_seats))", ") stands behind the end"),
        ("quantile_over_time(0.9, licet_seats[5m])", "quantile_over_time is not known here"),
    ],
)
def test_a_query_that_cannot_be_meant_is_found(scraped: Mapping[str, Metric], query: str, wrong: str) -> None:
    """Prometheus would draw nothing, or a wrong line, and not complain of most of them."""
    with pytest.raises(Misread, match=re.escape(wrong)):
        given(query, scraped)


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
