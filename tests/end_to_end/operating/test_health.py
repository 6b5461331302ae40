"""What a load balancer asks a server, and what it is answered without a store."""

import resource
import shutil
from pathlib import Path

from licet.store.opening import SQLITE_NAME
from support.server.callers import GRANT, TENANT
from support.server.operating import events, health, told_of_health
from support.server.running import RunningServer, children
from support.waiting import until


def _looks_in_vain(server: RunningServer) -> list[str]:
    """What the log has of looks at the set-up that found no store."""
    return [it["detail"] for it in events(server.log()) if it.get("what") == "look"]


class TestHealth:
    """What a load balancer asks."""

    def test_a_server_is_ready_while_its_store_is_where_it_was(self, tmp_path: Path) -> None:
        """Product 3: 503 without it, and never `invalid_client`; a copy of a store is not the store."""
        with RunningServer(tmp_path) as server:
            file, away = tmp_path / SQLITE_NAME, tmp_path / "away"
            assert (health(server, "live"), health(server, "ready")) == (200, 200)
            file.rename(away)
            self._must_be_unavailable(server)
            silent = "The server is not ready: the store does not answer."
            until(lambda: told_of_health(server) == (503, silent))
            until(lambda: bool(_looks_in_vain(server)))
            assert health(server, "live") == 200
            shutil.copy(away, file)
            self._must_be_unavailable(server)
            assert health(server, "ready") == 503
            away.rename(file)
            until(lambda: health(server, "ready") == 200)
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            told = _looks_in_vain(server)
            assert len(told) == len(set(told)) > 0  # once each, not four times a second

    def test_a_server_is_not_ready_while_its_store_takes_nothing_in(self, tmp_path: Path) -> None:
        """A disk that is full: who asks is answered, who commits is not, and a balancer has to know."""
        with RunningServer(tmp_path) as server:
            server.ask(f"{TENANT}/token", **GRANT).raise_for_status()
            # The log may not grow, but a store that only reads needs nothing of it.
            limited = [server.process.pid, *children(server.process.pid)]
            before = [resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, -1)) for pid in limited]
            self._must_be_unavailable(server)
            status, told = told_of_health(server)
            assert status == 503
            assert "has accepted no write since" in told
            assert health(server, "live") == 200
            for pid, limit in zip(limited, before, strict=True):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
            until(lambda: health(server, "ready") == 200)
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200

    @staticmethod
    def _must_be_unavailable(server: RunningServer) -> None:
        refused = server.ask(f"{TENANT}/token", **GRANT)
        assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
        assert int(refused.headers["retry-after"]) >= 1
