"""A restored store does not know which assertions were used since its copy was made: they are refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.credentials.client_assertions import LEEWAY_S, USABLE_S_MAX, may_be_used_before, parse
from licet.journal.restores import keep_restore
from licet.setup.change import changing
from licet.store.opening import SQLITE_NAME
from support.ports import free_port
from support.server.running import PATIENCE_S, RunningServer
from support.web.signing import Signer, claims, proof

ISSUER = "https://licence.example.com"
WHO = "TestClientId"
SIGNER = Signer.new("ES256")
MINUTE_S = 60


class Restored:
    """A server whose client used an assertion after a copy was made; the copy lies beside the store."""

    def __init__(self, server: RunningServer, port: int, copy: Path) -> None:
        self.server = server
        self._url = f"http://127.0.0.1:{port}/Jim_Test/token"
        self._copy = copy
        server.terminate()  # after a kill its committer may keep the file open, and the key out of it
        with server.store() as store, changing(store, "a test") as change:
            change.tenant("Jim_Test").add_key(WHO, SIGNER.key)
        shutil.copy(server.data / SQLITE_NAME, copy)
        server.start()

    def sign(self, **more: Any) -> str:
        """An assertion that is signed now, by the server's clock, and good for half an hour."""
        now_s = self.server.clock.now_ms() / 1000
        return SIGNER.sign(
            claims(WHO, f"{ISSUER}/Jim_Test", now_s=now_s, **{"exp": int(now_s) + 30 * MINUTE_S, **more})
        )

    def send(self, assertion: str) -> int:
        """How it is answered."""
        form = {"grant_type": "client_credentials", **proof(assertion)}
        return httpx.post(self._url, data=form, timeout=PATIENCE_S).status_code

    def restore(self) -> None:
        """Stop the server, put the copy in the place of the store, as the guide says, and start it."""
        self.server.terminate()
        for name in (SQLITE_NAME, f"{SQLITE_NAME}-wal", f"{SQLITE_NAME}-shm"):
            (self.server.data / name).unlink(missing_ok=True)
        shutil.copy(self._copy, self.server.data / SQLITE_NAME)
        with self.server.store() as store:
            keep_restore(store, "a test", "from a copy")
        self.server.start()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Restored]:
    """A server whose clock stands still, by one name wherever it listens."""
    data = tmp_path / "data"
    data.mkdir()
    port = free_port()
    with RunningServer(data, manual_clock=True, port=port, public_url=ISSUER) as server:
        yield Restored(server, port, tmp_path / "copy.db")


def test_an_assertion_that_was_used_before_a_restore_is_refused_after_it(site: Restored) -> None:
    """RFC 7523 3, 7: also after a second start; one that is signed a minute later is let in."""
    used = site.sign()
    assert site.send(used) == 200
    site.restore()
    assert site.send(used) == 401
    site.server.advance(seconds=LEEWAY_S + 1)
    site.server.kill()
    site.server.start()
    assert site.send(used) == 401
    assert site.send(site.sign()) == 200


def test_without_iat_what_it_says_of_its_end_counts(site: Restored) -> None:
    """It may have been signed at any moment of an hour; when all of these have expired, it is as before."""
    used = site.sign(iat=None)
    assert site.send(used) == 200
    site.restore()
    assert site.send(used) == 401
    site.server.advance(seconds=LEEWAY_S + 1)
    assert site.send(site.sign(iat=None)) == 401
    site.server.advance(seconds=USABLE_S_MAX)
    assert site.send(site.sign(iat=None)) == 200


@pytest.mark.parametrize(
    ("said", "first_s"),
    [
        ({"iat": 1000, "exp": 1060}, 1000 - LEEWAY_S),
        ({"iat": None, "exp": 5000}, 5000 - 3600 - LEEWAY_S),
        ({"iat": 1000, "nbf": 1200, "exp": 1300}, 1200 - LEEWAY_S),
        ({"iat": 1000, "exp": 9000}, 9000 - 3600 - LEEWAY_S),
    ],
)
def test_the_first_moment_at_which_it_can_have_been_used_is_known(said: dict[str, Any], first_s: int) -> None:
    """A client's clock may be fast by the leeway."""
    assertion = parse(SIGNER.sign(claims(WHO, ISSUER, **said)))
    assert not may_be_used_before(assertion, first_s * 1000)
    assert may_be_used_before(assertion, first_s * 1000 + 1)
