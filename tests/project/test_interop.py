"""The interop suite's own judgement, without a client: what it reads, believes, writes and skips."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from interop import __main__ as suite
from interop import installing, manifest, page
from interop.installing import Missing, installed
from interop.manifest import PROTECTIONS, SCENARIOS, Manifest, ManifestError
from interop.program import Program, ProgramFailed
from interop.recorder import asked
from interop.run import Part
from interop.scenarios import spelling, visible
from interop.site import ACCENT, SPECIAL

NO_SEAT = {"code": "temporarily_unavailable", "status": 400, "reason": "all_in_use"}
REFUSED = {"ok": False, "raised": "Error", "text": "temporarily_unavailable: All 5 seats are in use."}
A_CLIENT = Manifest(name="a/client", folder=Path(), language="", library="", run=(), expect={})


def test_the_page_is_what_the_manifests_make_of_it() -> None:
    """`make interop WRITE=1` writes docs/reference/interoperability.md."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.put(text, manifest.clients(), manifest.resource_servers()) == text


@pytest.mark.parametrize(
    "made", manifest.clients() + manifest.resource_servers(), ids=lambda named: named.name
)
def test_every_outcome_on_the_page_is_a_word_and_has_a_version(made: Manifest) -> None:
    """What nobody has seen yet is no row of the page."""
    assert made.version
    assert all(made.expect.values())


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for one client's manifest."""
    monkeypatch.setattr(manifest, "CLIENTS", tmp_path)
    (tmp_path / "go").mkdir()
    return tmp_path / "go" / "client.toml"


def _toml(scenarios: tuple[str, ...], more: str = "") -> str:
    lines = "\n".join(f'{name} = "token"' for name in scenarios)
    return f'language = "Go"\nlibrary = "a library"\nrun = ["./client"]\n{more}\n[expect]\n{lines}\n'


def test_a_manifest_names_every_scenario(clients: Path) -> None:
    """A scenario that is left out would never be looked at."""
    clients.write_text(_toml(SCENARIOS), encoding="utf-8")
    assert [it.name for it in manifest.clients()] == ["go/client"]
    clients.write_text(_toml(SCENARIOS[1:]), encoding="utf-8")
    with pytest.raises(ManifestError, match="private_key_jwt"):
        manifest.clients()


@pytest.mark.parametrize(
    "text", [_toml(PROTECTIONS), _toml(SCENARIOS, "misspelt = 1"), "language = ", "[expect]"]
)
def test_a_manifest_that_is_none_is_told_with_its_name(clients: Path, text: str) -> None:
    """Another's scenarios, another member, no TOML, nothing in it."""
    clients.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"client\.toml"):
        manifest.clients()


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"unsupported": "has no token"}, "unsupported"),
        ({**REFUSED, **NO_SEAT, "retry_after": 30}, "code status reason retry_after"),
        ({**REFUSED, **NO_SEAT, "by_hand": True}, "code status reason by_hand"),
        ({**REFUSED, "status": 400}, "text status"),
        ({"raised": "Error", "text": "something is wrong"}, "nothing"),
        ({**REFUSED, "code": None, "retry_after": None}, "text"),
    ],
)
def test_what_a_caller_can_see_is_told_in_a_fixed_order(answer: dict[str, Any], seen: str) -> None:
    """The code in the message is not the code: nobody should cut it out."""
    assert visible({"ok": False, **answer}, NO_SEAT) == seen


@pytest.mark.parametrize("lie", [{"code": "invalid_client"}, {"status": 401}, {"reason": "rate_limited"}])
def test_a_caller_that_is_told_something_else_is_a_fault(lie: dict[str, Any]) -> None:
    """A member that is there has to be true."""
    with pytest.raises(AssertionError, match="the caller is reported as"):
        visible({**REFUSED, **lie}, NO_SEAT)


def test_a_token_where_there_must_be_none_is_a_fault() -> None:
    """L1: no seat, no token."""
    with pytest.raises(AssertionError, match="no token"):
        visible({"ok": True, "access_token": "lca_"}, NO_SEAT)


@pytest.mark.parametrize(
    ("sent", "who", "how"),
    [
        (b"+ %41&=:+ %41:&=x", SPECIAL, "as they are"),
        (b"%2B+%2541%26%3D:%2B+%2541%3A%26%3Dx", SPECIAL, "form-encoded"),
        (b"%2B%20%2541%26%3D:%2B%20%2541%3A%26%3Dx", SPECIAL, "form-encoded"),
        (b"cl\xe9:un secret \xe0 cl\xe9", ACCENT, "as they are, in Latin-1"),
        (b"cl\xc3\xa9:un secret \xc3\xa0 cl\xc3\xa9", ACCENT, "as they are"),
    ],
)
def test_the_spelling_of_basic_is_seen_on_the_wire(sent: bytes, who: Any, how: str) -> None:
    """RFC 6749 2.3.1 and App. B; RFC 7617 2."""
    assert spelling(sent, who) == how


@pytest.mark.parametrize(
    ("authorization", "body", "by"),
    [
        (b"Basic Y2xpZW50OnNlY3JldA==", b"grant_type=client_credentials", "basic"),
        (b"basic Y2xpZW50OnNlY3JldA==", b"client_id=client", "basic"),
        (b"Basic no Base64", b"", "basic"),
        (b"", b"client_id=client&client_secret=secret", "body"),
        (b"", b"client_id=client&client_assertion=a.b.c", "private_key_jwt"),
        (b"Bearer lca_", b"", "bearer"),
        (b"", b"client_id=client", "none"),
    ],
)
def test_how_a_client_authenticates_is_seen_on_the_wire(authorization: bytes, body: bytes, by: str) -> None:
    """RFC 6749 2.3.1, RFC 6750 2.1, RFC 7523 2.2."""
    headers = {b"authorization": authorization} if authorization else {}
    assert asked("/Jim_Test/token", 200, headers, body).by == by


@pytest.mark.parametrize("said", ["", "no JSON", "[]", '{"ok": "yes"}'])
def test_a_program_that_keeps_not_to_the_protocol_is_told_with_what_it_complained_of(
    tmp_path: Path, said: str
) -> None:
    """It reads no more than a line, and ends."""
    code = f"import sys; sys.stdin.readline(); print({said!r}); sys.stderr.write('a complaint')"
    with (
        Program((sys.executable, "-c", code), tmp_path, tmp_path / "errors") as program,
        pytest.raises(ProgramFailed, match=r"hello was answered (?s:.*)complaint"),
    ):
        program.ask("hello")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="asks the packages of Debian")
def test_a_part_of_what_a_client_needs_is_not_taken_for_the_whole() -> None:
    """A compiler that is there without its libraries: the package that is missing is installed or told."""
    wanting = Manifest(**{**vars(A_CLIENT), "needs": ("sh",), "install": ("dpkg", "licet-no-such-package")})
    assert installing._absent_packages(wanting) == ["licet-no-such-package"]


def test_a_client_whose_tool_is_not_there_is_missing() -> None:
    """The reason names the tool."""
    wanting = Manifest(**{**vars(A_CLIENT), "needs": ("no-such-program",)})
    with pytest.raises(Missing, match="no-such-program"):
        installed(wanting)


@pytest.mark.parametrize(
    ("pass_over", "part", "code"),
    [
        ("", Part(manifest=A_CLIENT), 0),
        ("1", Part(manifest=A_CLIENT, missing="there is no go"), 0),
        ("", Part(manifest=A_CLIENT, missing="there is no go"), 1),
        ("", Part(manifest=A_CLIENT, faults=("view: seen was 'nothing'",)), 1),
    ],
)
def test_what_is_missing_fails_unless_somebody_says_that_it_is_to_be_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pass_over: str, part: Part, code: int
) -> None:
    """Nothing is left out in silence."""
    monkeypatch.setenv("PASS_OVER", pass_over)
    suite.report(part)
    assert suite.result([part], []) == code
    told = capsys.readouterr().out
    word = "SKIPPED" if pass_over else "MISSING"
    assert (f"{word}  a/client: there is no go" in told) == bool(part.missing)
    assert f"{int(bool(part.missing))} {word}" in told
    assert suite.result([], ["the page is out of date"]) == 1
