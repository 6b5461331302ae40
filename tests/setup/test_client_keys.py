"""Public keys of clients in the hands of administrators: set-up, command line, file and admin API.

And secrets that are replaced with an overlap (RFC 9700 2.5).
"""

import json
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from licet.cli.run.check_advice import advice_of
from licet.credentials.generated import ClientSecrets
from licet.credentials.public_keys import read_keys, to_jwk
from licet.formats import instant
from licet.model import InvalidValue
from licet.setup.change import changing
from licet.setup.check import SOON_MS, check
from licet.setup.file import DeclarationInvalid, read, write
from licet.setup.parts.client_secrets_and_keys import OVERLAP_S_MAX
from licet.setup.plan import apply
from licet.setup.validation import KEYS_MAX
from licet.store import schema
from licet.store.errors import AlreadyThere, NotFound, StillInUse
from support.admin.admin_site import AdminSite, problem
from support.cli.cli_site import CommandLine, new_data
from support.cli.command_line import terminal
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site, secret
from support.web.signing import Signer

KEY = Signer.new("ES256").key
OTHER = Signer.new("EdDSA").key
RSA = Signer.new("RS256").key


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Each kind of store, with the tenant `Jim_Test`."""
    site = Site(make_place(START_MS))
    site.begin()
    yield site
    site.check()
    site.close()


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A data directory with the client TestClientId."""
    return CommandLine(new_data(tmp_path / "data"))


def _pair(*, with_dash: bool) -> ec.EllipticCurvePrivateKey:
    """A key pair whose thumbprint begins with a dash, as one in 64 does, or one that does not."""
    while True:
        pair = ec.generate_private_key(ec.SECP256R1())
        [key] = read_keys(_public(pair))
        if key.thumbprint.startswith("-") == with_dash:
            return pair


def _public(pair: ec.EllipticCurvePrivateKey) -> str:
    return pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class TestSetup:
    """What every store keeps."""

    def test_keys_are_added_found_and_removed_by_either_name(self, site: Site) -> None:
        """RFC 7517 4.5, RFC 7638; each change leaves an event."""
        with changing(site.store, ADA) as change:
            setup = change.tenant(JIM)
            setup.add_key("c1", KEY, START_MS + 60_000)
            setup.add_key("c1", replace(OTHER, kid="2026-11"))
            setup.add_key("c2", KEY)
        first, second = sorted(site.client("c1").keys, key=lambda key: key.expires_at_ms is None)
        assert first == replace(KEY, created_at_ms=START_MS, expires_at_ms=START_MS + 60_000)
        assert second == replace(OTHER, kid="2026-11", created_at_ms=START_MS)
        assert site.client("c1").password_allowed
        with changing(site.store, ADA) as change:
            change.tenant(JIM).remove_key("c1", "2026-11")
            change.tenant(JIM).remove_key("c1", KEY.thumbprint)
        assert not site.client("c1").keys
        assert [it.thumbprint for it in site.client("c2").keys] == [KEY.thumbprint]
        events = [(row.action, row.detail) for row in site.rows(schema.event) if row.target == "client c1"]
        assert events[-4:] == [
            ("add key", f"{KEY.thumbprint}, expires 2023-11-14T22:15:00Z"),
            ("add key", f"{OTHER.thumbprint}, expires never"),
            ("remove key", OTHER.thumbprint),
            ("remove key", KEY.thumbprint),
        ]

    def test_no_two_keys_of_a_client_have_one_name(self, site: Site) -> None:
        """RFC 7515 4.1.4: an assertion that names one means no other."""
        with changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", replace(KEY, kid="a"))
        for twin in (KEY, replace(OTHER, kid="a"), replace(OTHER, kid=KEY.thumbprint)):
            with pytest.raises(AlreadyThere), changing(site.store, ADA) as change:
                change.tenant(JIM).add_key("c1", twin)
        assert len(site.client("c1").keys) == 1

    def test_no_new_name_of_a_key_has_a_character_that_cannot_be_seen(self, site: Site) -> None:
        """It would be shown as that of another key; in a file as well."""
        hidden = replace(KEY, kid="a\N{RIGHT-TO-LEFT OVERRIDE}b")
        with pytest.raises(InvalidValue, match=r"new kid .* U\+202E"), changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", hidden)
        with pytest.raises(InvalidValue, match=r"new kid .* U\+202E"), changing(site.store, ADA) as change:
            change.tenant(JIM).set_client("c1", keys=(hidden,))

    def test_what_cannot_be_is_refused(self, site: Site) -> None:
        """In one line that says why."""
        with pytest.raises(InvalidValue, match="later than now"), changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", KEY, START_MS)
        with pytest.raises(NotFound, match="client nobody"), changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("nobody", KEY)
        with pytest.raises(NotFound, match="key of client c1"), changing(site.store, ADA) as change:
            change.tenant(JIM).remove_key("c1", KEY.thumbprint)
        with changing(site.store, ADA) as change:
            for _ in range(KEYS_MAX):
                change.tenant(JIM).add_key("c1", Signer.new("EdDSA").key)
        with pytest.raises(StillInUse, match="has 16 keys"), changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", KEY)
        assert site.count(schema.public_key) == KEYS_MAX

    def test_they_go_with_their_client_and_with_their_tenant(self, site: Site) -> None:
        """No row outlives what it is of."""
        with changing(site.store, ADA) as change:
            for client_id in ("c1", "c2"):
                change.tenant(JIM).add_key(client_id, KEY)
        with changing(site.store, ADA) as change:
            change.tenant(JIM).remove_client("c1")
        assert site.count(schema.public_key) == 1
        with changing(site.store, ADA) as change:
            change.remove_tenant(JIM)
        assert site.count(schema.public_key) == 0

    def test_check_tells_of_keys_that_end_and_counts_them_as_a_proof(self, site: Site) -> None:
        """A client with a key alone can authenticate."""
        with changing(site.store, ADA) as change:
            setup = change.tenant(JIM)
            setup.set_client("c1", password_allowed=False)
            setup.add_key("c1", replace(KEY, kid="old"), START_MS + 10_000)
            setup.add_key("c1", OTHER, START_MS + SOON_MS + 20_000)
        tenants = {site.tenant.id: site.tenant}

        def found(now_ms: int) -> list[tuple[str, str]]:
            with site.store.reading() as connection:
                every = check(connection, tenants, now_ms)
            return [
                (it.problem, advice_of(it, names_tenant=False)) for it in every if it.target == "client c1"
            ]

        assert found(START_MS) == [
            ("its key old expires on 2023-11-14 at 22:14:10 UTC", "licet client key add c1 FILE")
        ]
        assert found(START_MS + 10_000) == [
            ("its key old expired on 2023-11-14 at 22:14:10 UTC", "licet client key remove c1 old")
        ]
        assert found(START_MS + SOON_MS + 20_000)[0] == (
            "it cannot authenticate: no password works for it, no secret and no key",
            "licet client secret add c1",
        )


class TestRotation:
    """A secret in the place of the others."""

    def test_the_others_end_with_the_overlap_and_none_lives_longer_than_it_did(self, site: Site) -> None:
        """RFC 9700 2.5; what has expired already goes."""
        secrets = ClientSecrets(b"p" * 32)
        old, short, gone, new = (secrets.generate() for _ in range(4))
        with changing(site.store, ADA) as change:
            change.tenant(JIM).add_secret("c1", old)
            change.tenant(JIM).add_secret("c1", short, START_MS + 60_000)
            change.tenant(JIM).add_secret("c1", gone, START_MS + 1000)
        site.clock.advance(seconds=1)
        now_ms = START_MS + 1000
        with changing(site.store, ADA) as change:
            change.tenant(JIM).rotate_secret("c1", new, 3600, START_MS + 86_400_000)
        client = site.client("c1")
        assert {it.secret_id: it.expires_at_ms for it in client.secrets} == {
            old.secret_id: now_ms + 3_600_000,
            short.secret_id: START_MS + 60_000,
            new.secret_id: START_MS + 86_400_000,
        }
        for kept, until_ms in ((old, now_ms + 3_600_000), (short, START_MS + 60_000)):
            assert secrets.find(client, kept.secret, until_ms - 1) is not None
            assert secrets.find(client, kept.secret, until_ms) is None
        details = [row.detail for row in site.rows(schema.event) if row.action == "rotate secret"]
        assert details == ["2 others until 2023-11-14T23:14:01Z at most"]

    def test_without_an_overlap_they_end_at_once(self, site: Site) -> None:
        """For a secret that somebody has seen."""
        secrets = ClientSecrets(b"p" * 32)
        old, new = secrets.generate(), secrets.generate()
        with changing(site.store, ADA) as change:
            change.tenant(JIM).add_secret("c1", old)
            change.tenant(JIM).rotate_secret("c1", new, 0)
        client, now_ms = site.client("c1"), site.clock.now_ms()
        assert secrets.find(client, old.secret, now_ms) is None
        assert secrets.find(client, new.secret, now_ms) is not None

    @pytest.mark.parametrize("overlap_s", [-1, OVERLAP_S_MAX + 1])
    def test_an_overlap_is_bounded(self, site: Site, overlap_s: int) -> None:
        """A rotation that never ends is none."""
        with pytest.raises(InvalidValue, match="an overlap is"), changing(site.store, ADA) as change:
            change.tenant(JIM).rotate_secret("c1", secret(), overlap_s)


class TestFile:
    """The set-up as a file: public keys are no secrets."""

    def test_keys_are_written_and_read_back(self, site: Site) -> None:
        """Applied again there is nothing to do."""
        with changing(site.store, ADA) as change:
            setup = change.tenant(JIM)
            setup.add_key("c1", replace(KEY, kid="2026-11", algorithm="ES256"), START_MS + 1500)
            setup.add_key("c1", OTHER)
            setup.add_key("c1", RSA)
        text = write([site.tenant])
        assert f'kid = "{OTHER.thumbprint}", kty = "OKP"' in text
        assert "expires = 2023-11-14T22:14:01.500000Z" in text
        wanted = read(text, "f.toml")
        assert not apply(site.store, wanted, ADA).steps

    def test_a_file_adds_changes_and_removes_them_and_keeps_their_history(self, site: Site) -> None:
        """A key that is not in the file is not the client's."""
        with changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", KEY)
            change.tenant(JIM).add_key("c1", OTHER)
        text = write([site.tenant])
        site.clock.advance(seconds=60)
        kept = f'kid = "{KEY.thumbprint}"'
        renamed = text.replace(kept, 'expires = 2099-01-31, kid = "new"')
        without = "\n".join(it for it in renamed.splitlines() if OTHER.thumbprint not in it)
        found = apply(site.store, read(without, "f.toml"), ADA)
        both = "+".join(sorted((KEY.thumbprint, OTHER.thumbprint)))
        assert [it.detail for it in found.steps] == [f"keys {both} -> new until 2099-02-01T00:00:00Z"]
        (key,) = site.client("c1").keys
        assert (key.kid, key.created_at_ms) == ("new", START_MS)
        assert key.expires_at_ms is not None

    @pytest.mark.parametrize(
        ("keys", "told_of"),
        [
            ('"text"', "keys: a list of JWKs"),
            ('["text"]', "keys.1: a JWK is allowed, no text"),
            ('[{kty = "oct", k = "c2VjcmV0"}]', "keys.1: a shared key is a secret"),
            ('[{kty = "EC", crv = "P-256", x = "AA", y = "AA", d = "AA"}]', "keys.1: this is a private key"),
            ('[{kty = "EC", crv = "P-256", x = "AA", y = "AA"}]', "keys.1: a key is EC on P-256"),
            ("[{expires = 5}]", "keys.1.expires: a date"),
        ],
    )
    def test_what_is_no_public_key_is_a_mistake_with_its_place(self, keys: str, told_of: str) -> None:
        """And nothing of a private key is told."""
        text = "[tenant.J.pool.full]\nseats = 1\n[tenant.J.user.TC]\n[tenant.J.client.x]\n"
        text += f'user = "TC"\nkeys = {keys}\n'
        with pytest.raises(DeclarationInvalid) as refused:
            read(text, "f.toml")
        assert str(refused.value.mistakes[0]).startswith(f"tenant.J.client.x.{told_of}")
        assert "c2VjcmV0" not in str(refused.value)

    def test_two_keys_of_one_name_are_refused(self, site: Site) -> None:
        """When the file is applied."""
        with changing(site.store, ADA) as change:
            change.tenant(JIM).add_key("c1", KEY)
            change.tenant(JIM).add_key("c1", OTHER)
        twins = write([site.tenant]).replace(OTHER.thumbprint, KEY.thumbprint)
        with pytest.raises(AlreadyThere, match="same kid"):
            apply(site.store, read(twins, "f.toml"), ADA)


class TestCommandLine:
    """`licet client key` and `licet client secret rotate`."""

    def test_a_key_pair_is_made_added_listed_and_removed(self, cli: CommandLine, tmp_path: Path) -> None:
        """The private key is readable by its owner only, and is never written over."""
        private = tmp_path / "private.pem"
        made = run_alone("client", "key", "new", "--out", str(private))
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        assert "PRIVATE KEY" in private.read_text()
        public = json.loads(made)
        assert (public["kty"], public["alg"], public["use"]) == ("EC", "ES256", "sig")
        assert "d" not in public
        thumbprint = cli.out("client", "key", "add", "TestClientId", "--expires", "2099-01-31", stdin=made)
        assert thumbprint == f"{public['kid']}\n"
        (listed,) = cli.json("client", "key", "list", "TestClientId")
        listed.pop("created_at")
        assert listed == {
            "kid": public["kid"],
            "thumbprint": public["kid"],
            "algorithm": "ES256",
            "expires_at": "2099-02-01T00:00:00Z",
            "last_used_at": None,
            "expired": False,
        }
        assert cli.json("client", "show", "TestClientId")["authenticates_by"] == ["password", "key"]
        removed = cli.out("client", "key", "remove", "TestClientId", public["kid"], "--yes")
        assert removed == f"Key {public['kid']} of client TestClientId removed.\n"
        assert cli.run("client", "key", "list", "TestClientId").stderr == (
            "No key yet. Add the first one: licet client key add TestClientId FILE\n"
        )
        before = private.read_bytes()
        assert "is there already" in error_of("client", "key", "new", "--out", str(private))
        assert private.read_bytes() == before

    def test_a_pair_is_made_whose_name_no_verb_takes_for_an_option(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first pair has such a name, so another one is made."""
        pairs = [_pair(with_dash=True), _pair(with_dash=False)]
        monkeypatch.setattr(ec, "generate_private_key", lambda _: pairs.pop(0))
        made = run_alone("client", "key", "new", "--out", str(tmp_path / "private.pem"))
        assert not json.loads(made)["kid"].startswith("-")
        assert not pairs

    def test_a_key_whose_name_begins_with_a_dash_is_removed_behind_two(self, cli: CommandLine) -> None:
        """A refusal says how."""
        public = _public(_pair(with_dash=True))
        kid = cli.out("client", "key", "add", "TestClientId", stdin=public).strip()
        refused = cli.run("client", "key", "remove", "TestClientId", kid, "--yes", exit_code=2).stderr
        assert "; an argument that begins with a dash stands behind -- (see: " in refused
        removed = cli.out("client", "key", "remove", "--yes", "--", "TestClientId", kid)
        assert removed == f"Key {kid} of client TestClientId removed.\n"

    @pytest.mark.parametrize(
        "arguments",
        [
            ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            ["genpkey", "-algorithm", "ed25519"],
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ],
    )
    def test_what_openssl_makes_is_taken(
        self, cli: CommandLine, tmp_path: Path, arguments: list[str]
    ) -> None:
        """As the how-to says."""
        private, public = tmp_path / "private.pem", tmp_path / "public.pem"
        subprocess.run(["openssl", *arguments, "-out", str(private)], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True)
        cli.run("client", "key", "add", "TestClientId", str(public), "--kid", "2026-11", "--no-password")
        assert [it["kid"] for it in cli.json("client", "key", "list", "TestClientId")] == ["2026-11"]
        assert cli.json("client", "show", "TestClientId")["authenticates_by"] == ["key"]
        told_of = cli.error("client", "key", "add", "TestClientId", str(private), exit_code=2)
        assert "openssl pkey -in FILE -pubout" in told_of

    def test_what_does_not_go_is_told_in_a_line(self, cli: CommandLine, tmp_path: Path) -> None:
        """With the exit code that goes with it."""
        both = json.dumps({"keys": [to_jwk(KEY), to_jwk(OTHER)]})
        assert "cannot be read" in cli.error("client", "key", "add", "TestClientId", str(tmp_path / "none"))
        assert "--kid names one key" in cli.error(
            "client", "key", "add", "TestClientId", "--kid", "a", stdin=both, exit_code=2
        )
        assert "no client x" in cli.error("client", "key", "add", "x", stdin=both)
        assert "there is no client x" in cli.error("client", "key", "list", "x")
        assert "cannot be written" in error_of("client", "key", "new", "--out", str(tmp_path / "no" / "file"))
        assert cli.out("client", "key", "add", "TestClientId", stdin=both).split() == [
            KEY.thumbprint,
            OTHER.thumbprint,
        ]

    @pytest.mark.wide
    def test_on_a_terminal_it_says_that_it_waits_for_a_key(self, cli: CommandLine) -> None:
        """Who names no file would look at an empty line."""
        with terminal("client", "key", "add", "TestClientId", "--data", str(cli.data)) as screen:
            screen.read_until("Ctrl-D on a line of its own ends it.")
            screen.press(f"{KEY.jwk}\n\x04")
            assert screen.ended() == 0
        assert "Key of client TestClientId added." in screen.text

    def test_a_rotation_shows_the_new_secret_alone(self, cli: CommandLine) -> None:
        """And the others end with the overlap."""
        old = cli.json("client", "secret", "add", "TestClientId")
        result = cli.run("client", "secret", "rotate", "TestClientId", "--overlap", "1h")
        new = result.stdout.strip()
        assert new.startswith("lcs_")
        assert result.stderr.endswith("the others work for 1h more.\n")
        listed = {
            it["secret_id"]: it["expires_at"] for it in cli.json("client", "secret", "list", "TestClientId")
        }
        assert listed[old["secret_id"]] is not None
        assert [end for name, end in listed.items() if new.startswith(f"lcs_{name}")] == [None]
        again = cli.json("client", "secret", "rotate", "TestClientId", "--expires", "2099-01-31")
        assert again["expires_at"] == "2099-02-01T00:00:00Z"
        assert "a duration is written" in cli.error(
            "client", "secret", "rotate", "TestClientId", "--overlap", "soon", exit_code=2
        )
        assert "an overlap is 0 s to 31d" in cli.error(
            "client", "secret", "rotate", "TestClientId", "--overlap", "32d", exit_code=2
        )


class TestApi:
    """The same by the admin API."""

    @pytest.fixture
    def api(self, make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
        """An admin listener on each kind of store."""
        found = AdminSite(make_place(START_MS), tmp_path)
        yield found
        found.close()

    def test_a_key_is_added_shown_listed_and_removed(self, api: AdminSite) -> None:
        """By its kid or its thumbprint."""
        where = f"/tenants/{JIM}/clients/c1/keys"
        body = {"key": json.dumps(to_jwk(KEY)), "kid": "2026-11", "expires_at": instant(START_MS + 5000)}
        made = api.call("POST", where, "owner", json=body)
        assert (made.status_code, made.headers["location"].endswith(KEY.thumbprint)) == (201, True)
        shown = made.json()
        assert shown == {
            "kid": "2026-11",
            "thumbprint": KEY.thumbprint,
            "algorithm": "ES256",
            "jwk": {**to_jwk(KEY), "kid": "2026-11"},
            "created_at": instant(START_MS),
            "expires_at": instant(START_MS + 5000),
            "last_used_at": None,
        }
        assert api.call("GET", where, "viewer").json()["items"] == [shown]
        for name in ("2026-11", KEY.thumbprint):
            assert api.call("GET", f"{where}/{name}", "viewer").json() == shown
        problem(api.call("POST", where, "owner", json=body), 409, "already-there")
        assert api.call("GET", f"/tenants/{JIM}/clients/c1", "viewer").json()["authenticates_by"] == [
            "password",
            "key",
        ]
        for _ in range(2):
            assert api.call("DELETE", f"{where}/2026-11", "owner").status_code == 204
        assert api.call("GET", f"{where}/2026-11", "viewer").status_code == 404

    @pytest.mark.parametrize(
        "key",
        ["rubbish", '{"kty": "oct", "k": "c2VjcmV0"}', json.dumps({"keys": [to_jwk(KEY), to_jwk(OTHER)]})],
    )
    def test_what_is_not_one_public_key_is_refused(self, api: AdminSite, key: str) -> None:
        """422, and nothing of it is told."""
        answer = api.call("POST", f"/tenants/{JIM}/clients/c1/keys", "owner", json={"key": key})
        assert answer.status_code == 422
        assert "c2VjcmV0" not in answer.text

    def test_a_rotation_tells_the_new_secret_once(self, api: AdminSite) -> None:
        """A day of overlap unless somebody says otherwise."""
        where = f"/tenants/{JIM}/clients/c1/secrets"
        old = api.call("POST", where, "owner", json={}).json()
        made = api.call("POST", f"{where}/rotate", "owner", json={})
        assert made.status_code == 201
        ends = {it["secret_id"]: it["expires_at"] for it in api.call("GET", where, "viewer").json()["items"]}
        assert ends == {old["secret_id"]: instant(START_MS + 86_400_000), made.json()["secret_id"]: None}
        assert made.headers["location"].endswith(f"/secrets/{made.json()['secret_id']}")
        assert api.call("GET", made.headers["location"].partition("/api/v1")[2], "viewer").status_code == 200


def run_alone(*arguments: str) -> str:
    """What a verb prints that needs no data directory."""
    from support.cli.command_line import run  # noqa: PLC0415 - beside `CommandLine.run`

    return run(*arguments).stdout


def error_of(*arguments: str) -> str:
    """Why it is not done."""
    from support.cli.command_line import run  # noqa: PLC0415 - beside `CommandLine.run`

    return run(*arguments, exit_code=1).stderr
