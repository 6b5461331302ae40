"""`licet check`: what is wrong with a set-up, from the modes of its files to its last client."""

import stat
from collections.abc import Iterator
from pathlib import Path

import typer

from licet.cli.console import (
    STORE_FILE,
    AsJson,
    Data,
    counted,
    data_directory,
    note,
    opened,
    say,
    show_json,
)
from licet.clock import SystemClock
from licet.keyring import FILE_NAME, KeyringUnusable, read_keyring
from licet.settings import SettingsError, load_settings
from licet.store.check import Finding
from licet.store.check import check as check_store
from licet.store.contract import SchemaOutdated, SchemaUnknown, SetupDamaged


def check(*, data: Data = None, as_json: AsJson = False) -> None:
    """Find what is wrong with a set-up, and say what to do. Exit code 1 when something is.

    Example: [bold]licet check[/]
    """
    directory = data_directory(data)
    findings = [
        *_store_findings(directory),
        *_file_findings(directory),
        *_settings_findings(directory),
    ]
    if as_json:
        show_json([_record(finding) for finding in findings])
    else:
        _print(findings)
    wrong = sum(finding.is_wrong for finding in findings)
    if wrong:
        note(f"{counted(wrong, 'thing')} to mend.")
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        where = ", ".join(filter(None, (finding.tenant, finding.target)))
        say(f"{_kind(finding)}: {where}: {finding.problem}\n  {finding.advice}")
    if not findings:
        say("Nothing is wrong.")


def _record(finding: Finding) -> dict[str, str]:
    return {
        "kind": _kind(finding),
        "tenant": finding.tenant,
        "target": finding.target,
        "problem": finding.problem,
        "advice": finding.advice,
    }


def _kind(finding: Finding) -> str:
    return "wrong" if finding.is_wrong else "hint"


def _store_findings(directory: Path) -> list[Finding]:
    try:
        with opened(directory) as store, store.reading() as connection:
            return check_store(connection, store.tenants(), SystemClock().now_ms())
    except SchemaOutdated as fault:
        return [_wrong(STORE_FILE, str(fault).partition(";")[0], f"licet migrate --data {directory}")]
    except SchemaUnknown as fault:
        return [_wrong(STORE_FILE, str(fault).partition("; ")[0], "use that version")]
    except SetupDamaged as fault:
        return [_wrong("tables", str(fault), "mend that row")]


def _file_findings(directory: Path) -> Iterator[Finding]:
    for path, mode in ((directory, "700"), (directory / STORE_FILE, "600")):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield _wrong(str(path), "it can be read by others", f"chmod {mode} {path}")
    try:
        read_keyring(directory / FILE_NAME)
    except KeyringUnusable as fault:
        problem, _, advice = str(fault).partition("; ")
        yield _wrong(FILE_NAME, problem, advice)


def _settings_findings(directory: Path) -> Iterator[Finding]:
    try:
        load_settings(overrides={"data": directory})
    except SettingsError as fault:
        for mistake in str(fault).splitlines()[1:]:
            yield _wrong("settings", mistake.strip(), "docs/reference/configuration.md has all of them")


def _wrong(target: str, problem: str, advice: str) -> Finding:
    return Finding(is_wrong=True, tenant="", target=target, problem=problem, advice=advice)
