"""The fault harness in its short form: real nodes under load and under faults, on both stores.

`make chaos` does the same for minutes. What is chosen by lot has a seed, which is printed.
"""

from pathlib import Path

import pytest

from chaos.checks.assertions import AGAIN, REFUSED
from chaos.checks.checker import Report, check
from chaos.checks.claims import AGREE
from chaos.checks.findings import FindingKind
from chaos.checks.limits import OWN
from chaos.checks.line import LEFT, ORDER
from chaos.checks.upkeep import DUE
from chaos.history import read_history
from chaos.report import summary
from chaos.run import Options, Run
from chaos.site import apis, nodes
from support.server.nursery import has_forked

SEED = 20_261_124
# What is broken, and for how many seconds.
_SQLITE = ((("kill all",), 0.0), (("quota", "pause committer"), 0.5))
_POSTGRES = ((("lost commits", "kill"), 0.2), (("failover", "clock"), 0.5))
REST_S = 0.8
_OF_OPTIONS = {
    *("uncounted", "trusting", "unreserved", "admitting"),
    *("overtaking", "unranked", "moving back", "deaf"),
    *("unlimited", "staying", "returning", "ghostly", "keeping", "misnaming", "enduring"),
}
_SHARES = {"believing": 1.0, "unmarked": 0.15} | dict.fromkeys(_OF_OPTIONS, 1.0)  # of the clients
_LONGER = {
    "blind": 10,
    "believing": 60,
    "enduring": 2,
    "ghostly": 8,
    "keeping": 8,
    "lockless": 12,
    "moving back": 3,
    "overtaking": 3,
    "returning": 5,
    "staying": 5,
    "trusting": 4,
    "uncounted": 2,
    "unmarked": 4,
    "unlimited": 3,
    "unranked": 20,
    "unreserved": 4,
}
# Where two nodes have to come between each other, all ask for the seats of a few tenants: so they often do.
_WITHOUT_APIS = {"lockless": ("Client", "Session"), "unmarked": ("Client", "User")}
_FIVE = ("Limited", "LimitedLine", "LimitedSession", "LimitedNamed", "LimitedSigned")
_ONLY = (
    _WITHOUT_APIS
    | dict.fromkeys(_OF_OPTIONS, _FIVE)
    | {
        "enduring": ("LimitedJwt",),
        "ghostly": ("LimitedLine", "LimitedUser"),
        "keeping": ("LimitedLine", "LimitedUser"),
        "misnaming": ("LimitedJwt",),
        "moving back": ("LimitedFew",),
        "overtaking": ("LimitedFew",),
        "returning": ("LimitedFew",),
        "staying": ("LimitedFew",),
        "unlimited": ("LimitedUser",),
    }
)
_COPIES = {
    "moving back": 5,
    "overtaking": 5,
    "returning": 5,
    "staying": 5,
}  # of what is only done now and then in one
RUNS_MAX = 4  # of a mistake that makes a difference by chance
_RESTS_S = {
    "deaf": 14,  # until who waits for a wait of three seconds gives up
    "clinging": 6,  # until the holds of three seconds are over, on however quick a machine
}
_UPKEEP_S = {"idle": 6, "restless": 6}  # a turn of folding, and more; all else is not about upkeep
REST_OPERATIONS = 300  # in each rest, as quick as the machine is
RAREST_MIN = 20  # of three rests of three times as many operations, of which 1.6 in a hundred are the rarest
RAREST_MIN_FEW = 2  # of as many


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are forked here; `make chaos` starts them as programs."""
    has_forked(monkeypatch, apis, nodes)


def ran(directory: Path, options: Options) -> Report:
    """What the checker says of a run."""
    print(f"seed {options.seed}")  # noqa: T201 - shown when it fails
    report = check(read_history(Run(options, directory).run()))
    print(summary(report))  # noqa: T201 - the same
    return report


class TestLicet:
    """As it is."""

    @pytest.mark.parametrize(
        ("store", "turns", "operations", "rarest_min"),
        [
            ("sqlite", _SQLITE, REST_OPERATIONS, RAREST_MIN_FEW),
            pytest.param("sqlite", _SQLITE, 3 * REST_OPERATIONS, RAREST_MIN, marks=pytest.mark.wide),
            pytest.param("postgres", _POSTGRES, 3 * REST_OPERATIONS, RAREST_MIN, marks=pytest.mark.wide),
        ],
    )
    def test_nothing_is_found_whatever_is_broken(
        self,
        tmp_path: Path,
        store: str,
        turns: tuple[tuple[tuple[str, ...], float], ...],
        operations: int,
        rarest_min: int,
    ) -> None:
        """L2 to L6, L8, L9, L11; and a seat whose client died is free when its life ends (L4)."""
        options = Options(
            seed=SEED,
            seconds=0,
            store=store,
            nodes=2,
            share=0.4,
            turns=turns,
            rest_s=REST_S,
            rest_operations=operations,
            calm_s=0,
            expiries=int(
                store == "sqlite"
            ),  # this waits for a life, and on PostgreSQL as well in the long form
            is_quiet=True,
        )
        report = ran(tmp_path, options)
        assert report.is_clean, summary(report)
        assert sum(report.faults.values()) == sum(len(names) for names, _ in turns)
        assert {kind for kind, count in report.operations.items() if count > rarest_min} == {
            "grant",
            "refresh",
            "logoff",
            "revoke",
            "introspect",
            "call",
        }
        for what in (
            "introspections that had to be active",
            "sessions that had to be over",
            "calls that were let in",
            *(DUE[table].done for table in DUE if table not in {"seat", "queue_place"}),
            AGAIN,
        ):
            assert report.findings.checked[what] > 0

    @pytest.mark.wide
    @pytest.mark.parametrize(("store", "turns"), [("sqlite", _SQLITE), ("postgres", _POSTGRES)])
    def test_nothing_is_found_where_options_share_out_the_seats(
        self, tmp_path: Path, store: str, turns: tuple[tuple[tuple[str, ...], float], ...]
    ) -> None:
        """L15 to L17, L19: 64 clients of most tenants, at 4 nodes."""
        options = Options(
            seed=SEED,
            seconds=0,
            store=store,
            nodes=4,
            turns=turns,
            rest_s=REST_S,
            rest_operations=REST_OPERATIONS,
            with_options=True,
            calm_s=0,
            expiries=0,
            is_quiet=True,
        )
        report = ran(tmp_path, options)
        assert report.is_clean, summary(report)
        reasons = {"max_reached", "excluded", "not_included", "queued", "all_in_use"}
        assert reasons <= {name.removeprefix("grant ") for name in report.outcomes}
        assert report.actions["options"] > 0
        for what in (
            "counts of options that are the seats counted",
            "requests that waited in line and were served",
            LEFT,
            ORDER,
            OWN,
            AGREE,
            DUE["session"].done,
            REFUSED,
        ):
            assert report.findings.checked[what] > 0


class TestBroken:
    """With a mistake put into its nodes from outside."""

    @pytest.mark.parametrize(
        ("store", "broken", "kind"),
        [
            pytest.param("sqlite", "stale", "over_issued", marks=pytest.mark.wide),
            pytest.param("postgres", "lockless", "over_issued", marks=pytest.mark.wide),
            pytest.param("sqlite", "forgetful", "lost_grant", marks=pytest.mark.long),
            pytest.param("sqlite", "remembering", "undone_logoff", marks=pytest.mark.long),
            pytest.param("sqlite", "leaking", "tables", marks=pytest.mark.long),
            pytest.param("sqlite", "replayable", "used_twice", marks=pytest.mark.wide),
            pytest.param("postgres", "replayable", "used_twice", marks=pytest.mark.long),
            pytest.param("sqlite", "believing", "over_issued", marks=pytest.mark.long),
            pytest.param("postgres", "believing", "over_issued", marks=pytest.mark.long),
            pytest.param("postgres", "unmarked", "over_issued", marks=pytest.mark.wide),
            pytest.param("sqlite", "folding away", "tables", marks=pytest.mark.wide),
            pytest.param("sqlite", "letting go", "over_issued", marks=pytest.mark.wide),
            pytest.param("sqlite", "hasty", "early_number", marks=pytest.mark.wide),
            pytest.param("sqlite", "clinging", "unexplained_denial", marks=pytest.mark.wide),
            pytest.param("sqlite", "blind", "two_holders", marks=pytest.mark.wide),
            pytest.param("sqlite", "uncounted", "over_limit", marks=pytest.mark.wide),
            pytest.param("sqlite", "trusting", "over_limit", marks=pytest.mark.wide),
            pytest.param("sqlite", "unreserved", "over_limit", marks=pytest.mark.wide),
            pytest.param("sqlite", "admitting", "over_limit", marks=pytest.mark.long),
            pytest.param("sqlite", "overtaking", "overtaken", marks=pytest.mark.wide),
            pytest.param("postgres", "overtaking", "overtaken", marks=pytest.mark.wide),
            pytest.param("sqlite", "unranked", "overtaken", marks=pytest.mark.long),
            pytest.param("sqlite", "moving back", "lost_place", marks=pytest.mark.wide),
            pytest.param("sqlite", "deaf", "unanswered_wait", marks=pytest.mark.long),
            pytest.param("sqlite", "unlimited", "over_limit", marks=pytest.mark.wide),
            pytest.param("sqlite", "staying", "stale_place", marks=pytest.mark.wide),
            pytest.param("sqlite", "returning", "overtaken", marks=pytest.mark.wide),
            pytest.param("sqlite", "ghostly", "ghost_seat", marks=pytest.mark.wide),
            pytest.param("sqlite", "keeping", "ghost_seat", marks=pytest.mark.wide),
            pytest.param("sqlite", "misnaming", "false_token", marks=pytest.mark.wide),
            pytest.param("sqlite", "enduring", "undone_logoff", marks=pytest.mark.wide),
            pytest.param("sqlite", "idle", "neglected", marks=pytest.mark.wide),
            pytest.param("postgres", "restless", "neglected", marks=pytest.mark.wide),
        ],
    )
    @pytest.mark.timeout(900)
    def test_a_mistake_is_found(self, tmp_path: Path, store: str, broken: str, kind: FindingKind) -> None:
        """L4, L6, L9, L15 to L19: no lock, or an old number; answers before they are durable; seats lost.

        Or a node that does not see that another has written, under a load that is mostly renewals.

        Or assertions that are accepted again (RFC 7523 3).

        Or places in line that stay, or come back; seats of who has left; JWTs that say what is not so.

        Or seats, or their numbers, that are somebody else's though they have to be held, or nobody's though
        they need not be; or more seats than options allow, or for whom they keep out; or a line that is none;
        or a guard whose memory lets everybody in; or no node that leads, so that nothing is cleared away.

        It makes a difference by chance, so that one run may show nothing.
        """
        for number in range(RUNS_MAX):
            (tmp_path / str(number)).mkdir()
            options = with_mistake(store, broken, SEED + number)
            found = ran(tmp_path / str(number), options).findings.count
            if found[kind]:
                break
        assert found[kind] > 0
        if broken == "hasty":  # what a guard is there for
            assert not found["two_holders"]


def with_mistake(store: str, broken: str, seed: int) -> Options:
    """A run with a mistake, as long as it takes to make a difference some times."""
    return Options(
        seed=seed,
        seconds=0,
        store=store,
        nodes=2,
        share=_SHARES.get(broken, 0.4),
        turns=(((), 1.0),),
        rest_s=_RESTS_S.get(broken, REST_S),
        rest_operations=REST_OPERATIONS * _LONGER.get(broken, 1),
        renewals=broken == "unmarked",
        with_options=broken in _OF_OPTIONS,
        only=_ONLY.get(broken, ()),
        copies=_COPIES.get(broken, 1),
        apis=0 if broken in _WITHOUT_APIS else len(apis.PLANS),
        calm_s=0,
        upkeep_s=_UPKEEP_S.get(broken, 0),
        broken=broken,
        expiries=0,
        is_quiet=True,
    )
