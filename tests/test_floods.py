"""A flood of wrong passwords at a real server: who is held back, and who is not."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from licet.cli.demo import PASSWORD
from running import RunningServer

HOME = "192.0.2.1"
_STRICT = {"login_failures_per_client_max": 5, "login_failures_per_source_max": 3}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that lets a source fail three times in a minute, and a client five times."""
    with RunningServer(tmp_path, manual_clock=True, trusted_proxies="127.0.0.1", **_STRICT) as running:
        yield running


def attempt(
    server: RunningServer, address: str, client_id: str = "TestClientId", password: str = "wrong"
) -> httpx.Response:
    """The answer to a grant from an address."""
    form = {"grant_type": "client_credentials", "scope": "view"}
    headers = {"x-forwarded-for": address}
    return server.http.post("/Jim_Test/token", data=form, auth=(client_id, password), headers=headers)


def test_the_addresses_of_a_64_are_one_and_those_of_a_48_have_a_limit(strict: RunningServer) -> None:
    """RFC 4291 2.5.4, RFC 6177: whoever has one of them has all of them."""
    one = [attempt(strict, f"2001:db8:1:2::{at:x}", f"Nobody{at}").status_code for at in range(8)]
    assert one == [*[401] * 3, *[429] * 5]
    many = [attempt(strict, f"2001:db8:2:{at:x}00::1", f"Nobody{at}").status_code for at in range(60)]
    assert many.count(401) == 16 * 3
    assert attempt(strict, "2001:db8:3::1").status_code == 401


def test_what_a_client_makes_up_is_no_address(strict: RunningServer) -> None:
    """It counts for the proxy that passed it on, and gets into neither the log nor the store."""
    told = [attempt(strict, f"made-up-{at}{'x' * 3000}", f"Nobody{at}").status_code for at in range(5)]
    assert told == [401, 401, 401, 429, 429]
    strict.advance(seconds=60)
    assert attempt(strict, "made-up", password=PASSWORD).status_code == 200
    assert strict.terminate() == 0
    log = strict.log()
    assert "made-up" not in log
    assert '"127.0.0.1"' in log


def test_who_has_a_session_is_known_where_it_comes_from_after_a_restart(strict: RunningServer) -> None:
    """S19: others behind its address have failed too often before it needs to be hashed again."""
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200
    assert strict.terminate() == 0
    strict.start()
    told = [attempt(strict, HOME, f"Nobody{at}").status_code for at in range(4)]
    assert told == [401, 401, 401, 429]
    assert attempt(strict, HOME, "Client1", PASSWORD).status_code == 429
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200


def test_from_many_addresses_a_client_is_guessed_at_a_few_times_beyond_its_limit(
    strict: RunningServer,
) -> None:
    """S19: and whether there is such a client makes no difference; nor is it kept out where it was."""
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200
    for client_id in ("TestClientId", "Nobody"):
        told = [attempt(strict, f"198.51.100.{at}", client_id).status_code for at in range(30)]
        assert told == [*[401] * 15, *[429] * 15]
    assert attempt(strict, HOME).status_code == 401
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200
