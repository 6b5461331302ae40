"""The verbs that the nouns of the set-up have in common: what each prints, and what it refuses.

What one noun alone has, as the password of a user, is in `test_cli_setup.py` and `test_cli_clients.py`.
"""

import shlex
from typing import Any

import pytest

from support.cli.cli_site import CommandLine


class Part(dict[str, Any]):
    """A part of a record."""


COLUMNS, UNTIL = "seats  in use  overdraft  over", "2099-01-31T00:00:00Z"
NEVER = f"{'never':20}"
ALERTS = "80 90 100 denied expires"
NAMED = (
    "group sales is named by reserve and priority of pool full; take it out there first; see: licet pool"
    " show full"
)
HEADING = f"{'alerts':24}  options"

# Of each noun, lines of the command and what each prints: a text, lines, a record as JSON or a part of it, or
# the exit code and the text of a refusal. `grant` is no verb: a client gets a session.
LIVES: dict[str, tuple[tuple[str, Any], ...]] = {
    "tenant": (
        (
            "tenant add Other --seats 1 --session-ttl 1h --access-ttl 600",
            "Tenant Other added, with a pool full of 1 seat.",
        ),
        ("tenant set Other --no-seat-status 429", "Tenant Other changed."),
        ("tenant set Other --no-seat-status 429", "Nothing to change."),
        (
            "tenant show Other",
            {
                "name": "Other",
                "session_ttl_s": 3600,
                "access_ttl_s": 600,
                "default_scope": "all",
                "no_seat_status": 429,
                "token_format": "reference",
                "strict_assertions": False,
                "licence_required": False,
                "time_zone": "UTC",
                "seats": 1,
                "pools": 1,
                "scopes": 2,
                "users": 0,
                "clients": 0,
            },
        ),
        (
            "tenant list",
            [
                "tenant    seats  users  clients  session  access",
                "Jim_Test  5      1      1        20m      10m",
                "Other     1      0      0        1h       10m",
            ],
        ),
        (
            "tenant remove Other",
            (2, "Remove tenant Other with 0 clients and its journal? Nobody can be asked here; say --yes"),
        ),
        ("tenant remove Other --yes", "Tenant Other removed."),
        (
            "tenant list",
            [
                "tenant    seats  users  clients  session  access",
                "Jim_Test  5      1      1        20m      10m",
            ],
        ),
    ),
    "pool": (
        ("pool add mobile --seats 3 --duplicates user --expires 2099-01-30", "Pool mobile added."),
        (
            "pool list",
            [
                f"pool    {COLUMNS}  shared by  held for  scopes  expires               {HEADING}",
                f"full    5      0       0          0     client     0s        all     {NEVER}  {ALERTS}  -",
                f"mobile  3      0       0          0     user       0s        -       {UNTIL}  {ALERTS}  -",
            ],
        ),
        ("pool set mobile --expires never --seats 4", "Pool mobile changed."),
        (
            "pool show mobile",
            {
                "name": "mobile",
                "seats": 4,
                "effective_seats": 4,
                "signed_seats": None,
                "in_use": 0,
                "overdraft_in_use": 0,
                "overuse": 0,
                "duplicates": "user",
                "hold_s": 0,
                "overdraft": None,
                "exclude": [],
                "include": [],
                "named": [],
                "reserve": [],
                "max": [],
                "max_per_user": None,
                "max_per_client": None,
                "priority": [],
                "queue": 0,
                "queue_hold_s": 30,
                "effective_hold_s": 0,
                "options": [],
                "scopes": [],
                "expires_at": None,
                "alerts": ["80", "90", "100", "denied", "expires"],
            },
        ),
        ("pool set mobile --alerts none", "Pool mobile changed."),
        ("pool show mobile", Part(alerts=[])),
        ("pool set mobile --queue 20 --max-per-user 2 --exclude user:TC", "Pool mobile changed."),
        ("pool set mobile --queue 20", "Nothing to change."),
        (
            "pool show mobile",
            Part(options=["exclude", "max_per_user", "queue"], exclude=["user:TC"], max_per_user=2, queue=20),
        ),
        ("pool set mobile --no-queue --no-max-per-user --no-exclude", "Pool mobile changed."),
        ("pool show mobile", Part(options=[], exclude=[], max_per_user=None, queue=0)),
        ("pool remove mobile", (2, "Remove pool mobile? Nobody can be asked here; say --yes")),
        ("pool remove mobile --yes", "Pool mobile removed."),
    ),
    "scope": (
        ("scope add orders --pool full --read-only", "Scope orders added."),
        (
            "scope list",
            [
                "scope   licensed  pool  read-only  default",
                "all     yes       full  no         yes",
                "orders  yes       full  yes        no",
                "view    no        -     yes        no",
            ],
        ),
        ("client set TestClientId --scope orders --scope all", "Client TestClientId changed."),
        ("grant TestClientId orders", None),
        ("scope set orders --unlicensed --read-write --yes", "Scope orders changed; 1 session ended."),
        (
            "scope show orders",
            {
                "name": "orders",
                "licensed": False,
                "pool": None,
                "pools": [],
                "read_only": False,
                "default": False,
                "clients": ["TestClientId"],
            },
        ),
        ("client set TestClientId --every-scope", "Client TestClientId changed."),
        ("scope remove orders", (2, "Remove scope orders? Nobody can be asked here; say --yes")),
        ("scope remove orders --yes", "Scope orders removed."),
    ),
    "group": (
        ("group add sales --user TC --client TestClientId", "Group sales added."),
        ("group set sales --user TC", "Nothing to change."),
        ("pool set full --reserve 2:group:sales --priority 5:group:sales", "Pool full changed."),
        (
            "group list",
            [
                "group  users  clients       named by",
                "sales  TC     TestClientId  full:reserve full:priority",
            ],
        ),
        ("group set sales --no-users", "Group sales changed."),
        ("group show sales", Part(users=[], clients=["TestClientId"])),
        (
            "group remove sales --yes",
            (1, NAMED),
        ),
        ("pool set full --no-reserve --no-priority", "Pool full changed."),
        ("group remove sales", (2, "Remove group sales? Nobody can be asked here; say --yes")),
        ("group remove sales --yes", "Group sales removed."),
    ),
    "user": (
        ("user add AP --no-password", "User AP added."),
        ("user set AP --name 'An API'", "User AP changed."),
        ("user set AP --cost-centre 4711", "User AP changed."),
        ("user disable AP", "User AP disabled."),
        ("user disable AP", "Nothing to change."),
        (
            "user list",
            [
                "user  name         enabled  password  cost centre  clients",
                "AP    An API       no       no        4711         -",
                "TC    Test Client  yes      yes       -            TestClientId",
            ],
        ),
        ("user enable AP", "User AP enabled."),
        ("user set AP --no-cost-centre", "User AP changed."),
        (
            "user show AP",
            {
                "initials": "AP",
                "name": "An API",
                "enabled": True,
                "has_password": False,
                "cost_centre": None,
                "clients": [],
            },
        ),
        ("user remove AP", (2, "Remove user AP? Nobody can be asked here; say --yes")),
        ("user remove AP --yes", "User AP removed."),
    ),
    "client": (
        (
            "client add Api --user TC --introspects --max-sessions 7 --scope view --grant-type refresh_token",
            "Client Api added.",
        ),
        (
            "client list",
            [
                "client        user  enabled  scopes  introspects  authenticates by",
                "Api           TC    yes      view    yes          password",
                "TestClientId  TC    yes      every   no           password",
            ],
        ),
        (
            "client show Api",
            {
                "client_id": "Api",
                "user": "TC",
                "enabled": True,
                "scopes": ["view"],
                "grant_types": ["refresh_token"],
                "max_sessions": 7,
                "introspects": True,
                "password_allowed": True,
                "secrets": 0,
                "keys": 0,
                "authenticates_by": ["password"],
                "suspended_until": None,
            },
        ),
        ("client set Api --every-scope --no-introspection --no-password", "Client Api changed."),
        ("client show Api", Part(scopes=None, introspects=False, password_allowed=False)),
        ("client disable Api", "Client Api disabled."),
        ("client show Api", Part(enabled=False)),
        ("client enable Api", "Client Api enabled."),
        ("client set Api --password", "Client Api changed."),
        ("client show Api", Part(enabled=True, password_allowed=True)),
        ("client remove Api", (2, "Remove client Api? Nobody can be asked here; say --yes")),
        ("client remove Api --yes", "Client Api removed."),
    ),
}


@pytest.mark.parametrize("noun", LIVES)
def test_a_noun_is_added_changed_listed_shown_and_removed(cli: CommandLine, noun: str) -> None:
    """Each verb says what it did, or that there was nothing to do; who would remove it is asked."""
    for line, expected in LIVES[noun]:
        words = shlex.split(line)
        match expected:
            case None:
                cli.grant(*words[1:])
            case str():
                assert cli.out(*words) == f"{expected}\n"
            case list():
                assert cli.out(*words).splitlines() == expected
            case Part():
                assert expected.items() <= cli.json(*words).items()
            case dict():
                assert cli.json(*words) == expected
            case exit_code, told:
                assert cli.error(*words, exit_code=exit_code) == told


REFUSALS = (  # a line, its standard input, the exit code, and what is said
    (
        "tenant set Jim_Test --token-format saml",
        "",
        2,
        "invalid value for '--token-format': 'saml' is not one of 'reference', 'jwt'",
    ),
    (
        "tenant add Jim_Test --seats 1",
        "",
        1,
        "there is a tenant Jim_Test already; change it with: licet tenant set Jim_Test",
    ),
    ("tenant add 'a b' --seats 1", "", 2, "a tenant's name is 1 to 64 letters"),
    (
        "tenant add X --seats 1 --session-ttl soon",
        "",
        2,
        "--session-ttl: a duration is written 1200, 1200s, 20m",
    ),
    ("tenant set Jim_Test", "", 2, "say what to change; --help lists the options"),
    (
        "tenant set Jim_Test --default-scope x",
        "",
        1,
        "there is no scope x in tenant Jim_Test; there is: all, view",
    ),
    ("tenant set Jim_Test --access-ttl 21m", "", 2, "tenant Jim_Test: access_ttl is 1 s to session_ttl"),
    ("tenant set Jim --access-ttl 1m", "", 1, "there is no tenant Jim; there is: Jim_Test"),
    ("tenant show Jim", "", 1, "there is no tenant Jim; there is: Jim_Test"),
    ("tenant remove Jim --yes", "", 1, "there is no tenant Jim; there is: Jim_Test"),
    ("pool add full --seats 1", "", 1, "there is a pool full already"),
    ("pool add 'a b' --seats 1", "", 2, "a pool's name is"),
    ("pool add x --seats -1", "", 2, "--seats: a whole number from 0 to 1,000,000, or all"),
    ("pool add x --seats 1 --duplicates each", "", 2, "invalid value for '--duplicates'"),
    (
        "pool set full --expires soon",
        "",
        2,
        "--expires: a moment is written 2027-01-31, 2027-01-31T18:00 or never",
    ),
    ("pool set full --alerts '80 101'", "", 2, "--alerts: alerts are up to 10 percentages from 1 to 100"),
    ("pool set full", "", 2, "say what to change"),
    ("pool set x --seats 1", "", 1, "there is no pool x in tenant Jim_Test; there is: full"),
    ("pool show x", "", 1, "there is no pool x in tenant Jim_Test; there is: full"),
    ("pool remove full", "", 1, "pool full is drawn on by scope all; remove it or give it another pool"),
    (
        "pool remove full --yes",
        "",
        1,
        "pool full is drawn on by scope all; remove it or give it another pool",
    ),
    ("scope add view", "", 1, "there is a scope view already"),
    ("scope add 'a b'", "", 2, "a scope is 1 to 64 printable ASCII characters"),
    ("scope add x --pool x", "", 1, "there is no pool x"),
    ("scope set all", "", 2, "say what to change"),
    ("scope set all --pool full --unlicensed", "", 2, "--pool and --unlicensed exclude each other"),
    ("scope set all --read-only --read-write", "", 2, "--read-only and --read-write exclude each other"),
    ("scope set view --read-write", "", 2, "scope view is built in: it is read-only and needs no seat"),
    ("scope show x", "", 1, "there is no scope x in tenant Jim_Test; there is: all, view"),
    ("scope remove x", "", 1, "there is no scope x in tenant Jim_Test; there is: "),
    ("scope remove all --yes", "", 1, "scope all is built in and stays"),
    ("user add XX", "", 2, "a password for user XX is asked for on a terminal; elsewhere say"),
    ("user add XX --password-stdin", "", 2, "there is no password on standard input"),
    ("user add XX --password-stdin", "short\n", 2, "a password is 8 to 256 characters"),
    ("user add XX --password-stdin", "lcs_looks_like_a_secret\n", 2, "a password does not begin with lcs_"),
    ("user add XX --password-stdin", "password1\n", 2, "a password must be hard to guess"),
    (
        "user add XX --name 'Ada Byron' --password-stdin",
        "ada.byron.26\n",
        2,
        "a password is more than a name",
    ),
    ("user password TC --password-stdin", "test-client-1\n", 2, "a password is more than a name"),
    ("user add XX --password-stdin --no-password", "", 2, "--no-password and --password-stdin exclude"),
    ("user add TC --no-password", "", 1, "there is a user TC already"),
    ("user add tc --no-password", "", 1, "there is a user TC already, and tc differs by case alone"),
    ("user add LONG --no-password", "", 2, "initials are 2 or 3 letters, digits or dots"),
    ("user set TC", "", 2, "say what to change"),
    ("user set TC --name '\x1b]0;x'", "", 2, "--name: 1 to 100 characters without control"),
    ("user password XX --no-password", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
    ("user disable XX", "", 1, "there is no user XX"),
    ("user show XX", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
    ("user remove TC", "", 1, "user TC is the user of client TestClientId; remove it or give it"),
    ("client add TestClientId --user TC", "", 1, "there is a client TestClientId already"),
    ("client add x --user XX", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
    ("client add x --user TC --scope x", "", 1, "there is no scope x"),
    ("client add '' --user TC", "", 2, "a client_id is 1 to 128 characters"),
    ("client add x --user TC --max-sessions 0", "", 2, "client x: max_sessions is 1 to 100000, not 0"),
    ("client add x --user TC --grant-type password", "", 2, "invalid value for '--grant-type'"),
    ("client add x --user TC --json", "", 2, "--secret-expires and --json are about a generated secret"),
    ("client add x --user TC --secret-expires never", "", 2, "--secret-expires and --json are about"),
    ("client add x --user TC --secret --secret-expires 2020-01-01", "", 2, "a new secret expires later"),
    ("client set TestClientId", "", 2, "say what to change"),
    ("client set TestClientId --scope view --every-scope", "", 2, "--scope and --every-scope exclude"),
    (
        "client set TestClientId --introspects --no-introspection",
        "",
        2,
        "--introspects and --no-introspection",
    ),
    ("client set TestClientId --password --no-password", "", 2, "--password and --no-password exclude"),
    ("client set x --user TC", "", 1, "there is no client x"),
    ("client show x", "", 1, "there is no client x in tenant Jim_Test; there is: TestClientId"),
    ("client remove x", "", 1, "there is no client x in tenant Jim_Test; there is: TestClientId"),
    ("client secret list x", "", 1, "there is no client x"),
    ("client secret add x", "", 1, "there is no client x"),
    ("client secret add TestClientId --expires 2020-01-01", "", 2, "a new secret expires later than now"),
    ("client secret remove TestClientId x --yes", "", 1, "there is no secret of client TestClientId x"),
    ("session end --yes", "", 2, "say which: a session, --client or --user, or --all"),
    ("session end 30 --all --yes", "", 2, "say which: a session"),
    ("session end --client x --all --yes", "", 2, "say which: a session"),
    ("session end ffff --yes", "", 1, "no active session in Jim_Test has an id that begins with ffff"),
    ("session end --client x --yes", "", 1, "there is no client x"),
    ("session show ffff", "", 1, "no active session in Jim_Test has an id that begins with ffff"),
    (
        "tenant set Jim_Test --strict-assertions --lax-assertions",
        "",
        2,
        "--strict-assertions and --lax-assertions",
    ),
    ("scope set x --read-only", "", 1, "there is no scope x in tenant Jim_Test; there is: all, view"),
    ("user add XX --no-password --name ''", "", 2, "--name is empty; give a value"),
    ("user set XX --name X", "", 1, "there is no user XX"),
    ("user enable XX", "", 1, "there is no user XX"),
    ("user remove XX", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
    ("client enable x", "", 1, "there is no client x"),
    ("client disable x", "", 1, "there is no client x"),
    ("client key list x", "", 1, "there is no client x"),
    ("client key remove TestClientId x", "", 1, "there is no key of client TestClientId x"),
    ("client secret remove TestClientId x", "", 1, "there is no secret of client TestClientId x"),
)


@pytest.mark.parametrize(("line", "stdin", "exit_code", "told"), REFUSALS)
def test_what_cannot_be_is_refused_in_one_line(
    cli: CommandLine, line: str, stdin: str, exit_code: int, told: str
) -> None:
    """Exit code 1 where it is refused or not found, 2 where the line is wrong; that names its option."""
    assert cli.error(*shlex.split(line), exit_code=exit_code, stdin=stdin).startswith(told)
