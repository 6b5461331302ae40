"""Tests the files for Docker Compose and Kubernetes: they name settings that exist, and give no rights.

`make interop` reads them with the code of Docker Compose, Helm and Kubernetes (interop/test_deployment.py).
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]

from licet.settings.model import Settings
from support.paths import ROOT
from support.server.proxies import must_be_there

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "licet"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir()}
# What the chart sets itself, or what its ports and volumes depend on.
OF_THE_CHART = {"data", "store", "store_password_file", "tls_certificate", "tls_key"} | {
    "admin",
    "admin_host",
    "admin_port",
    "port",
}


def merged(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Values with others in their place, as Helm merges them."""
    both = {key: merged(values[key], it) for key, it in others.items() if isinstance(values.get(key), dict)}
    return values | others | both


def test_every_variable_of_the_compose_file_is_a_setting() -> None:
    """A word that Licet does not know would stop it."""
    names = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    names = {name for name in names if name.startswith("LICET_")}
    assert {"LICET_STORE", "LICET_PUBLIC_URL"} <= names
    assert {name.removeprefix("LICET_").lower() for name in names} <= Settings.model_fields.keys()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_has_no_rights_and_a_health_check(name: str) -> None:
    """Licet's own check is in the image; the migration ends by itself."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", "") not in {"root", "0", "0:0"}
    assert name in {"licet", "migrate"} or "test" in service["healthcheck"]
    assert not [it for it in service.get("environment", {}) if it.endswith("PASSWORD")]


def test_a_container_has_longer_to_stop_than_licet_takes() -> None:
    grace_s = int(COMPOSE["services"]["licet"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_validate({}).shutdown_grace_s


def test_the_proxy_of_the_compose_file_starts_with_its_configuration(tmp_path: Path) -> None:
    """As nginx itself says of it."""
    must_be_there("nginx")
    files = [str(tmp_path / name) for name in ("key.pem", "certificate.pem")]
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", *options.split(), "-keyout", files[0], "-out", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    text = (DEPLOY / "compose" / "nginx.conf").read_text(encoding="utf-8")
    placed = {
        "/run/secrets/tls-key": files[0],
        "/run/secrets/tls-certificate": files[1],
        "server licet:": "server 127.0.0.1:",
        "http://licet:": "http://127.0.0.1:",
        " /tmp/": f" {tmp_path}/",
    }
    for one, other in placed.items():
        assert one in text
        text = text.replace(one, other)
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    command = ["nginx", "-t", "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_chart_knows_every_setting_and_no_other() -> None:
    """A misspelt one is found before anything is installed."""
    known = SCHEMA["properties"]["settings"]["properties"].keys()
    assert known == Settings.model_fields.keys() - OF_THE_CHART


def test_every_value_of_the_chart_is_described_and_every_one_that_is_used_is_there() -> None:
    """values.yaml is what an administrator reads."""
    assert SCHEMA["properties"].keys() - {"global"} == VALUES.keys()
    for name, text in TEMPLATES.items():
        for path in re.findall(r"\.Values((?:\.\w+)+)", text):
            found: Any = VALUES
            for key in path.strip(".").split("."):
                assert key in found, (name, path)
                found = found[key]


@pytest.mark.parametrize("path", sorted((CHART / "ci").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_values_that_are_tried_fit_the_schema(path: Path) -> None:
    values = merged(VALUES, yaml.safe_load(path.read_text(encoding="utf-8")))
    jsonschema_rs.validate(SCHEMA, values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("database", {"url": "postgresql://licet:secret@db.example.com/licet"}),
        ("database", {"url": "postgresql://db.example.com/licet?password=secret"}),
        ("settings", {"public_ulr": "https://licence.example.com"}),
        ("image", {"digest": "latest"}),
        ("replica", 2),
    ],
)
def test_values_that_nobody_means_are_refused(key: str, value: object) -> None:
    """A password would be in the release, and so in whatever prints its values."""
    given = value if not isinstance(value, dict) else VALUES[key] | value
    assert not jsonschema_rs.is_valid(SCHEMA, VALUES | {key: given})


def test_every_variable_of_the_chart_is_a_setting() -> None:
    names = {name for text in TEMPLATES.values() for name in re.findall(r"LICET_([A-Z][A-Z_]*)\b", text)}
    assert {name.lower() for name in names} <= Settings.model_fields.keys()
    assert names
