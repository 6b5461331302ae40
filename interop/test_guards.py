"""The guard's protocol in other languages: a program for each gives the same answers as the test vectors.

One whose tools are missing fails, with `PASS_OVER=1` is skipped.
"""

import json
import subprocess
import sys
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from interop.guarding import PATIENCE_S, Built
from licet.guard.coverage import read_all

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the vendor of the vectors
from support.guard.guard_vectors import PLACE, VENDOR

VECTORS = Path(__file__).parent.parent / "docs" / "reference" / "guard-vectors.json"
pytestmark = pytest.mark.timeout(900)  # a cold build fetches what it needs


def test_a_guard_gives_every_answer_of_the_vectors(guard: Built) -> None:
    """With what comes with the language alone."""
    found = guard.compare(VECTORS)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.endswith(" 0 wrong\n")


@pytest.mark.parametrize(
    ("section", "at"), [("verdicts", 2), ("signed", 0), ("who", 0), ("scenarios", 3)], ids=str
)
def test_a_guard_finds_an_answer_that_is_another(guard: Built, tmp_path: Path, section: str, at: int) -> None:
    """Else it would compare nothing."""
    content: Any = json.loads(VECTORS.read_text(encoding="utf-8"))
    changed = content[section][at]
    match section:
        case "verdicts":
            changed["reason"] = None
        case "signed":
            changed["terms"]["signed"] += 1
        case "who":
            changed["who"] = "A" * 43
        case _:
            changed["requests"][1]["retry_after"] += 1
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    found = guard.compare(file)
    assert found.returncode == 1
    assert found.stdout.endswith(" 1 wrong\n"), found.stdout


def _signed(claims: str) -> str:
    """A licence with just these bytes as its claims."""
    return VENDOR.sign_bytes(json.dumps(VENDOR.header()).encode(), claims.encode(errors="surrogatepass"))


def _hostile() -> dict[str, str]:
    """Licences that the vendor has signed, each with what another reader might take otherwise."""
    plain = VENDOR.claims(pools={"full": {"seats": 3, "scopes": ["all"]}})
    text = json.dumps(plain)

    def claims(**changed: Any) -> str:
        return json.dumps(plain | changed)

    def pool(**changed: Any) -> str:
        return claims(pools={"full": {"seats": 3, "scopes": ["all"]} | changed})

    written = {
        "as it is": text,
        "a member twice, in another spelling": text.replace('"seats"', '"seats": 9, "seat\\u0073"'),
        "a claim twice": text.replace('"serial"', '"serial": 9, "serial"'),
        "a member twice where nobody looks": text[:-1] + ', "more": [{"a": 1, "a": 1}]}',
        "a fraction where nobody looks": text[:-1] + ', "more": [1.5]}',
        "a large number where nobody looks": text[:-1] + ', "more": 9007199254740992}',
        "minus zero": text[:-1] + ', "more": -0}',
        "half a character": text[:-1] + ', "more": "\\ud800"}',
        "half a character in a name": text[:-1] + ', "\\ud800": 1}',
        "bytes that are not UTF-8": text[:-1] + ', "more": "\ud800"}',
        "a byte order mark": "\ufeff" + text,
        "more behind it": text + " 1",
        "an array": f"[{text}]",
        "a comma too many": text[:-1] + ",}",
        "a comment": text[:-1] + "/**/}",
        "not a number": text[:-1] + ', "more": NaN}',
        "an exponent": text.replace('"seats": 3', '"seats": 3e0'),
        "a leading zero": text.replace('"seats": 3', '"seats": 03'),
        "seats as text": pool(seats="3"),
        "seats as true": pool(seats=True),
        "seats below zero": pool(seats=-1),
        "seats without bound": pool(seats=1_000_001),
        "no hold": pool(hold=0),
        "a short life": pool(access_ttl_max=59),
        "no scopes": pool(scopes=[]),
        "a scope twice": pool(scopes=["all", "all"]),
        "a scope with a blank": pool(scopes=["all view"]),
        "33 scopes": pool(scopes=[f"s{number}" for number in range(33)]),
        "duplicates of another kind": pool(duplicates=["session"]),
        "duplicates that is null": pool(duplicates=None),
        "no pool": claims(pools={}),
        "65 pools": claims(pools={f"p{number}": {"seats": 1, "scopes": ["all"]} for number in range(65)}),
        "a pool that is a list": claims(pools={"full": []}),
        "a pool without a name": claims(pools={"": {"seats": 3, "scopes": ["all"]}}),
        "an end before the beginning": claims(exp=plain["iat"]),
        "grace without an end": claims(grace=1),
        "an end that is null": claims(exp=None),
        "an end as true": claims(exp=True),
        "serial 0": claims(serial=0),
        "a serial without bound": claims(serial=2**31),
        "another vendor's name": claims(iss="other"),
        "no vendor's name": claims(iss=""),
        "a control character": claims(product="jim2\u0000"),
        "an installation of 42 characters": claims(installation="A" * 42),
        "an installation that is null": claims(installation=None),
        "a day that is none": claims(updates_until="2026-02-30"),
        "a day with a line end": claims(updates_until="2027-12-31\n"),
        "must with a claim that is not there": claims(must=["exp"]),
        "must that is text": claims(must="pools"),
        "features that are numbers": claims(features=[1]),
        "no tenant": claims(tenant=None),
        "a customer that is a number": claims(customer=1),
        "a tenant with a line end": claims(tenant="Jim_Test\n"),
        "many levels": text[:-1] + ', "more": ' + "[" * 2000 + "]" * 2000 + "}",
    }
    return {name: _signed(content) for name, content in written.items()}


def _changed() -> dict[str, str]:
    """A good licence with each of its characters changed, lost or another one behind it."""
    text = _signed(json.dumps(VENDOR.claims(pools={"full": {"seats": 3, "scopes": ["all"]}})))
    found = {}
    for at, character in enumerate(text):
        other = "B" if character == "A" else "A"
        found[f"{at} changed"] = text[:at] + other + text[at + 1 :]
        found[f"{at} lost"] = text[:at] + text[at + 1 :]
        found[f"{at} more"] = text[: at + 1] + ("\n", "=", "A")[at % 3] + text[at + 1 :]
    return found


def test_a_guard_judges_a_hostile_licence_as_the_guard_of_licet_does(guard: Built, tmp_path: Path) -> None:
    """Also one of which a character was changed, lost or added: none counts that does not count there."""
    licences = _hostile() | _changed()
    verdicts = []
    for name, text in licences.items():
        _, passed = read_all([text], PLACE)
        verdicts.append({"licence": name, "reason": passed[0].why.value if passed else None})
    assert [it["licence"] for it in verdicts if it["reason"] is None] == ["as it is"]
    content: Any = json.loads(VECTORS.read_text(encoding="utf-8"))
    content |= {"licences": licences, "verdicts": verdicts, "signed": [], "who": [], "scenarios": []}
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    found = guard.compare(file)
    assert found.returncode == 0, found.stdout + found.stderr


class Memory:
    """The memory of the program in C# over a file of SQLite, as one process of an API has it."""

    def __init__(self, program: Built, file: Path) -> None:
        command = [*program.command, "memory", str(file)]
        self._process = subprocess.Popen(
            command, env=program.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def take(self, seat: str, who: str, iat: int, hold_s: int = 60) -> str:
        """What it answers: "in", or the newest `iat` and how long the other must be silent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seat} {who} {iat} {hold_s}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0


def test_processes_in_csharp_share_a_table(csharp: Built, tmp_path: Path) -> None:
    """One holder a seat: another's only `hold` later, by its token's time; what is refused is not kept."""
    one, two = Memory(csharp, tmp_path / "seats.db"), Memory(csharp, tmp_path / "seats.db")
    assert one.take("s", "TC", 1000) == "in"
    assert two.take("s", "MB", 1059) == "1000 60"
    assert two.take("other", "MB", 1059) == "in"
    assert two.take("s", "TC", 990) == "in"  # the same holder, by an older token
    assert one.take("s", "MB", 1060) == "in"
    assert two.take("s", "TC", 1000) == "1060 60"  # though the dictionary of this process has TC
    with connect(tmp_path / "seats.db") as table:
        assert table.execute("SELECT who, iat FROM licet_seat WHERE seat = 's'").fetchall() == [("MB", 1060)]
        table.execute("DELETE FROM licet_seat")
    table.close()
    assert one.take("s", "TC", 1061) == "1060 60"  # by the dictionary: rows that are deleted make no room
    one.close()
    two.close()
