"""Many operations under faults are made in parts, and who asks again goes on where it was broken off."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.campaign import PARTS, Part, in_all, make_many, read_parts
from chaos.run import Options
from chaos.site import apis, nodes, postgres
from chaos.site.postgres import PostgresDatabase
from support.server.nursery import has_forked

OPTIONS = Options(
    seed=1,
    seconds=0,
    nodes=2,
    share=0.4,
    apis=1,
    faults=("kill committer",),
    calm_s=0,
    expiries=0,
    is_quiet=True,
)


def a_part(operations: int, **findings: int) -> Part:
    """What came of one."""
    return Part(
        seed=1,
        store="sqlite",
        operations=operations,
        granted=1,
        denied=2,
        unanswered=3,
        faults=4,
        seconds=5.0,
        findings=findings,
        checked={},
    )


def kept(directory: Path, *parts: Part, cut_short: bytes = b"") -> Path:
    """A directory in which these were made."""
    lines = b"".join(msgspec.json.encode(part) + b"\n" for part in parts)
    (directory / PARTS).write_bytes(lines + cut_short)
    return directory


def test_a_part_whose_line_was_cut_short_is_none(tmp_path: Path) -> None:
    """It is made again."""
    parts = [a_part(10), a_part(20)]
    whole = kept(tmp_path, *parts, cut_short=msgspec.json.encode(a_part(30))[:-5])
    assert read_parts(whole / PARTS) == parts
    assert read_parts(tmp_path / "nothing") == []


@pytest.mark.parametrize(("findings", "code"), [({}, 0), ({"over_issued": 1}, 1)])
def test_nothing_is_made_where_all_is_there(tmp_path: Path, findings: dict[str, int], code: int) -> None:
    """And what was found in a part of before still counts."""
    directory = kept(tmp_path, a_part(60, **findings), a_part(40))
    assert make_many(OPTIONS, directory, 100, 50) == code
    assert {path.name for path in directory.iterdir()} == {PARTS}


def test_all_parts_are_summed(tmp_path: Path) -> None:
    """With what was found in any of them."""
    del tmp_path
    said = in_all([a_part(600), a_part(400, tables=2)])
    assert "1,000 operations in 2 parts" in said
    assert said.endswith("2 findings")


@pytest.mark.wide
def test_a_part_that_was_broken_off_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its beginning, as nobody knows what was broken when it ended."""
    has_forked(monkeypatch, apis, nodes)
    directory = kept(tmp_path, a_part(50))
    (directory / "2").mkdir()
    (directory / "2" / "run.history").write_text("of before")
    assert make_many(OPTIONS, directory, 51, 100) == 0
    made = read_parts(directory / PARTS)
    assert len(made) == 2
    assert made[1].operations > 0
    assert made[1].seed != OPTIONS.seed
    assert not (directory / "2").exists()


class _Server:
    data = Path("/nowhere")
    starts = 0

    def start(self) -> None:
        self.starts += 1


class _Database(PostgresDatabase):
    """A primary that answers once it has been started again. `lives` is what runs at each look."""

    primary, _with_standby = 0, False

    def __init__(self, *lives: list[int]) -> None:
        self.server, self._lives = _Server(), list(lives)

    def pids(self, *_: object) -> list[int]:
        return self._lives.pop(0) if len(self._lives) > 1 else self._lives[0]

    def answers(self) -> bool:
        return self.server.starts > 0

    def crash(self) -> None:
        self._lives = [[]]

    def _first(self) -> Any:
        return self.server


def test_a_primary_that_ends_only_while_it_is_waited_for_is_started() -> None:
    """A full disk may end it when everything else is mended: else the run would wait for it in vain."""
    database = _Database([1], [1], [], [2])
    database.mend()
    assert database.server.starts == 1


def test_a_primary_that_runs_and_does_not_recover_is_killed_and_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A PostgreSQL whose startup process failed may wait for it for ever."""
    monkeypatch.setattr(postgres, "RECOVERY_S", 0.0)
    database = _Database([1])
    database.mend()
    assert database.server.starts == 1
