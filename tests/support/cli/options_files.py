"""A tenant for options files, and the translation of such files."""

from types import MappingProxyType

from licet.model import Pool, Tenant, User
from licet.options_files import flexnet, recognition, rlm
from licet.options_files.names import Names
from licet.options_files.outcomes import Fate, Outcome
from licet.options_files.statements import Reading
from licet.options_files.translation import Translation, translate
from licet.setup.options.contradictions import disagreements

READERS = MappingProxyType({"flexnet": flexnet.read, "rlm": rlm.read, "": recognition.recognised})
LOGINS = MappingProxyType({"anne": "AN", "bob": "BO"})


def tenant(*pools: Pool) -> Tenant:
    """With the users TC, AN and BO, and the pools `full` and `light` of 5 seats if no others are given."""
    pools = pools or (Pool(id=1, name="full", seats=5), Pool(id=2, name="light", seats=5))
    users = [User(initials=initials, name=initials, password_hash=None) for initials in ("TC", "AN", "BO")]
    return Tenant(
        id=1,
        name="Sales",
        version=1,
        pools={pool.id: pool for pool in pools},
        users={user.initials: user for user in users},
    )


def read(text: str | bytes, form: str = "flexnet") -> Reading:
    """Read an options file of this format; with "" the format is recognised."""
    return READERS[form](text.encode() if isinstance(text, str) else text)


def translated(
    text: str | bytes,
    form: str = "flexnet",
    *,
    of: Tenant | None = None,
    pools: dict[str, str] | None = None,
    users: dict[str, str] | None = None,
) -> Translation:
    """Translate a file for a tenant; by default the login anne is AN and bob is BO."""
    names = Names(users=users or LOGINS, pools=pools or {})
    return translate(read(text, form), of or tenant(), names, disagreements)


def told(
    text: str, form: str = "flexnet", *, of: Tenant | None = None, users: dict[str, str] | None = None
) -> list[tuple[int, str]]:
    """The lines that are left out or wrong, with the reasons."""
    outcomes = translated(text, form, of=of, users=users).outcomes
    return [(it.line.first, it.why) for it in outcomes if it.fate in {Fate.LEFT_OUT, Fate.WRONG}]


def all_kept(text: str, form: str = "flexnet", *, of: Tenant | None = None) -> Translation:
    """Translate a file, all of whose lines must be kept."""
    done = translated(text, form, of=of)
    assert {it.fate for it in done.outcomes} <= {Fate.KEPT, Fate.NOTHING}, done.outcomes
    return done


def one(text: str, form: str = "flexnet") -> Outcome:
    """The outcome of the last line."""
    return translated(text, form).outcomes[-1]
