"""A vendor makes a key, signs licences with it and reads them, on a terminal and in a script."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from licet.licences.reading import read_file
from licet.licences.vendor_file import read_vendor
from support.cli.command_line import run, terminal
from support.licences.vendor_site import HASH, PASSPHRASE, SIGN, VendorSite


@pytest.fixture
def site(tmp_path: Path) -> VendorSite:
    """A vendor with a key."""
    return VendorSite(tmp_path)


def shown(site: VendorSite, *files: str) -> Any:
    """What `read` says of licences."""
    names = files or (str(site.file),)
    return json.loads(run("vendor", "read", *names, "--key", str(site.directory), "--json").stdout)


class TestKeys:
    """A key is encrypted, for its owner alone, and never written over."""

    def test_a_key_and_the_vendors_file_are_made(self, site: VendorSite) -> None:
        """The private half is encrypted, and nobody else may read it."""
        vendor = read_vendor((site.directory / "vendor.json").read_bytes())
        [kid] = vendor.keys
        private = site.directory / f"key-{kid}.pem"
        assert (vendor.name, vendor.product) == ("acme", "jim2-api")
        assert private.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        assert stat.S_IMODE(site.directory.stat().st_mode) == 0o700

    def test_a_key_that_is_there_stays(self, site: VendorSite) -> None:
        """No question asked: it may be the only one that signs."""
        before = {path.name: path.read_bytes() for path in site.directory.iterdir()}
        arguments = ("key", "new", "--vendor", "acme", "--product", "p", "-o", str(site.directory))
        message = site.error(*arguments, "--passphrase-stdin")
        assert message.endswith(f"and stays; to add a key: licet vendor key add --key {site.directory}")
        assert {path.name: path.read_bytes() for path in site.directory.iterdir()} == before

    def test_a_second_key_signs_when_it_is_named(self, site: VendorSite) -> None:
        """So that the file with it can reach every API before."""
        where = ("--key", str(site.directory))
        run("vendor", "key", "add", *where, "--passphrase-stdin", stdin="another five words to guess\n")
        keys = json.loads(run("vendor", "key", "list", *where, "--json").stdout)
        assert [it["signs"] for it in keys] == [True, False]
        site.sign()
        assert shown(site)[0]["key"] == keys[0]["kid"]
        message = site.sign("--kid", keys[1]["kid"][:8], "--yes", exit_code=1)
        assert "the passphrase of" in message
        site.sign("--kid", keys[1]["kid"][:8], "--yes", stdin="another five words to guess\n")
        assert shown(site)[0]["key"] == keys[1]["kid"]
        assert f"is nope; there is: {keys[0]['kid']}" in site.sign("--kid", "nope", "--yes", exit_code=1)

    @pytest.mark.parametrize(
        ("names", "stdin", "message"),
        [
            (("acme", "jim2-api"), "", "there is no passphrase on standard input"),
            (("acme", "jim2-api"), "short\n", "a passphrase is 12 to 256 characters"),
            (("acme", "jim2-api"), "passwordpassword\n", "a passphrase must be hard to guess"),
            (("acme\n", "jim2-api"), f"{PASSPHRASE}\n", "vendor is text of 1 to 100 characters"),
            (("acme", "x" * 101), f"{PASSPHRASE}\n", "product is text of 1 to 100 characters"),
        ],
    )
    def test_what_may_be_no_key_makes_nothing(
        self, site: VendorSite, tmp_path: Path, names: tuple[str, str], stdin: str, message: str
    ) -> None:
        """Exit code 2, and no directory."""
        where = tmp_path / "new"
        arguments = ("--vendor", names[0], "--product", names[1], "-o", str(where), "--passphrase-stdin")
        assert message in site.error("key", "new", *arguments, exit_code=2, stdin=stdin)
        assert not where.exists()

    def test_a_passphrase_is_never_an_argument(self, site: VendorSite, tmp_path: Path) -> None:
        """And is not asked for where nobody can answer."""
        message = site.error("key", "new", "--passphrase", PASSPHRASE, exit_code=2)
        assert message.startswith("a passphrase is never an argument, which others on this machine can read")
        arguments = ("--vendor", "acme", "--product", "p", "-o", str(tmp_path / "new"))
        message = site.error("key", "new", *arguments, exit_code=2)
        assert message == (
            "the passphrase of the new key is asked for on a terminal; elsewhere say --passphrase-stdin"
        )

    def test_a_key_is_made_on_a_terminal(self, tmp_path: Path) -> None:
        """The passphrase is asked for twice, and seen by nobody."""
        where = tmp_path / "vendor"
        arguments = ("vendor", "key", "new", "--vendor", "acme", "--product", "p", "-o", str(where))
        with terminal(*arguments) as screen:
            for question, answer in (
                ("Passphrase of the new key: ", PASSPHRASE),
                ("Repeat for confirmation: ", "another one"),
                ("Error: The two entered values do not match.", ""),
                ("Passphrase of the new key: ", PASSPHRASE),
                ("Repeat for confirmation: ", PASSPHRASE),
            ):
                screen.read_until(question)  # with its space: before that the terminal still echoes
                if answer:
                    screen.press(f"{answer}\n")
            assert screen.ended() == 0
        assert PASSPHRASE not in screen.text
        assert len(list(where.iterdir())) == 2


class TestSigning:
    """A licence says what was ordered, and has the next serial of its id."""

    def test_a_licence_is_signed_as_it_was_ordered(self, site: VendorSite) -> None:
        """The line of the handbook."""
        message = site.sign("--overdraft", "full=3", "--expires", "2099-12-31", "--grace", "14d")
        assert message == (
            "Licence C-1.Jim_Test, serial 1: 25 seats of full and 3 of overdraft, until the end of"
            f" 2099-12-31; it is in {site.file}.\n"
        )
        [licence] = shown(site)
        assert licence["pools"]["full"] == {
            "seats": 25,
            "overdraft": 3,
            "scopes": ["all"],
            "hold_s": 60,
            "access_ttl_max_s": 600,
            "duplicates": ["client", "user"],
        }
        assert (licence["expires_at"], licence["grace_s"]) == ("2100-01-01T00:00:00Z", 14 * 86_400)
        assert (licence["verified"], licence["state"], licence["installation"]) == (True, "valid", None)
        assert site.file.read_text(encoding="ascii").startswith("-----BEGIN LICET LICENCE-----\n")

    def test_every_option_is_a_claim(self, site: VendorSite) -> None:
        """Each pool has its own."""
        site.sign(
            *("--pool", "lite=5", "--scopes", "lite=view reports", "--scopes", "lite=more"),
            *("--hold", "full=20m", "--access-ttl-max", "full=5m", "--duplicates", "full=user"),
            *("--licence", "C-1.main", "--installation", HASH, "--begins", "2099-01-01"),
            *("--updates-until", "2099-06-30", "--feature", "export", "--feature", "api"),
        )
        [licence] = shown(site)
        assert licence["pools"]["lite"]["scopes"] == ["more", "reports", "view"]
        full = licence["pools"]["full"]
        assert (full["hold_s"], full["access_ttl_max_s"], full["duplicates"]) == (1200, 300, ["user"])
        assert (licence["licence"], licence["installation"]) == ("C-1.main", HASH)
        assert (licence["begins_at"], licence["state"]) == ("2099-01-01T00:00:00Z", "not_yet")
        assert (licence["updates_until"], licence["features"]) == ("2099-06-30", ["export", "api"])

    def test_a_renewal_has_the_next_serial(self, site: VendorSite) -> None:
        """The same order again; and another id begins with 1, and is said to add up."""
        site.sign()
        assert "serial 2" in site.sign("--yes")
        message = site.sign("--licence", "C-1.emergency", "--pool", "full=1", "--yes")
        assert "Licence C-1.emergency, serial 1: 1 seat of full, without end" in message
        assert (
            "Licence C-1.Jim_Test gives pool full seats as well, without end; they add up to 26 seats."
            in message
        )
        entries = json.loads(run("vendor", "list", "--key", str(site.directory), "--json").stdout)
        assert [(it["licence"], it["serial"], it["state"]) for it in entries] == [
            ("C-1.Jim_Test", 1, "replaced"),
            ("C-1.Jim_Test", 2, "newest"),
            ("C-1.emergency", 1, "newest"),
        ]

    def test_a_renewal_that_takes_seats_away_at_once_is_pointed_out(self, site: VendorSite) -> None:
        """It may have been meant for the next year."""
        site.sign("--expires", "2099-12-31")
        message = site.sign("--pool", "full=20", "--yes")
        assert "serial 1 as soon as it is installed, which gives more: 25 seats of full, until" in message
        assert "which gives more" not in site.sign("--pool", "full=20", "--begins", "2101-01-01", "--yes")
        assert "which gives more" not in site.sign("--pool", "full=40", "--yes")

    def test_a_licence_goes_to_standard_output_alone(self, site: VendorSite) -> None:
        """What is said about it goes to standard error, so that it can be piped."""
        where = ("--key", str(site.directory), "--passphrase-stdin")
        result = run("vendor", "sign", *where, *SIGN, stdin=f"{PASSPHRASE}\n")
        vendor = read_vendor((site.directory / "vendor.json").read_bytes())
        assert len(read_file(result.stdout.encode(), [vendor])) == 1
        assert result.stderr.startswith("Licence C-1.Jim_Test, serial 1: 25 seats of full, without end.")
        piped = run("vendor", "read", "-", "--key", str(site.directory), stdin=result.stdout)
        assert "C-1.Jim_Test" in piped.stdout

    def test_a_licence_that_is_there_is_not_replaced_unasked(self, site: VendorSite) -> None:
        """And no serial is taken for it."""
        site.sign()
        before = site.file.read_bytes()
        message = site.sign(exit_code=2)
        assert message.endswith("is there already. Replace it? Nobody can be asked here; say --yes\n")
        assert site.file.read_bytes() == before
        assert "serial 2" in site.sign("--yes")

    def test_a_template_says_what_a_product_gives(self, site: VendorSite, tmp_path: Path) -> None:
        """An option takes the place of its value, and of no other."""
        template = tmp_path / "standard.toml"
        template.write_text(
            """
            grace = "14d"
            features = ["export"]
            expires = 2099-12-31
            updates_until = 2098-12-31

            [pool.full]
            seats = 10
            scopes = ["all", "reports"]
            hold = "20m"
            access_ttl_max = 300

            [pool.lite]
            seats = 2
            scopes = ["view"]
            """,
            encoding="utf-8",
        )
        site.sign("--from", str(template), "--expires", "2100-01-31")
        [licence] = shown(site)
        assert {name: it["seats"] for name, it in licence["pools"].items()} == {"full": 25, "lite": 2}
        assert licence["pools"]["full"]["scopes"] == ["all", "reports"]
        assert (licence["pools"]["full"]["hold_s"], licence["features"]) == (1200, ["export"])
        assert (licence["expires_at"], licence["grace_s"]) == ("2100-02-01T00:00:00Z", 14 * 86_400)
        assert licence["updates_until"] == "2098-12-31"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--pool", "full"), "--pool is written POOL=..., as in full=25; this is not: 'full'"),
            (("--pool", "full=many"), "--pool needs a whole number behind the =; this is not: 'many'"),
            (("--pool", "full=-1"), "--pool needs a whole number"),
            (("--pool", "full=1000001"), "pools.full.seats is 0 to 1000000, and not 1000001"),
            (("--pool", "lite=5"), "pool lite: say which scopes may draw on it"),
            (("--scopes", "lite=view"), "pool lite: say how many seats it has"),
            (("--hold", "full=0"), "pools.full.hold is 1 to 86400, and not 0"),
            (("--hold", "full=soon"), "hold of pool full: a duration is written 1200, 1200s, 20m, 8h or 31d"),
            (("--access-ttl-max", "full=59s"), "pools.full.access_ttl_max is 60 to 86400"),
            (("--duplicates", "full=none"), "pools.full.duplicates is a list of client, user or both"),
            (("--scopes", 'full="'), "pools.full.scopes is a list of words"),
            (("--expires", "2027-02-30"), "expires: there is no day 2027-02-30"),
            (("--expires", "2020-01-01"), "exp is after nbf, or the licence would never count"),
            (("--begins", "soon"), "begins: a moment is written 2027-01-31"),
            (("--grace", "14d"), "grace needs exp: a perpetual licence has no end to follow"),
            (("--grace", "91d", "--expires", "2099-01-01"), "grace is 0 to 7776000, and not 7862400"),
            (("--installation", "abc"), "installation is 43 characters of base64url"),
            (("--updates-until", "never"), "updates_until is a day, like 2027-12-31"),
            (("--feature", "two words"), "features is a list of words"),
            (("--tenant", "Jim Test"), "tenant is 1 to 64 letters"),
            (("--customer", "M\u00fcller & Co"), "give it another id: --licence ID"),
            (("--licence", "C/1"), "licence is 1 to 64 of"),
            (("--signer", "true"), "--signer and --passphrase-stdin exclude each other"),
            (("--from", "/nowhere.toml"), "/nowhere.toml cannot be read: No such file"),
        ],
    )
    def test_an_order_that_makes_no_licence_takes_no_serial(
        self, site: VendorSite, arguments: tuple[str, ...], message: str
    ) -> None:
        """It is refused by the same rules by which it would be read."""
        exit_code = 1 if "cannot be read" in message else 2
        assert message in site.sign(*arguments, exit_code=exit_code)
        assert not (site.directory / "register.db").exists()
        assert not site.file.exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("seats = 5", "there is no seats; there is: begins, customer, expires, features, grace"),
            ("[pool.full]\nwait = 5", "pool full: there is no wait; there is: access_ttl_max, duplicates"),
            ("[pool]\nfull = 5", "a pool of a template is a table, like [pool.full]"),
            ("[pool.full]\nseats = '5'", "pools.lite.seats"),
            ("= nonsense", "is no TOML"),
            ("x" * 65_537, "has more than 65536 bytes"),
        ],
    )
    def test_a_template_that_is_none_is_refused(
        self, site: VendorSite, tmp_path: Path, content: str, message: str
    ) -> None:
        """With what is wrong in it."""
        template = tmp_path / "template.toml"
        template.write_text(content.replace("full]\nseats = '5'", "lite]\nseats = '5'\nscopes = ['all']"))
        assert message in site.sign("--from", str(template), exit_code=2)

    def test_a_licence_says_for_whom_it_is(self, site: VendorSite) -> None:
        """Tenant and customer are not guessed."""
        where = ("sign", "--key", str(site.directory), "--passphrase-stdin")
        message = site.error(*where, "--customer", "C-1", "--pool", "full=1", exit_code=2)
        assert message == "say for which tenant of the customer's Licet it is: --tenant NAME"
        message = site.error(*where, "--tenant", "Jim_Test", "--pool", "full=1", exit_code=2)
        assert message == "say for whom it is: --customer NAME, or --licence ID"
        message = site.error(*where, "--tenant", "Jim_Test", "--customer", "C-1", exit_code=2)
        assert message == "say how many seats it gives: --pool full=25"

    def test_a_lost_register_is_begun_above_what_was_given_out(self, site: VendorSite) -> None:
        """With --serial, once."""
        assert "serial 40" in site.sign("--serial", "40")
        assert "serial 41" in site.sign("--yes")
        message = site.sign("--serial", "40", "--yes", exit_code=1)
        assert (
            "serial 40 of C-1.Jim_Test is not above 41, which was given out; see: licet vendor list --key"
            in message
        )

    def test_a_wrong_passphrase_signs_nothing(self, site: VendorSite) -> None:
        """It is repeated nowhere, and takes no serial."""
        message = site.sign(stdin="correct horse battery staple ostrich\n", exit_code=1)
        assert "is wrong, or the file is damaged" in message
        assert "ostrich" not in message
        assert not (site.directory / "register.db").exists()

    def test_a_passphrase_that_is_no_text_is_refused(self, site: VendorSite) -> None:
        """In one line, whatever the locale makes of it."""
        line = [sys.executable, "-m", "licet", "vendor", "sign", "--key", str(site.directory), *SIGN]
        for locale in ("C", "C.UTF-8"):
            done = subprocess.run(
                [*line, "--passphrase-stdin"],
                input=b"caf\xe9 battery staple\n",
                env=os.environ | {"LC_ALL": locale},
                capture_output=True,
                check=False,
            )
            assert done.returncode == 2
            assert done.stderr == b"licet: the passphrase on standard input is no text in UTF-8\n"

    def test_a_licence_is_signed_on_a_terminal(self, site: VendorSite) -> None:
        """The passphrase is asked for once, before that whether a file may be replaced."""
        site.file.write_text("a file of somebody")
        arguments = ("vendor", "sign", "--key", str(site.directory), *SIGN, "-o", str(site.file))
        with terminal(*arguments) as screen:
            screen.read_until("Replace it? [y/N]:")
            screen.press("n\n")
            assert screen.ended() == 1
        assert site.file.read_text() == "a file of somebody"
        with terminal(*arguments) as screen:
            screen.read_until("Replace it? [y/N]:")
            screen.press("y\n")
            screen.read_until(".pem: ")
            screen.press(f"{PASSPHRASE}\n")
            assert screen.ended() == 0
        assert PASSPHRASE not in screen.text
        assert shown(site)[0]["serial"] == 1


class TestReading:
    """What a file says, and whether the vendor signed it."""

    def test_a_licence_that_was_changed_is_refused(self, site: VendorSite) -> None:
        """Exit code 1, one line, nothing of it shown."""
        site.sign()
        content = site.file.read_text()
        at = content.index("\n", 200) - 5
        site.file.write_text(content[:at] + ("A" if content[at] != "A" else "B") + content[at + 1 :])
        message = site.error("read", str(site.file), "--key", str(site.directory))
        assert message.startswith(
            f"{site.file}: its signature is wrong: it was changed, or acme never signed it;"
        )

    def test_a_licence_of_another_vendor_is_refused(self, site: VendorSite, tmp_path: Path) -> None:
        """And said what to get."""
        site.sign()
        other = tmp_path / "other"
        arguments = ("--vendor", "other", "--product", "p", "-o", str(other), "--passphrase-stdin")
        run("vendor", "key", "new", *arguments, stdin=f"{PASSPHRASE}\n")
        message = site.error("read", str(site.file), "--key", str(other / "vendor.json"))
        assert "which is of no vendor that is trusted here; if the vendor has a new key, get" in message

    def test_without_a_vendor_nothing_is_verified_and_that_is_said(
        self, site: VendorSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where `vendor` is in the directory, its keys are used unasked."""
        site.sign()
        monkeypatch.chdir(site.directory)
        result = run("vendor", "read", str(site.file))
        assert "not verified" in result.stdout
        assert result.stderr.startswith("No signature was verified, so anybody may have written this")
        [licence] = json.loads(run("vendor", "read", str(site.file), "--json").stdout)
        assert licence["verified"] is False
        monkeypatch.chdir(site.directory.parent)
        result = run("vendor", "read", str(site.file))
        assert "of acme, by key" in result.stdout
        assert not result.stderr

    def test_good_files_are_shown_though_another_is_bad(self, site: VendorSite, tmp_path: Path) -> None:
        """And the exit code is 1."""
        site.sign()
        bad = tmp_path / "bad.licence"
        bad.write_text("nonsense")
        where = ("--key", str(site.directory))
        result = run("vendor", "read", str(bad), str(site.file), "/nowhere", *where, exit_code=1)
        assert "C-1.Jim_Test" in result.stdout
        assert f"licet: {bad}: no line of the file is -----BEGIN LICET LICENCE-----" in result.stderr
        assert "licet: /nowhere cannot be read: No such file or directory" in result.stderr

    def test_two_ids_of_one_purchase_are_pointed_out(self, site: VendorSite, tmp_path: Path) -> None:
        """They add up, which a renewal must not."""
        site.sign()
        second = tmp_path / "second.licence"
        first, site.file = site.file, second
        site.sign("--licence", "other")
        result = run("vendor", "read", str(first), str(second), "--key", str(site.directory))
        message = (
            "Licences C-1.Jim_Test and other both give pool full seats in Jim_Test; they add up to 50 seats."
        )
        assert message in result.stderr

    def test_the_day_on_which_a_licence_ends_is_its_last(self, site: VendorSite) -> None:
        """In UTC."""
        while True:
            day = datetime.now(UTC).date()
            site.sign("--expires", day.isoformat())
            state = shown(site)[0]["state"]
            if datetime.now(UTC).date() == day:  # it was not over in between
                break
        assert state == "valid"


def test_the_vendors_verbs_open_no_store(tmp_path: Path) -> None:
    """A data directory need not be there, and none is made."""
    environment = os.environ | {"LICET_DATA": str(tmp_path / "none")}
    line = [sys.executable, "-m", "licet", "vendor", "read", "/nowhere"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "licet: /nowhere cannot be read: No such file or directory\n",
    )
    assert not list(tmp_path.iterdir())
