"""Nodes of the version before and of this one work on one store, and nothing of the licence is broken.

`python -m chaos upgrade` does the same for longer.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.checks.checker import check
from chaos.history import read_history
from chaos.report import summary
from chaos.run import Options
from chaos.site.previous import COMMIT, ROOT, VERSION, NoHistory, unpack
from chaos.upgrade import REPLACED, Upgrade


def test_a_clone_without_history_says_how_to_get_the_version_before(tmp_path: Path) -> None:
    """It names the commit; nothing is fetched by itself."""
    with pytest.raises(NoHistory, match=f"{VERSION}.*{COMMIT}.*git fetch --unshallow"):
        unpack(tmp_path / "previous", repository=tmp_path)


def is_shallow() -> bool:
    """Whether these sources have no history, or not all of it."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--is-shallow-repository"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.returncode != 0 or said.stdout.strip() == "true"


@pytest.mark.wide
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("store", "nodes"), [("postgres", 2), ("sqlite", 1)])
def test_nothing_is_found_while_one_node_after_the_other_is_replaced(
    tmp_path: Path, store: str, nodes: int
) -> None:
    """L2 to L6, L8, L9, L11: old and new nodes between `pre` and `post`, with kills; on SQLite by turns."""
    try:
        previous = unpack(tmp_path / "previous")
    except NoHistory:
        assert is_shallow()
        return
    where = [sys.executable, "-c", "import licet; print(licet.__file__)"]
    loaded = subprocess.run(
        where, env={"PYTHONPATH": str(previous)}, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.startswith(str(previous))
    (tmp_path / "run").mkdir()
    options = Options(
        seed=20_261_128,
        seconds=0,
        store=store,
        nodes=nodes,
        share=0.4,
        apis=1,
        rest_operations=300,
        calm_s=0,
        expiries=0,
        is_quiet=True,
    )
    upgrade = Upgrade(options, tmp_path / "run", previous, turns=1)
    report = check(read_history(upgrade.run()))
    assert report.is_clean, summary(report)
    assert report.faults[REPLACED] == nodes
    assert len(upgrade.steps) == 3
    assert report.outcomes["grant granted"] > 100
