"""An options file of FlexNet or RLM, taken over while a server runs: who gets a seat then, over HTTP."""

from pathlib import Path

import pytest

from licet.cli.run.demo import TENANT
from support.cli.command_line import run
from support.server.running import RunningServer

FLEXNET = """\
# 5 licences
GROUP night_shift carl dora
GROUP staff anne bob erik
INCLUDE full GROUP night_shift
INCLUDE full GROUP staff
EXCLUDE full USER bob
RESERVE 4 full GROUP night_shift
NOLOG QUEUED
"""
RLM = """\
group night_shift Carl Dora
group staff anne bob erik
include full group night_shift
include full group staff
exclude full user bob
reserve 4 full group NIGHT_SHIFT
rotate daily
"""
USERS = "anne=C1\nbob=C2\ncarl=C3\ndora=C4\nerik=C5\n"


@pytest.mark.parametrize("text", [FLEXNET, RLM], ids=["flexnet", "rlm"])
def test_who_had_a_licence_there_has_a_seat_here(tmp_path: Path, text: str) -> None:
    """And nobody else: excluded, not included, or kept out by a reserve."""
    (tmp_path / "sales.opt").write_text(text)
    (tmp_path / "users").write_text(USERS)
    setup = tmp_path / "licet-setup.toml"
    with RunningServer(tmp_path) as server:
        run(
            *("import-options", str(tmp_path / "sales.opt"), "--users", str(tmp_path / "users")),
            *("--leave-out", "all", "-o", str(setup)),
            LICET_DATA=str(server.data),
        )
        run("apply", str(setup), LICET_DATA=str(server.data))
        server.notice()
        assert reason(server, "Client1") is None  # anne, the one seat that nobody has reserved
        assert reason(server, "Client2") == "excluded"  # bob
        assert reason(server, "Client6") == "not_included"
        assert reason(server, "Client3") is None  # carl
        assert reason(server, "Client4") is None  # dora
        assert reason(server, "Client5") == "reserved"  # erik, though two are free
        assert reason(server, "Client1") is None


def reason(server: RunningServer, client_id: str) -> str | None:
    """Why a client is denied, if it is."""
    answer = server.ask(f"{TENANT}/token", client_id, grant_type="client_credentials")
    return None if answer.status_code == 200 else str(answer.json()["reason"])
