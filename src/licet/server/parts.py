"""Holds what one server is made of: put together once, in `wiring.py`, for the listeners and the upkeep."""

from typing import NamedTuple

from licet.credentials.passwords import Passwords
from licet.lanes.contract import Submitter
from licet.ledger.commands import Command, Outcome
from licet.log import Log
from licet.server.keys import Keys
from licet.server.node import ThisNode
from licet.settings.model import Settings
from licet.store.contract import Store
from licet.telemetry.measures import Measures
from licet.web.authentication import Authenticator
from licet.web.http.certificate import Certificate
from licet.web.log_rate_limit import LogRateLimit
from licet.web.recording import Recorder
from licet.web.sessions_read import Read
from licet.web.waiting import WaitingRequests


class Parts(NamedTuple):
    """The parts; `dashboard_url` is '' where there is no admin listener."""

    settings: Settings
    version: str
    public_url: str
    dashboard_url: str
    certificate: Certificate | None
    log: Log
    refusals: LogRateLimit
    measures: Measures
    keys: Keys
    store: Store
    node: ThisNode
    recorder: Recorder
    passwords: Passwords
    authenticator: Authenticator
    commits: Submitter[Command, Outcome]
    reads: Submitter[bytes, Read]
    waiting: WaitingRequests

    @property
    def trouble(self) -> str:
        """Why this server should get no requests, as `/health/ready` says it; '' where it should."""
        return self.commits.trouble or self.node.trouble

    @property
    def is_ready(self) -> bool:
        """Whether this server should get requests."""
        return not self.trouble
