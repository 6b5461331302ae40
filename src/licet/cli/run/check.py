"""Runs `licet check`: finds what is wrong with a set-up, from file modes to clients, and lists the nodes."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from licet.cli.errors import KEYRING_ADVICE
from licet.cli.options import AsJson, Data
from licet.cli.output import Instant, Record, note, say, show_json, show_list
from licet.cli.run.check_advice import advice_of
from licet.cli.stores import data_directory, opened, store_at
from licet.cli.suggested_options import of_data
from licet.clock import wall_ms
from licet.credentials.keyring import FILE_NAME, KeyringUnusable, fingerprint, read_keyring
from licet.formats import counted, instant
from licet.platforms import files
from licet.platforms.shells import quoted
from licet.settings.load import SettingsError, load_settings
from licet.setup.check import Finding, FindingCode, check_nodes
from licet.setup.check import check as check_store
from licet.setup.sessions_ahead import until_when_ahead
from licet.setup.signed_limits import any_signed
from licet.store.contract import Store
from licet.store.errors import SchemaOutdated, SchemaUnknown, SetupDamaged, StoreUnavailable
from licet.store.nodes import Node, is_silent, must_be_writable, read_nodes
from licet.store.opening import SQLITE_NAME

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOM_MIN = 500_000_000  # bytes; a log is kept at 384 MiB, and the file grows beside it
RENEWED_BEFORE_S = 14 * 86_400  # programs that renew do so 30 days before: then something is wrong with them
_HEADINGS = {
    "name": "node",
    "version": "version",
    "schema": "schema",
    "started_at": "since",
    "seen_at": "last seen",
    "skew": "clock",
    "token_keys": "keys",
}


class _Found(NamedTuple):
    nodes: list[Record]
    findings: list[Finding]
    names_tenant: bool = False  # there are several, so a line has to name it


def check(*, data: Data = None, as_json: AsJson = False) -> None:
    """Find mistakes in a set-up, and say how to correct them. Exit code 1 if there are any.

    It also lists the nodes: the servers that work on the store.

    Example: [bold]licet check[/]
    """
    directory = data_directory(data)
    nodes, of_store, names_tenant = _look_at_store(directory)
    findings = [*of_store, *_file_findings(directory, data), *_settings_findings(directory)]
    findings += _certificate_findings(directory)
    if as_json:
        show_json(
            {
                "nodes": nodes,
                "findings": [_record(finding, data, names_tenant=names_tenant) for finding in findings],
            }
        )
    else:
        _print(nodes, findings, data, names_tenant=names_tenant)
    wrong = sum(finding.is_wrong for finding in findings)
    if wrong:
        note(f"{counted(wrong, 'thing')} to correct.")
        raise typer.Exit(1)


def _print(nodes: list[Record], findings: list[Finding], data: Path | None, *, names_tenant: bool) -> None:
    if nodes:
        show_list([{**node, "skew": _skew(node)} for node in nodes], _HEADINGS, empty="")
        say("")
    for finding in findings:
        where = ", ".join(filter(None, (finding.tenant, finding.target)))
        advice = advice_of(finding, names_tenant=names_tenant, data=data)
        say(f"{_kind(finding)}: {where}: {finding.problem}\n  {advice}")
    if not findings:
        say("Nothing is wrong.")


def _skew(node: Record) -> str:
    skew_ms = node["skew_ms"]
    assert isinstance(skew_ms, int)
    return f"{skew_ms / 1000:+.1f} s" if skew_ms else "right"


def _node_record(node: Node, now_ms: int) -> Record:
    return {
        "name": node.name,
        "version": node.version,
        "schema": node.schema,
        "url": node.url,
        "started_at": Instant(node.started_at_ms),
        "seen_at": Instant(node.seen_at_ms),
        "silent": is_silent(node, now_ms),
        "skew_ms": node.skew_ms,
        "token_keys": [mark.text for mark in node.token_keys],
        "pepper": node.pepper,
    }


def _record(finding: Finding, data: Path | None, *, names_tenant: bool) -> dict[str, str]:
    return {
        "kind": _kind(finding),
        "code": finding.code.value,
        "tenant": finding.tenant,
        "target": finding.target,
        "problem": finding.problem,
        "advice": advice_of(finding, names_tenant=names_tenant, data=data),
    }


def _kind(finding: Finding) -> str:
    return "wrong" if finding.is_wrong else "hint"


def _look_at_store(directory: Path) -> _Found:
    try:
        at = store_at(directory)
    except SettingsError:  # Reported as findings; until they are correct, the store is unknown.
        return _Found([], [])
    where = SQLITE_NAME if at.url is None else at.place
    insecure = [_wrong(FindingCode.CONNECTION_INSECURE, where, *weakness) for weakness in at.weaknesses()]
    try:
        with opened(at) as store, store.reading() as connection:
            now_ms, nodes = store.clock.now_ms(), read_nodes(connection)
            findings = check_nodes(
                nodes,
                now_ms,
                many_machines=store.differences.many_machines,
                own_pepper=_own_pepper(directory),
                are_signed=any_signed(store.tenants().values()),
            )
            findings += [*insecure, *check_store(connection, store.tenants(), now_ms)]
            records = [_node_record(node, now_ms) for node in nodes]
            findings = [*_writing_findings(store, where), *findings, *_ahead(connection, now_ms, directory)]
            if at.url is None:
                findings += _disk_findings(directory)
            return _Found(records, findings, names_tenant=len(store.tenants()) > 1)
    except SchemaOutdated as fault:
        problem, advice = str(fault.__cause__), f"licet migrate --data {quoted(str(directory))}"
        return _Found([], [_wrong(FindingCode.SCHEMA_OUTDATED, where, problem, advice)])
    except SchemaUnknown as fault:
        problem, advice = str(fault.__cause__), "use that version"
        return _Found([], [_wrong(FindingCode.SCHEMA_UNKNOWN, where, problem, advice)])
    except SetupDamaged as fault:
        return _Found([], [_wrong(FindingCode.TABLES_DAMAGED, "tables", str(fault), "repair that row")])


def _writing_findings(store: Store, where: str) -> Iterator[Finding]:
    """Whether the store takes in what is written: it may be read on a disk that is full or read-only."""
    try:
        must_be_writable(store)
    except StoreUnavailable as fault:
        advice = "until it can be written, every grant is answered 503; docs/how-to/when-the-machine-fails.md"
        yield _wrong(FindingCode.STORE_NOT_WRITABLE, where, str(fault), advice)


def _ahead(connection: "Connection", now_ms: int, directory: Path) -> Iterator[Finding]:
    """Whether there are sessions of a time when the clock was ahead."""
    if (until_ms := until_when_ahead(connection, now_ms)) is not None:
        problem = f"the clock was ahead when some began; they keep their seats until {instant(until_ms)}"
        advice = f"licet session end --all{of_data(directory)}; docs/how-to/when-the-machine-fails.md"
        yield _wrong(FindingCode.SESSIONS_AHEAD, "sessions", problem, advice)


def _disk_findings(directory: Path) -> Iterator[Finding]:
    """Whether the disk has room for the log of SQLite, less what that has already."""
    log = directory / f"{SQLITE_NAME}-wal"
    room = files.free_bytes(directory) + (log.stat().st_size if log.exists() else 0)
    if room < ROOM_MIN:
        problem = f"its disk has {room // 1_000_000} MB left"
        advice = f"free some space, or enlarge it: the store wants {ROOM_MIN // 1_000_000} MB for its log"
        yield _wrong(FindingCode.DISK_NEARLY_FULL, str(directory), problem, advice)


def _own_pepper(directory: Path) -> str | None:
    try:
        return fingerprint(read_keyring(directory / FILE_NAME).pepper)
    except KeyringUnusable:  # reported as a finding
        return None


def _file_findings(directory: Path, data: Path | None) -> Iterator[Finding]:
    for path in (directory, directory / SQLITE_NAME):
        if path.exists() and files.is_open_to_others(path):
            advice = files.how_to_close(path, is_directory=path == directory)
            yield _wrong(FindingCode.FILE_READABLE, str(path), "it can be read by others", advice)
    try:
        read_keyring(directory / FILE_NAME)
    except KeyringUnusable as fault:
        advice = f"{fault.advice}{KEYRING_ADVICE.get(fault.code, '').format(at=of_data(data))}"
        yield _wrong(FindingCode.KEYRING_UNUSABLE, FILE_NAME, fault.problem, advice)


def _settings_findings(directory: Path) -> Iterator[Finding]:
    try:
        load_settings(overrides={"data": directory})
    except SettingsError as fault:
        advice = "docs/reference/configuration.md has all of them"
        for mistake in fault.mistakes:
            yield _wrong(FindingCode.SETTINGS_WRONG, "settings", mistake, advice)


def _certificate_findings(directory: Path) -> Iterator[Finding]:
    """Whether the server's certificate can be used, and for long enough to renew it."""
    with suppress(SettingsError):
        settings = load_settings(overrides={"data": directory})
        certificate, key = settings.tls_certificate, settings.tls_key
        if certificate is None or key is None:
            return
        from licet.web.http import certificate as tls

        try:
            tls.context_of(certificate, key)
            expires_at_s = tls.expiry_of(certificate)
        except tls.CertificateUnusable as unusable:
            advice = "put back the pair from before; servers that run still use it"
            yield _wrong(FindingCode.CERTIFICATE_UNUSABLE, "tls_certificate", str(unusable), advice)
            return
        now_s = wall_ms() // 1000
        if expires_at_s < now_s + RENEWED_BEFORE_S:
            problem = f"it {'expires' if expires_at_s > now_s else 'expired'} {instant(expires_at_s * 1000)}"
            advice = "renew it; servers that run use the new one without a restart"
            yield _wrong(FindingCode.CERTIFICATE_EXPIRES, str(certificate), problem, advice)


def _wrong(code: FindingCode, target: str, problem: str, advice: str) -> Finding:
    return Finding(is_wrong=True, code=code, tenant="", target=target, problem=problem, advice=advice)
