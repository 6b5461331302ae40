"""Runs `licet vendor sign`: signs a licence, with a key that is here or by a command that asks an HSM."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from licet.cli.errors import WrongUse
from licet.cli.options import Yes, confirm, exclusive, given
from licet.cli.output import note, say
from licet.cli.vendor.formatting import until, what_is_given
from licet.cli.vendor.options import VENDOR, Key, PassphraseStdin, ask_passphrase
from licet.clock import SystemClock
from licet.formats import counted
from licet.licences.armour import armoured
from licet.licences.errors import LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.vendor_file import VendorKey
from licet.vendor.directory import VendorDirectory, read_directory
from licet.vendor.files import PUBLIC, write_file
from licet.vendor.orders import claims_of, read_template
from licet.vendor.register import Register
from licet.vendor.signers import Sign, by_command
from licet.vendor.signing import Draft, beside, drafted, replaced, signed

_STDOUT = Path("-")

OfPools = list[str] | None
Pools = Annotated[
    OfPools, typer.Option("--pool", metavar="POOL=SEATS", help="How many seats a pool gets; repeatable.")
]
Scopes = Annotated[
    OfPools,
    typer.Option(
        "--scopes",
        metavar="POOL=SCOPE",
        help="A scope that takes seats of a pool; repeatable. Default: full=all.",
    ),
]
Overdraft = Annotated[
    OfPools, typer.Option("--overdraft", metavar="POOL=N", help="Seats that may be used above those bought.")
]
Hold = Annotated[
    OfPools,
    typer.Option(
        "--hold",
        metavar="POOL=TIME",
        help="How long a seat is on hold for its holder after its last token: 60s.",
    ),
]
AccessTtlMax = Annotated[
    OfPools,
    typer.Option("--access-ttl-max", metavar="POOL=TIME", help="The longest life of an access token, 10m."),
]
Duplicates = Annotated[
    OfPools,
    typer.Option(
        "--duplicates",
        metavar="POOL=WAY",
        help="How seats may be counted: client or user; repeatable. Default: both.",
    ),
]
Tenant = Annotated[
    str | None,
    typer.Option("--tenant", metavar="NAME", help="The tenant of the customer's Licet that it is for."),
]
Customer = Annotated[
    str | None, typer.Option("--customer", metavar="NAME", help="Your name for the customer.")
]
LicenceId = Annotated[
    str | None,
    typer.Option(
        "--licence",
        metavar="ID",
        help="Its id: CUSTOMER.TENANT. The same id again renews it, another one adds to it.",
    ),
]
Installation = Annotated[
    str | None,
    typer.Option(
        "--installation",
        metavar="HASH",
        help="The installation where it counts: the 43 characters that your product shows there.",
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="DATE", help="Its last day in UTC, like 2027-12-31; by default it never ends."
    ),
]
Begins = Annotated[
    str | None,
    typer.Option("--begins", metavar="DATE", help="Its first day in UTC; by default it begins now."),
]
Grace = Annotated[
    str | None,
    typer.Option(
        "--grace", metavar="TIME", help="How long its seats continue after its end, with warnings: 14d."
    ),
]
UpdatesUntil = Annotated[
    str | None,
    typer.Option(
        "--updates-until", metavar="DATE", help="The day of the newest build of the API that it covers."
    ),
]
Features = Annotated[
    list[str] | None, typer.Option("--feature", metavar="WORD", help="What else it permits; repeatable.")
]
Template = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        readable=False,
        help="A template in TOML; options replace its values.",
    ),
]
Signer = Annotated[
    str | None,
    typer.Option(
        "--signer", metavar="CMD", help="A command that signs its standard input, for a key in an HSM."
    ),
]
Kid = Annotated[
    str | None,
    typer.Option(
        "--kid", metavar="KEY", help="The key that signs, or the beginning of its name; by default the first."
    ),
]
Serial = Annotated[
    int | None,
    typer.Option("--serial", metavar="N", help="Its serial, if the register was lost; by default the next."),
]
Out = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        metavar="FILE",
        readable=False,
        show_default=False,
        help="The file to write; by default standard output.",
    ),
]


def sign(
    *,
    key: Key = VENDOR,
    tenant: Tenant = None,
    customer: Customer = None,
    licence: LicenceId = None,
    installation: Installation = None,
    pool: Pools = None,
    scopes: Scopes = None,
    overdraft: Overdraft = None,
    hold: Hold = None,
    access_ttl_max: AccessTtlMax = None,
    duplicates: Duplicates = None,
    begins: Begins = None,
    expires: Expires = None,
    grace: Grace = None,
    updates_until: UpdatesUntil = None,
    feature: Features = None,
    template: Template = None,
    signer: Signer = None,
    kid: Kid = None,
    serial: Serial = None,
    passphrase_stdin: PassphraseStdin = False,
    out: Out = _STDOUT,
    yes: Yes = False,
) -> None:
    """Sign a licence for a customer. To renew it, run the same command with another end or other seats.

    A licence with the same id gets the next serial of the register, and replaces earlier ones once it is
    installed and has begun. The seats of different ids add up.

    Example: [bold]licet vendor sign --customer C-1 --tenant Jim_Test --pool full=25 --expires 2027-12-31
    --grace 14d -o c1.licence[/]
    """
    exclusive(("--signer", signer is not None), ("--passphrase-stdin", passphrase_stdin))
    kept = read_directory(key)
    signing = kept.key(kid)
    members, pools = read_template(template) if template else ({}, {})
    said = given(tenant=tenant, customer=customer, licence=licence, installation=installation)
    said |= given(begins=begins, expires=expires, grace=grace, updates_until=updates_until, features=feature)
    ordered = _of_pools(pool, overdraft, scopes, duplicates, hold=hold, access_ttl_max=access_ttl_max)
    draft = _draft(kept, signing, _with_id({**members, **said}), _over(pools, ordered))
    is_there = out != _STDOUT and out.exists()
    if is_there:
        confirm(f"{out} is there already. Replace it?", yes=yes)
    register = Register(kept.register)
    make = _signer(kept, signing, signer, from_stdin=passphrase_stdin)
    others, before = beside(draft.licence, register), replaced(draft.licence, register)
    made = signed(draft, signing, kept.vendor, sign=make, register=register, serial=serial)
    _keep(made, out, replacing=is_there)
    _report(made, others, before, out)


def _of_pools(
    pool: OfPools,
    overdraft: OfPools,
    scopes: OfPools,
    duplicates: OfPools,
    *,
    hold: OfPools,
    access_ttl_max: OfPools,
) -> dict[str, dict[str, Any]]:
    """What the options say of each pool."""
    found: dict[str, dict[str, Any]] = {}
    for option, name, values in (("--pool", "seats", pool), ("--overdraft", "overdraft", overdraft)):
        for pool_name, value in _pairs(option, values):
            found.setdefault(pool_name, {})[name] = _number(option, value)
    for option, name, values in (
        ("--hold", "hold", hold),
        ("--access-ttl-max", "access_ttl_max", access_ttl_max),
    ):
        for pool_name, value in _pairs(option, values):
            found.setdefault(pool_name, {})[name] = value
    for option, name, values in (("--scopes", "scopes", scopes), ("--duplicates", "duplicates", duplicates)):
        for pool_name, value in _pairs(option, values):
            found.setdefault(pool_name, {}).setdefault(name, []).extend(value.split())
    return found


def _pairs(option: str, values: OfPools) -> Iterable[tuple[str, str]]:
    for text in values or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise WrongUse(f"{option} is written POOL=..., as in full=25; this is not: {text[:40]!r}")
        yield name, value


def _number(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - far above any bound
        raise WrongUse(f"{option} needs a whole number behind the =; this is not: {text[:40]!r}")
    return int(text)


def _over(
    pools: Mapping[str, Mapping[str, Any]], ordered: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The pools of a template, with what the options say in its place."""
    names = [*pools, *(name for name in ordered if name not in pools)]
    return {name: {**pools.get(name, {}), **ordered.get(name, {})} for name in names}


def _with_id(members: Mapping[str, Any]) -> dict[str, Any]:
    """With an id: that of the customer in the tenant, so that the same order again is a renewal."""
    if "tenant" not in members:
        raise WrongUse("say for which tenant of the customer's Licet it is: --tenant NAME")
    if "licence" in members:
        return dict(members)
    if "customer" not in members:
        raise WrongUse("say for whom it is: --customer NAME, or --licence ID")
    return {**members, "licence": f"{members['customer']}.{members['tenant']}"}


def _draft(
    kept: VendorDirectory,
    key: VendorKey,
    members: Mapping[str, Any],
    pools: Mapping[str, Mapping[str, Any]],
) -> Draft:
    if not pools:
        raise WrongUse("say how many seats it gives: --pool full=25")
    vendor = (kept.vendor.name, kept.vendor.product)
    claims = claims_of(vendor, members, pools, now_s=SystemClock().now_ms() // 1000)
    try:
        return drafted(claims, key)
    except (LicenceRefused, UnicodeEncodeError) as refused:
        problem = refused.text if isinstance(refused, LicenceRefused) else "a name is text, and this is not"
        if isinstance(refused, LicenceRefused) and refused.field == "licence":
            problem = f"{problem}; give it another id: --licence ID"
        raise WrongUse(problem) from None


def _signer(kept: VendorDirectory, key: VendorKey, command: str | None, *, from_stdin: bool) -> Sign:
    if command is not None:
        return by_command(command, key)
    path = kept.key_file(key)
    kept.must_have(key)
    return kept.open(key, ask_passphrase(str(path), is_new=False, from_stdin=from_stdin)).sign


def _keep(made: SignedLicence, out: Path, *, replacing: bool) -> None:
    text = armoured(made.text)
    if out == _STDOUT:
        typer.echo(text, nl=False)
    else:
        write_file(out, text.encode(), mode=PUBLIC, replacing=replacing)


def _report(
    made: SignedLicence, others: Iterable[SignedLicence], before: SignedLicence | None, out: Path
) -> None:
    """On stderr if the licence itself goes to stdout."""
    report = note if out == _STDOUT else say
    what = f"{what_is_given(made)}, {until(made)}"
    where = "." if out == _STDOUT else f"; it is in {out}."
    report(f"Licence {made.licence}, serial {made.serial}: {what}{where}")
    if before is not None:
        note(
            f"It takes the place of serial {before.serial} as soon as it is installed, which gives more:"
            f" {what_is_given(before)}, {until(before)}. To let that come to its end: --begins DATE"
        )
    for other in others:
        for name in made.pools.keys() & other.pools.keys():
            seats = made.pools[name].seats + other.pools[name].seats
            note(
                f"Licence {other.licence} gives pool {name} seats as well, {until(other)}; they add up to"
                f" {counted(seats, 'seat')}. To renew it instead: --licence {other.licence}"
            )
