"""`licet usage statement`, and how `licet vendor read` checks it: changed, missing, forked."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from licet.credentials.jwt_access_tokens import JwtTokens
from licet.credentials.jwt_signing_keys import JwtKeys
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.licences.jws import encode
from licet.licences.vendor_file import thumbprint
from licet.model import Pool
from licet.reports.usage_statements.claims import use_by_minute
from licet.vendor.statements import armoured, header_of
from support.cli.cli_reports_site import Site
from support.cli.cli_site import CommandLine
from support.cli.command_line import run
from support.examples import end, grant, jim_test
from support.licences.twin_signatures import twin

DAY_S = 86_400


def days_ago(days: int) -> str:
    """A day of UTC."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A pool of one seat; ten days ago somebody was turned away while it was in use."""
    directory = tmp_path_factory.mktemp("statement")
    site = Site(directory, jim_test(pools=[Pool(id=1, name="full", seats=1)]), ago_s=10 * DAY_S)
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=300)
    site.do(end(1))
    now_ms = site.clock.now_ms()
    keyring = new_keyring(now_ms)
    write_keyring(directory / FILE_NAME, keyring)
    now_ms += 10 * DAY_S * 1000
    keys = JwtTokens(JwtKeys(), keyring, "https://licet.example", now_ms).key_set(site.tenant)
    (directory / "jwks.json").write_text(json.dumps({"keys": keys}), encoding="ascii")
    yield site
    site.store.close()


@pytest.fixture(scope="module")
def three(site: Site) -> list[Path]:
    """Three statements, one after the other."""
    first, second, third = (site.data / f"{number}.statement" for number in (1, 2, 3))
    make(site, first, "--from", days_ago(12), "--until", days_ago(9))
    copytree(site.data, site.data / "copy", ignore=ignore_patterns("copy"))
    make(site, second, "--until", days_ago(6))
    make(site, third, "--after", str(second), "--until", days_ago(4))
    return [first, second, third]


def make(site: Site, file: Path, *arguments: str, exit_code: int = 0) -> str:
    """Make a statement; what was said of it."""
    options = ("--data", str(site.data), "--output", str(file), *arguments)
    return run("usage", "statement", *options, exit_code=exit_code).stderr


def read(site: Site, *files: Path, exit_code: int = 0) -> tuple[str, str]:
    """What `licet vendor read` prints and says of these, with the key set of the tenant."""
    keys = str(site.data / "jwks.json")
    done = run("vendor", "read", "--keys", keys, *map(str, files), exit_code=exit_code)
    return done.stdout, done.stderr


def claims_of(file: Path) -> dict[str, Any]:
    """What a statement says."""
    payload = "".join(file.read_text(encoding="ascii").splitlines()[1:-1]).split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def changed(file: Path, target: Path) -> Path:
    """A statement in which a peak is another one, under the signature that it had."""
    header, _, signature = "".join(file.read_text(encoding="ascii").splitlines()[1:-1]).split(".")
    claims = claims_of(file)
    claims["pools"][0]["days"][0]["peak"] += 1
    payload = urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).rstrip(b"=").decode()
    target.write_text(armoured(f"{header}.{payload}.{signature}"), encoding="ascii")
    return target


def test_statements_that_follow_each_other_are_read_without_a_word(site: Site, three: list[Path]) -> None:
    """With the figures of the true-up, and the key of the tenant's key set."""
    text, said = read(site, *three)
    assert not said
    assert "of the key set" in text
    assert "full: 1 seat, peak 1, overdraft 0, 0.0 overdraft hours, 1 true denial" in text
    assert [claims_of(file)["seq"] for file in three] == [1, 2, 3]
    assert claims_of(three[1])["from"] == claims_of(three[0])["until"]


def test_statements_as_json_have_their_instants_as_all_output_of_programs(
    site: Site, cli: CommandLine, three: list[Path], tmp_path: Path
) -> None:
    """As the help says; all else is as it was signed."""
    first = tmp_path / "first.statement"
    cli.run("usage", "statement", "--output", str(first), "--until", days_ago(2))
    for file, keys in ((three[0], ("--keys", str(site.data / "jwks.json"))), (first, ())):
        claims, (shown,) = (
            claims_of(file),
            json.loads(run("vendor", "read", "--json", *keys, str(file)).stdout),
        )
        assert shown["key_known"] == bool(keys)
        assert seconds(shown["made_at"]) == claims["iat"]
        assert [seconds(shown[name]) for name in ("from", "until")] == [claims["from"], claims["until"]]
        pool, signed = shown["pools"][0], claims["pools"][0]
        assert [seconds(day["until"]) for day in pool["days"]] == [day["until"] for day in signed["days"]]
        assert [day["use"] for day in pool["days"]] == [day["use"] for day in signed["days"]]
        assert ("added" in pool) == ("added" in signed)
        assert "added" not in pool or seconds(pool["added"]) == signed["added"]


def seconds(text: str) -> int:
    """An instant of UTC, in seconds since 1970."""
    assert text.endswith("Z")
    return round(datetime.fromisoformat(text).timestamp())


def test_the_first_statement_says_of_the_days_before_a_pool_that_there_was_none(
    cli: CommandLine, tmp_path: Path
) -> None:
    """It said the seats of the day on which it was made, of a time before there was the tenant."""
    file = tmp_path / "first.statement"
    cli.run("usage", "statement", "--output", str(file), "--until", days_ago(2))
    (pool,) = claims_of(file)["pools"]
    assert {day["seats"] for day in pool["days"]} == {0}
    assert pool["added"] >= claims_of(file)["until"]
    shown = run("vendor", "read", str(file)).stdout
    assert re.search(r"full: 0 seats, peak 0, .* 0 true denials, added 20\d\d-", shown)


def test_a_statement_of_before_pools_said_when_they_were_added_is_read_as_ever(three: list[Path]) -> None:
    """It has the seats of the day on which it was made, and no word of when the pool was added."""
    assert all("added" not in pool for file in three for pool in claims_of(file)["pools"])


def test_a_statement_names_nobody(three: list[Path]) -> None:
    """No client, and no user."""
    text = json.dumps([claims_of(file) for file in three])
    assert not [it for it in ("TestClientId", "Client1", "TC", "C1", "192.0.2") if f'"{it}' in text]


def test_the_use_of_a_day_has_the_hash_of_its_minutes(site: Site, three: list[Path]) -> None:
    """So that a customer can show them in an audit."""
    days = claims_of(three[0])["pools"][0]["days"]
    (day,) = [it for it in days if it["peak"]]
    with site.store.reading() as connection:
        rows = use_by_minute(connection, site.tenant, "full", day["from"] * 1000, day["until"] * 1000)
    lines = "".join(f"{row.minute} {row.seats} {row.peak} {row.in_use}\n" for row in rows)
    assert rows
    assert day["use"] == encode(sha256(lines.encode()).digest())
    assert len({it["use"] for it in days}) == 2


def test_a_statement_that_was_changed_is_refused(site: Site, three: list[Path], tmp_path: Path) -> None:
    """And so is one that breaks off."""
    _, said = read(site, changed(three[0], tmp_path / "changed"), exit_code=1)
    assert "the statement was changed since it was signed" in said
    cut = tmp_path / "cut"
    cut.write_text(three[0].read_text(encoding="ascii")[:300], encoding="ascii")
    assert "a file has 1 to 100 whole statements" in read(site, cut, exit_code=1)[1]


def test_a_statement_that_is_missing_is_reported(site: Site, three: list[Path]) -> None:
    """In between, and before the first that is here."""
    assert "statement 2 of Jim_Test is missing" in read(site, three[0], three[2], exit_code=1)[1]
    assert "those before it are missing" in read(site, three[1], three[2], exit_code=1)[1]


def test_two_different_statements_about_one_time_are_reported(
    site: Site, three: list[Path], tmp_path: Path
) -> None:
    """A statement that was made anew on a copy of the store, and one that follows it."""
    other = tmp_path / "other"
    options = ("--data", str(site.data / "copy"), "--output", str(other), "--until", days_ago(7))
    run("usage", "statement", *options)
    said = read(site, *three, other, exit_code=1)[1]
    assert "there are two different statements with the number 2 of Jim_Test" in said
    said = read(site, three[0], other, three[2], exit_code=1)[1]
    assert "statement 3 of Jim_Test follows a different statement 2" in said
    assert "statement 3 of Jim_Test does not begin where 2 ended" in said


def test_a_key_that_is_in_no_key_set_is_refused(site: Site, three: list[Path], tmp_path: Path) -> None:
    """Without a key set it is said that nobody compared the key."""
    strange = tmp_path / "jwks.json"
    strange.write_text('{"keys": []}', encoding="ascii")
    done = run("vendor", "read", "--keys", str(strange), str(three[0]), exit_code=1)
    assert "no key of the key set made it" in done.stderr
    assert "No key was compared with the key set" in run("vendor", "read", str(three[0])).stderr


def test_a_statement_with_the_twin_of_its_signature_is_the_same(
    site: Site, three: list[Path], tmp_path: Path
) -> None:
    """Anybody can make it of the file: it is the same statement, in the place of it and beside it."""
    text = "".join(three[1].read_text(encoding="ascii").splitlines()[1:-1])
    other = tmp_path / "twin"
    other.write_text(armoured(twin(text)), encoding="ascii")
    assert read(site, three[0], other, three[2]) == read(site, *three)
    assert read(site, three[0], three[1], other, three[2])[1] == ""
    last = "".join(three[2].read_text(encoding="ascii").splitlines()[1:-1])
    other.write_text(armoured(twin(last)), encoding="ascii")
    after = ("--after", str(other), "--until", days_ago(4))
    assert "there is nothing to state" in make(site, tmp_path / "no", *after, exit_code=1)


def test_what_is_not_decided_yet_is_not_stated(site: Site, three: list[Path], tmp_path: Path) -> None:
    """Nor nothing at all, nor after a statement that was changed."""
    file = tmp_path / "no"
    assert "what is later is not decided yet" in make(site, file, "--until", "2999-01-01", exit_code=2)
    nothing = ("--after", str(three[2]), "--until", days_ago(4))
    assert "there is nothing to state" in make(site, file, *nothing, exit_code=1)
    after = str(changed(three[2], tmp_path / "changed"))
    assert "was changed since it was signed" in make(site, file, "--after", after, exit_code=1)
    assert not file.exists()


def test_a_statement_that_is_kept_is_written_again(site: Site, three: list[Path], tmp_path: Path) -> None:
    """The same to the byte; one that is not kept is refused, and so is another span with it."""
    file = tmp_path / "again"
    make(site, file, "--number", "2")
    assert file.read_bytes() == three[1].read_bytes()
    assert "no statement 4 of Jim_Test is kept" in make(site, file, "--number", "4", exit_code=1)
    assert "exclude each other" in make(site, file, "--number", "2", "--until", days_ago(4), exit_code=2)


def test_an_earlier_statement_is_not_followed_again(site: Site, three: list[Path], tmp_path: Path) -> None:
    """It would be a different statement about that time."""
    said = make(site, tmp_path / "no", "--after", str(three[0]), exit_code=1)
    assert "the last statement is number 3, which is kept, and not this one" in said


def test_a_statement_whose_file_cannot_be_written_is_kept(site: Site, three: list[Path]) -> None:
    """What was signed is not lost, and not signed again."""
    said = make(site, site.data / "none" / "file", "--until", days_ago(3), exit_code=1)
    assert "statement 4 of Jim_Test" in said
    assert "cannot be written" in said
    assert f"this writes it: licet usage statement --number 4 --data {site.data} -o FILE" in said
    done = run("usage", "statement", "--data", str(site.data), "--number", "4")
    assert "BEGIN LICET USAGE STATEMENT" in done.stdout


def forged(target: Path, claims: dict[str, Any]) -> Path:
    """A statement of somebody who has a key, and signs what they like."""
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = (encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    payload = json.dumps({**claims, "key": {"kty": "EC", "crv": "P-256", "x": x, "y": y}}).encode()
    signed = f"{encode(header_of(thumbprint(x, y)))}.{encode(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    signature = encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    target.write_text(armoured(f"{signed}.{signature}"), encoding="ascii")
    return target


def of_first_pool(claims: dict[str, Any], **changed_: object) -> dict[str, Any]:
    """The claims with a pool that is another one."""
    pool, *others = claims["pools"]
    return {**claims, "pools": [{**pool, **changed_}, *others]}


def of_first_day(claims: dict[str, Any], **changed_: object) -> dict[str, Any]:
    """The claims with a day that is another one."""
    day, *others = claims["pools"][0]["days"]
    return of_first_pool(claims, days=[{**day, **changed_}, *others])


FORGERIES: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (lambda it: {**it, "until": 2**53 - 1}, "lacks a time"),
    (lambda it: {**it, "from": -DAY_S}, "lacks a time"),
    (lambda it: {**it, "from": it["from"] + 1}, "whole days of UTC"),
    (lambda it: {**it, "until": it["from"]}, "whole days of UTC"),
    (lambda it: {**it, "until": it["from"] - DAY_S}, "whole days of UTC"),  # and the next begins there
    (lambda it: {**it, "iat": it["from"]}, "whole days of UTC"),
    (lambda it: {**it, "from": 0}, "1 to 400 whole days"),
    (lambda it: {**it, "seq": 0}, "lacks its number"),
    (lambda it: {**it, "seq": True}, "lacks its number"),
    (lambda it: {**it, "tenant": {}}, "lacks the name"),
    (lambda it: {**it, "tenant": "\x1b]0;owned\x07"}, "lacks the name"),
    (lambda it: {**it, "restored": 5}, "lacks a list"),
    (lambda it: {**it, "pools": "full"}, "lacks a list"),
    (lambda it: {**it, "pools": ["full"]}, "a pool has no name"),
    (lambda it: {**it, "pools": it["pools"] * 2}, "is there twice"),
    (lambda it: of_first_pool(it, pool="full\nstatement 2"), "a pool has no name"),
    (lambda it: of_first_pool(it, days=None), "it has no days"),
    (lambda it: of_first_pool(it, days=it["pools"][0]["days"][:-1]), "its days are not those"),
    (lambda it: of_first_pool(it, days=it["pools"][0]["days"][1:]), "its days are not those"),
    (lambda it: of_first_pool(it, days=it["pools"][0]["days"] * 2), "its days are not those"),
    (lambda it: of_first_day(it, peak=-1), "no whole number"),
    (lambda it: of_first_day(it, overdraft_s="1"), "no whole number"),
    (lambda it: of_first_day(it, until=None), "its days are not those"),
    (lambda it: of_first_pool(it, added=it["until"]), "a day before it was added has figures"),
    (lambda it: of_first_pool(it, added="2026"), "when it was added is no time"),
    (lambda it: of_first_pool(it, added=253_402_300_800), "when it was added is no time"),
]


@pytest.mark.parametrize(("forge", "told"), FORGERIES)
def test_whoever_has_a_key_cannot_sign_what_is_no_statement(
    three: list[Path], tmp_path: Path, forge: Callable[[dict[str, Any]], dict[str, Any]], told: str
) -> None:
    """Nor leave out a day, nor tell one twice; a good statement beside it is shown."""
    bad = forged(tmp_path / "bad.statement", forge(claims_of(three[0])))
    done = run("vendor", "read", str(bad), str(three[0]), exit_code=1)
    assert f"licet: {bad}: the statement is none: " in done.stderr
    assert told in done.stderr
    assert done.stdout.startswith("statement  1\n")


def test_a_chain_is_read_with_all_key_sets_that_it_was_signed_by(
    site: Site, three: list[Path], tmp_path: Path
) -> None:
    """A key is published for two months at most, and a chain goes on for years."""
    newer = tmp_path / "newer.json"
    newer.write_text('{"keys": []}', encoding="ascii")
    older = str(site.data / "jwks.json")
    done = run("vendor", "read", "--keys", str(newer), "--keys", older, *map(str, three))
    assert not done.stderr
    newer.write_text("{}", encoding="ascii")
    error = run("vendor", "read", "--keys", str(newer), str(three[0]), exit_code=1).stderr
    assert error == f"licet: {newer}: this is no key set: it has no list of keys\n"


def test_a_span_that_is_too_long_says_where_a_statement_may_end(tmp_path: Path) -> None:
    site = Site(tmp_path, jim_test())
    write_keyring(tmp_path / FILE_NAME, new_keyring(site.clock.now_ms()))
    said = make(site, tmp_path / "no", "--from", "2020-01-01", exit_code=2)
    site.store.close()
    assert "a statement has 400 days at most: the last day of this one is 2021-02-03 at most" in said
