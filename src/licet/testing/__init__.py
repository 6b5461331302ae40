"""The test kit runs a real Licet for the tests of programs and APIs: `licet`, a fixture of pytest.

    def test_it_says_that_no_licence_is_free(licet: LicetServer) -> None:
        tenant = licet.tenant("Jim_Test", seats=1, clients=["Alpha", "Beta"])
        with tenant.full_pool():
            ...  # what the program does now

`plugin.py` has the fixtures. They start a server in a process of its own, with its own data, whose clock
stands still until the test moves it. It needs `licet[server]`; no other part of Licet may import it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from licet.journal.denials import DenialRange
    from licet.reports.live import LiveSession
    from licet.testing.process import NotStarted
    from licet.testing.tenant import LicetServer, LicetServerFactory, LicetTenant

__all__ = [
    "DenialRange",
    "LicetServer",
    "LicetServerFactory",
    "LicetTenant",
    "LiveSession",
    "NotStarted",
    "ServerMissing",
]

_PLACES = {
    "DenialRange": "licet.journal.denials",
    "LicetServer": "licet.testing.tenant",
    "LicetServerFactory": "licet.testing.tenant",
    "LicetTenant": "licet.testing.tenant",
    "LiveSession": "licet.reports.live",
    "NotStarted": "licet.testing.process",
}


class ServerMissing(ImportError):
    """The server's packages are not installed; the text says how to install them."""


if not TYPE_CHECKING:  # every run of pytest imports this module, and most do not use it

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        try:
            return getattr(import_module(_PLACES[name]), name)
        except ModuleNotFoundError as missing:
            if missing.name is None or missing.name.partition(".")[0] == "licet":
                raise
            from licet.extras import how_to_install  # noqa: PLC0415 - as above

            raise ServerMissing(
                f"licet.testing starts a server, and {missing.name} is missing: {how_to_install('server')}"
            ) from None
