"""What `deploy/windows` has ready is well formed, leads to Licet's own ports, and is what the guide shows."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from licet.settings.load import load_settings
from support.paths import DOCS, ROOT

WINDOWS = ROOT / "deploy" / "windows"
PAGE = (DOCS / "how-to" / "run-on-windows.md").read_text(encoding="utf-8")
XML = sorted([*WINDOWS.rglob("*.xml"), *WINDOWS.rglob("web.config")])
SITES = sorted(WINDOWS.rglob("web.config"))
TASKS = sorted((WINDOWS / "tasks").glob("*.xml"))
TASK = {"": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
SHOWN = ("licet-service.xml", "iis/public/web.config", "tasks/backup.ps1")
DATA = r"C:\ProgramData\Licet"


def read(path: Path) -> ET.Element:
    """A file as a parser of XML reads it, in the encoding that it names."""
    return ET.fromstring(path.read_bytes())  # noqa: S314 - our own files


def text_of(element: ET.Element | None) -> str:
    """The text of an element that is there."""
    assert element is not None
    return element.text or ""


@pytest.mark.parametrize("path", XML, ids=lambda it: str(it.relative_to(WINDOWS)))
def test_a_file_is_well_formed(path: Path) -> None:
    """IIS would answer 500.19, and the service would not be installed."""
    assert read(path).tag.rpartition("}")[2] in {"configuration", "service", "Task"}


@pytest.mark.parametrize("file", SHOWN)
def test_the_guide_shows_what_is_ready_to_install(file: str) -> None:
    """To the letter."""
    assert f"\n{(WINDOWS / file).read_text(encoding='utf-8')}```\n" in PAGE


@pytest.mark.parametrize("path", SITES, ids=lambda it: it.parent.name)
def test_a_site_leads_to_the_port_that_licet_has_by_itself(path: Path) -> None:
    """The path and the query come as the client sent them, and nothing of an answer is changed."""
    server = read(path).find("system.webServer")
    assert server is not None
    [rule] = server.findall(".//rule[@name='Licet']")
    action = rule.find("action")
    assert action is not None
    settings = load_settings(environment={})
    port = {"public": settings.port, "admin": settings.admin_port}[path.parent.name]
    assert action.get("url") == f"http://{settings.host}:{port}{{UNENCODED_URL}}"
    assert action.get("appendQueryString") == "false"
    errors = server.find("httpErrors")
    assert errors is not None
    assert errors.get("existingResponse") == "PassThrough"


@pytest.mark.parametrize("path", SITES, ids=lambda it: it.parent.name)
def test_a_site_answers_nothing_in_clear_text(path: Path) -> None:
    """That rule comes first, and a redirect would be too late."""
    rules = read(path).findall(".//rule")
    assert [rule.get("name") for rule in rules] == ["No clear text", "Licet"]
    condition, action = rules[0].find(".//add"), rules[0].find("action")
    assert condition is not None
    assert action is not None
    assert (condition.get("input"), action.get("type")) == ("{HTTPS}", "CustomResponse")
    assert re.fullmatch(condition.get("pattern") or "", "OFF")


def test_the_service_runs_the_server_on_the_data_of_the_guide() -> None:
    """With time to answer what is under way."""
    service = read(WINDOWS / "licet-service.xml")
    assert text_of(service.find("arguments")).split()[-2:] == ["licet", "serve"]
    variables = {str(it.get("name")): str(it.get("value")) for it in service.findall("env")}
    assert variables["LICET_DATA"] == DATA
    load_settings(environment={name: it for name, it in variables.items() if name != "LICET_DATA"})
    assert (
        int(text_of(service.find("stoptimeout")).split()[0]) > load_settings(environment={}).shutdown_grace_s
    )


@pytest.mark.parametrize("path", TASKS, ids=lambda it: it.stem)
def test_a_task_runs_what_is_there_once_a_day(path: Path) -> None:
    """As the system, which has no password, and not twice at once."""
    task = read(path)
    assert text_of(task.find(".//UserId", TASK)) == "S-1-5-18"
    assert text_of(task.find(".//DaysInterval", TASK)) == "1"
    assert text_of(task.find(".//MultipleInstancesPolicy", TASK)) == "IgnoreNew"
    arguments = text_of(task.find(".//Arguments", TASK))
    assert arguments in {
        rf"check --data {DATA}",
        r'-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "C:\Program Files\Licet\backup.ps1"',
    }


def test_the_settings_of_the_guide_trust_the_proxy_of_this_machine() -> None:
    """The block of settings is read as Licet reads it."""
    [block] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    settings = load_settings(environment={}, overrides=tomllib.loads(block))
    assert [str(it) for it in settings.trusted_proxies] == ["127.0.0.1/32", "::1/128"]


def test_the_guide_says_first_that_nobody_has_run_it_on_windows() -> None:
    """Whoever follows it has to know."""
    assert PAGE.index("**Not run on Windows.**") < PAGE.index("\n## ")
