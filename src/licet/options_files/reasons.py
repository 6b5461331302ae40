"""Says why an option of another licence server has no counterpart here: each reason once."""

from typing import Final

HOST: Final = (
    "behind a proxy a host, a display or an address proves nothing; name users or groups, or leave it out"
)
PROJECT: Final = "a program says itself for which project it runs, which proves nothing"
SOME_LICENCES: Final = (
    "a pool has one kind of seat; if these licences are a pool of their own here, name it with --pool {named}"
)
BORROWING: Final = "no seat can be borrowed: a token is renewed at the server"
ACTIVATION: Final = "nothing is activated on a machine: a vendor signs a licence for the server"
DEBUG_LOG: Final = (
    "the server writes its log to standard output or the system's journal: the setting log_level"
)
REPORT_LOG: Final = "all use is in the journal anyway; licet usage export writes it as a report log of RLM"
NO_LOG: Final = "everything is recorded, and nothing can be kept out of the journal"
REREAD: Final = "an installed licence counts within a second, so nothing is read again at midnight"
CONNECTIONS: Final = "the bound on connections is the server's: the setting connections_max"
DAEMONS: Final = "there is no vendor daemon beside the server"
HOST_NAMES: Final = "no rule is for a host, so it does not matter how the names of hosts are matched"
EXEMPT: Final = (
    "who is exempt from a limit is not listed; a MAX line for a user replaces the one for all users"
)
MIN_REMOVE: Final = "an administrator may end a session at any time"
TIME_ZONES: Final = "where a client says its clock is proves nothing"
CLIENT_CACHE: Final = "clients keep no seat by themselves: how long a token lives is access_ttl of the tenant"
EXPRESS: Final = (
    "a seat goes to the first in the queue who may have it; nobody is passed over a whole queue for another"
)
PASSWORDS: Final = "a client authenticates by a secret or key of its own: licet client secret add"
OLD_TOOLS: Final = "tools of RLM have no access to this server"
OWN_OPTIONS: Final = "it belongs into the options file of RLM itself; here administrators have roles"
