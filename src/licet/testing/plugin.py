"""Defines the fixtures `licet`, `licet_tenant` and `licet_server_factory`.

pytest imports this module in every run where Licet is installed. So it imports only pytest, and what a
fixture needs when the fixture is used.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from licet.testing import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from licet.testing.tenant import LicetServer, LicetServerFactory, LicetTenant

_LOG_CHARS_MAX = 20_000  # a guess: nobody reads more of a failed test


def pytest_configure(config: pytest.Config) -> None:
    """Register `@pytest.mark.licet`."""
    config.addinivalue_line(
        "markers", "licet(...): the tenant that `licet_tenant` is, by the arguments of LicetServer.tenant"
    )


@pytest.fixture(scope="session")
def licet_server_factory(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[LicetServerFactory]":
    """Starts servers with settings of their own; they end with the session, or with their block."""
    with ExitStack() as running:

        def start(*, manual_clock: bool = True, **settings: object) -> "LicetServer":
            try:
                from licet.testing import LicetServer, NotStarted  # noqa: PLC0415 - see above

                directory = tmp_path_factory.mktemp("licet")
                server = LicetServer(directory, manual_clock=manual_clock, **settings)
            except ServerMissing as fault:
                raise _failed(fault) from None
            except NotStarted as fault:
                raise _failed(fault) from None
            return running.enter_context(server)

        yield start


@pytest.fixture(scope="session")
def _licet_shared(licet_server_factory: "LicetServerFactory") -> "_Shared":
    return _Shared(licet_server_factory)


@pytest.fixture
def licet(request: pytest.FixtureRequest, _licet_shared: "_Shared") -> "Iterator[LicetServer]":
    """A running Licet without tenants, whose clock stands still until the test moves it."""
    server = _licet_shared.ready()
    before = len(server.log())
    yield server
    log = server.log()[before:][-_LOG_CHARS_MAX:]
    request.node.add_report_section("teardown", "what Licet logged", log)
    try:
        server.clear()
    except RuntimeError as fault:
        raise _failed(fault) from None


@pytest.fixture
def licet_tenant(request: pytest.FixtureRequest, licet: "LicetServer") -> "LicetTenant":
    """A tenant: `Jim_Test` with 5 seats and the client `TestClientId`, or what `@pytest.mark.licet` says."""
    marker = request.node.get_closest_marker("licet")
    return licet.tenant(*marker.args, **marker.kwargs) if marker else licet.tenant()


class _Shared:
    """The server that the tests of a process share, one after the other.

    A new one is started when a test has moved the clock beyond the machine's, because a clock never goes
    back, and when the old one has ended.
    """

    def __init__(self, start: "Callable[[], LicetServer]") -> None:
        self._start = start
        self._server: LicetServer | None = None

    def ready(self) -> "LicetServer":
        """A server in the state of a new one."""
        if self._server is not None and not self._server.is_as_new:
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = self._start()
        self._server.clear()
        return self._server


def _failed(fault: Exception) -> BaseException:
    """The failure of a test whose server did not start: the text alone, without our frames."""
    return pytest.fail.Exception(str(fault), pytrace=False)
