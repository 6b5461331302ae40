"""Reads what is in deploy/ with the code of those who run it: Docker Compose, Helm and Kubernetes.

`interop/deployment` is a program in Go that does so. Where there is no Go the tests fail, and with
`PASS_OVER=1` are skipped.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop.installing import HERE, may_be_passed_over

DEPLOY = HERE.parent / "deploy"
CHART = DEPLOY / "helm" / "licet"
VALUES = sorted((CHART / "ci").glob("*.yaml"))
PATIENCE_S = 900  # a cold build fetches what it needs
pytestmark = pytest.mark.timeout(PATIENCE_S)
Read = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The program, built."""
    if shutil.which("go") is None:
        if may_be_passed_over():
            pytest.skip("there is no go")
        pytest.fail("there is no go; PASS_OVER=1 leaves out what cannot be run")
    program = tmp_path_factory.mktemp("deployment") / "deployment"
    for command in (["go", "vet", "."], ["go", "build", "-o", str(program), "."]):
        subprocess.run(command, cwd=HERE / "deployment", check=True, timeout=PATIENCE_S)

    def read(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(program), *map(str, arguments)]
        return subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
        )

    return read


def objects(read: Read, values: Path, chart: Path = CHART) -> dict[tuple[str, str], Any]:
    """What the chart makes of values: each object by its kind and name."""
    found = read("chart", chart, values)
    assert found.returncode == 0, found.stderr
    return {(it["kind"], it["metadata"]["name"]): it for it in json.loads(found.stdout)}


def test_the_compose_file_is_valid_and_says_what_it_needs(read: Read) -> None:
    """Docker Compose's own reader: its schema, its variables, its references."""
    missing = read("compose", DEPLOY / "compose.yaml")
    assert missing.returncode == 1
    assert "LICET_PUBLIC_URL is missing a value" in missing.stderr
    found = read("compose", DEPLOY / "compose.yaml", LICET_PUBLIC_URL="https://licence.example.com")
    assert found.returncode == 0, found.stderr
    services = json.loads(found.stdout)["services"]
    assert [name for name, it in services.items() if it.get("ports")] == ["proxy"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_chart_is_linted_rendered_and_strictly_decoded(read: Read, values: Path) -> None:
    """As `helm lint --strict` and `helm template` do; no key that Kubernetes does not know."""
    found = objects(read, values)
    assert {("Deployment", "licet"), ("Service", "licet-public"), ("Service", "licet-admin")} <= found.keys()
    assert ("Job", "licet-migrate-pre") in found


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_no_pod_of_the_chart_has_rights(read: Read, values: Path) -> None:
    """The restricted profile of Pod Security, and a root that cannot be written."""
    for (kind, name), it in objects(read, values).items():
        if kind not in {"Deployment", "Job"}:
            continue
        pod = it["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
        assert not [env for env in pod["containers"][0]["env"] if "password=" in env.get("value", "")]


def test_a_pod_has_time_to_stop(read: Read) -> None:
    """The wait before SIGTERM, what open requests get, and the last commit."""
    values = CHART / "ci" / "all-values.yaml"  # 5 s and shutdown_grace_s = 15
    pod = objects(read, values)["Deployment", "licet"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 5 + 15 + 10


def test_the_last_step_of_a_migration_runs_after_the_upgrade_or_not_at_all(read: Read) -> None:
    """The first one only adds, so that nodes of the previous version go on."""
    jobs = objects(read, CHART / "ci" / "least-values.yaml")
    hooks = {
        name: it["metadata"]["annotations"]["helm.sh/hook"]
        for (kind, name), it in jobs.items()
        if kind == "Job"
    }
    assert hooks == {
        "licet-migrate-pre": "pre-install,pre-upgrade",
        "licet-migrate-post": "post-upgrade",
    }
    assert ("Job", "licet-migrate-post") not in objects(read, CHART / "ci" / "bare-values.yaml")


@pytest.mark.parametrize(
    ("least", "told"),
    [
        ('database: {url: "postgresql://licet:secret@db.example.com/licet"}', "url"),
        ("settings: {public_ulr: x}", "public_ulr"),
        ("existingSecret: Not A Name", "existingSecret"),
        ('existingSecret: ""', "existingSecret is required"),
        ("ingress: {public: {enabled: true, host: licence.example.com}}", "tlsSecret is required"),
    ],
)
def test_wrong_values_are_refused_with_their_name(read: Read, tmp_path: Path, least: str, told: str) -> None:
    """A password in the values would be in the release, which whoever may read Secrets of Helm sees."""
    lines = (CHART / "ci" / "least-values.yaml").read_text(encoding="utf-8").splitlines()
    key = least.partition(":")[0]
    kept = [line for line in lines if not line.startswith((f"{key}:", "#"))]
    values = tmp_path / "values.yaml"
    values.write_text("\n".join([*kept, least, ""]), encoding="utf-8")
    found = read("chart", CHART, values)
    assert found.returncode == 1
    assert told in found.stderr


def test_a_key_that_kubernetes_does_not_know_is_found(read: Read, tmp_path: Path) -> None:
    """Else the decoding would find nothing."""
    chart = tmp_path / "licet"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / "poddisruptionbudget.yaml"
    template.write_text(template.read_text(encoding="utf-8").replace("maxUnavailable:", "maxUnavailible:", 1))
    found = read("chart", chart, CHART / "ci" / "least-values.yaml")
    assert found.returncode == 1
    assert 'unknown field "spec.maxUnavailible"' in found.stderr
