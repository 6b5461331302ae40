"""The settings: where a value comes from, and what is said about one that may not be."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from licet.settings.load import SettingsError, load_settings
from licet.settings.model import Settings
from licet.settings.page import reference
from support.paths import DOCS

PAGE = DOCS / "reference" / "configuration.md"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[str]:
    """The lines of the error that these settings raise, without its heading."""
    with pytest.raises(SettingsError) as raised:
        load_settings(config, environment or {}, overrides)
    heading, *lines = str(raised.value).splitlines()
    assert heading.startswith("The settings have ")
    return [line.strip() for line in lines]


class TestSources:
    """Which of several values holds."""

    def test_without_any_source_the_defaults_hold(self) -> None:
        """No file, no variable and no option is needed."""
        settings = load_settings(None, {})
        assert settings.data == Path("licet-data")
        assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, None)
        assert 1 <= settings.hash_workers <= 4

    def test_an_option_wins_over_a_variable_and_a_variable_over_the_file(self, tmp_path: Path) -> None:
        """The order of the sources."""
        config = written(tmp_path / "own.toml", "port = 1\nhash_queue_max = 1\nhash_time_cost = 3\n")
        environment = {"LICET_PORT": "2", "LICET_HASH_QUEUE_MAX": "2"}
        settings = load_settings(config, environment, {"port": 3, "host": None})
        assert (settings.port, settings.hash_queue_max, settings.hash_time_cost) == (3, 2, 3)

    def test_the_file_is_found_in_the_data_directory(self, tmp_path: Path) -> None:
        """No other place is looked at."""
        written(tmp_path / "licet.toml", "port = 7\n")
        assert load_settings(None, {"LICET_DATA": str(tmp_path)}).port == 7
        assert load_settings(None, {"LICET_DATA": "elsewhere"}, {"data": tmp_path}).port == 7

    def test_a_named_file_wins_over_the_one_in_the_data_directory(self, tmp_path: Path) -> None:
        """`--config`, then LICET_CONFIG, then the data directory."""
        written(tmp_path / "licet.toml", "port = 7\n")
        named = written(tmp_path / "a.toml", "port = 8\n")
        best = written(tmp_path / "b.toml", "port = 9\n")
        environment = {"LICET_DATA": str(tmp_path), "LICET_CONFIG": str(named)}
        assert load_settings(None, environment).port == 8
        assert load_settings(best, environment).port == 9

    def test_a_relative_data_directory_in_a_file_starts_at_the_file(self, tmp_path: Path) -> None:
        """The working directory of a service is nobody's choice."""
        config = written(tmp_path / "own.toml", 'data = "state"\n')
        assert load_settings(config, {}).data == tmp_path / "state"

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        """As container files write what they leave out."""
        assert load_settings(None, {"LICET_PORT": "", "LICET_PUBLIC_URL": ""}).port == 8080

    def test_other_variables_are_nobodys_business(self) -> None:
        """Only LICET_* is read, and not what the command line reads."""
        load_settings(None, {"PORT": "x", "LICET_TENANT": "Jim_Test", "LICENCE": "y"})

    def test_settings_never_change(self) -> None:
        """One frozen value."""
        with pytest.raises(ValidationError):
            load_settings(None, {}).port = 1


class TestValues:
    """What a value may be."""

    @pytest.mark.parametrize("text", ["10.0.0.0/8,::1", "10.0.0.0/8, ::1", "10.0.0.0/8 ::1/128"])
    def test_a_variable_lists_proxies_apart_by_commas_or_spaces(self, text: str) -> None:
        """An address is a network of one."""
        proxies = load_settings(None, {"LICET_TRUSTED_PROXIES": text}).trusted_proxies
        assert [str(it) for it in proxies] == ["10.0.0.0/8", "::1/128"]

    @pytest.mark.parametrize(
        ("url", "base"),
        [
            ("https://licence.example.com", "https://licence.example.com"),
            ("https://licence.example.com/", "https://licence.example.com"),
            ("http://127.0.0.1:8080/auth//", "http://127.0.0.1:8080/auth"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ],
    )
    def test_a_public_url_is_the_base_of_every_issuer(self, url: str, base: str) -> None:
        """RFC 8414 2."""
        assert load_settings(None, {"LICET_PUBLIC_URL": url}).base_url(1) == base

    @pytest.mark.parametrize(
        "url",
        [
            "licence.example.com",
            "/auth",
            "ftp://licence.example.com",
            "https://",
            "https://licence.example.com?",
            "https://licence.example.com/?a=b",
            "https://licence.example.com/#",
            "https://licence.example.com:port",
            "https://licence.example.com:99999",
            "https://licence.example.com:0",
            "https://[::1",
            "https://licence example.com",
            "https://licence.example.com/\x00",
            "https://licence.example.com/\n",
            "https://l\u00efcence.example.com",
        ],
    )
    def test_a_public_url_is_absolute_and_has_no_query_or_fragment(self, url: str) -> None:
        """RFC 8414 2."""
        (line,) = mistakes(None, {"LICET_PUBLIC_URL": url})
        assert line.startswith("LICET_PUBLIC_URL: ")
        assert "allowed: an absolute http or https URL" in line

    @pytest.mark.parametrize(
        ("host", "base"),
        [
            ("127.0.0.1", "http://127.0.0.1:8080"),
            ("::1", "http://[::1]:8080"),
            ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104 - the example
            ("::", "http://[::1]:8080"),
            ("licence.example.com", "http://licence.example.com:8080"),
        ],
    )
    def test_without_a_public_url_host_and_port_make_one(self, host: str, base: str) -> None:
        """One that can be opened: an address that means all of them cannot."""
        assert load_settings(None, {"LICET_HOST": host}).base_url() == base

    def test_a_port_that_was_left_open_is_told_later(self) -> None:
        """`port = 0` takes any that is free."""
        assert load_settings(None, {"LICET_PORT": "0"}).base_url(49_152) == "http://127.0.0.1:49152"

    def test_the_admin_listener_has_an_address_of_its_own(self) -> None:
        """On this machine only, unless somebody says otherwise; and it can be switched off."""
        settings = load_settings(None, {})
        assert (settings.admin, settings.admin_base_url()) == (True, "http://127.0.0.1:8081")
        assert settings.admin_base_url(5) == "http://127.0.0.1:5"
        named = load_settings(None, {"LICET_ADMIN_URL": "https://admin.example.com/", "LICET_ADMIN": "false"})
        assert (named.admin, named.admin_base_url(5)) == (False, "https://admin.example.com")
        assert "allowed: an absolute http or https URL" in mistakes(None, {"LICET_ADMIN_URL": "admin"})[0]
        (told,) = mistakes(None, {"LICET_ADMIN": "perhaps"})
        assert told == "LICET_ADMIN: 'perhaps' is neither true nor false; allowed: true or false"

    @pytest.mark.parametrize("host", ["a b", "-a", "a_b", "http://a", "127.0.0.1:80", "[::1]", "a..b"])
    def test_a_host_is_an_address_or_a_name(self, host: str) -> None:
        """Without scheme, port or brackets."""
        assert "allowed: an IP address or host name" in mistakes(None, {"LICET_HOST": host})[0]

    def test_every_bound_is_inclusive_and_one_more_is_too_much(self) -> None:
        """Each number has a least and a most."""
        for key, (least, most) in bounds().items():
            for value in (least, most):
                assert getattr(load_settings(None, {}, {key: value}), key) == value
            option = f"--{key.replace('_', '-')}"
            assert mistakes(None, {}, {key: least - 1}) == [
                f"{option}: {least - 1} is too small; allowed: {least} to {most}"
            ]
            assert mistakes(None, {}, {key: most + 1}) == [
                f"{option}: {most + 1} is too large; allowed: {least} to {most}"
            ]


class TestMistakes:
    """What is said about the others."""

    def test_all_mistakes_are_told_together_each_with_its_place(self, tmp_path: Path) -> None:
        """One look at the error is enough."""
        config = written(tmp_path / "own.toml", 'port = 70000\nlog_level = "loud"\nprot = 1\n')
        environment = {"LICET_HASH_WORKERS": "many", "LICET_TENNANT": "x"}
        assert mistakes(config, environment, {"shutdown_grace_s": -1}) == [
            "LICET_TENNANT: there is no such variable; did you mean LICET_TENANT?",
            f"{config}, prot: there is no such key; did you mean port?",
            f"{config}, port: 70000 is too large; allowed: 0 to 65535",
            f"{config}, log_level: 'loud' is not one of the choices; allowed: debug, info, warning, error",
            "LICET_HASH_WORKERS: 'many' is not a whole number; allowed: 1 to 64",
            "--shutdown-grace-s: -1 is too small; allowed: 0 to 3600",
        ]

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("port = true", "True is not a whole number"),
            ("port = 1.5", "1.5 is not a whole number"),
            ("port = []", "[] is not a whole number"),
            ("host = 1", "1 is not text"),
            ("data = 1", "1 is not text"),
            ("data = []", "[] is not text"),
            ('data = ""', "'' is not a path"),
            ('data = "\\u0000"', "is not a path"),
            ("public_url = 1", "1 is not text"),
            ("log_level = 1", "1 is not one of the choices"),
            ("trusted_proxies = 1", "1 is not a list"),
            ("trusted_proxies = [1]", "has an entry that is no network: 1 is not text"),
            ('trusted_proxies = ["*"]', "has an entry that is no network: '*'"),
            ('trusted_proxies = ["10.0.0.1/8"]', "10.0.0.1/8 has host bits set"),
        ],
    )
    def test_a_value_of_the_wrong_kind_is_a_mistake(self, tmp_path: Path, line: str, problem: str) -> None:
        """TOML has types; none of them surprises."""
        (told,) = mistakes(written(tmp_path / "own.toml", line))
        assert problem in told
        assert "; allowed: " in told

    def test_an_unknown_name_is_told_without_its_value(self, tmp_path: Path) -> None:
        """It may be anybody's secret."""
        config = written(tmp_path / "own.toml", 'client_secret = "hunter2"\n')
        told = mistakes(config, {"LICET_PASSWORD": "hunter2", "LICET_port": "1"}, {"secret": "hunter2"})
        assert len(told) == 4
        assert "hunter2" not in "".join(told)

    def test_a_password_in_a_url_is_not_repeated(self) -> None:
        """Nor is it allowed there."""
        (told,) = mistakes(None, {"LICET_PUBLIC_URL": "https://me:hunter2@licence.example.com"})
        assert "hunter2" not in told

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://me:secret@db.example.com/licet",
            "postgresql://me:secr@et@db.example.com/licet",
            "postgresql://me:secret@db.example.com:54a/licet",
            "postgresql://me:secret@db.example.com,other host/licet",
            "postgresql://me:secret@db.example.com/licet\N{SNOWMAN}",
            "secret",
        ],
    )
    def test_a_wrong_url_of_a_store_is_told_without_a_word_of_it(self, url: str) -> None:
        """No secret is in a message, also where it is one only by mistake."""
        [mistake] = mistakes(environment={"LICET_STORE": url})
        assert mistake.startswith("LICET_STORE: the value ")
        assert "secr" not in mistake

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://licet@db.example.com/licet",
            "postgres://licet:p%40ss@[2001:db8::1]:5433/licet?sslmode=verify-full",
            "postgresql://licet@one:5432,two:5433/licet?target_session_attrs=read-write",
            "postgresql://%2Fvar%2Frun%2Fpostgresql/licet",
            "postgresql:///licet",
        ],
    )
    def test_the_url_of_a_store_is_kept_as_it_is_and_never_shown(self, url: str) -> None:
        """All that libpq takes; a password in it is a secret."""
        settings = load_settings(None, {"LICET_STORE": url})
        assert settings.store_url() == url
        assert url not in f"{settings!r} {settings} {settings.model_dump()}"
        assert load_settings(None, {"LICET_STORE": ""}).store_url() is None

    def test_a_named_file_must_be_there(self, tmp_path: Path) -> None:
        """A misspelt path is not a silent default."""
        missing = tmp_path / "own.toml"
        assert mistakes(missing) == [f"--config: there is no file {missing}"]
        assert mistakes(None, {"LICET_CONFIG": str(missing)}) == [f"LICET_CONFIG: there is no file {missing}"]

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"port = \n", "is not TOML: Invalid value (at line 1, column 8)"),
            (b'host = "\xff"\n', "is not UTF-8 at byte 8"),
            (b"[server]\nport = 1\n", ", server: there is no such key"),
        ],
    )
    def test_a_file_that_is_not_understood_is_a_mistake(
        self, tmp_path: Path, content: bytes, problem: str
    ) -> None:
        """With the place in it."""
        config = tmp_path / "own.toml"
        config.write_bytes(content)
        (told,) = mistakes(config)
        assert told.startswith(str(config))
        assert problem in told

    def test_a_file_that_cannot_be_read_is_a_mistake(self, tmp_path: Path) -> None:
        """Here it is a directory."""
        assert mistakes(tmp_path) == [f"{tmp_path}: cannot be read (Is a directory)"]
        assert mistakes(None, {"LICET_CONFIG": "a\0b"}) == ["a\\x00b: is not a path"]

    def test_a_file_in_the_data_directory_does_not_move_it(self, tmp_path: Path) -> None:
        """Or there would be two of them."""
        written(tmp_path / "licet.toml", 'data = "elsewhere"\n')
        (told,) = mistakes(None, {"LICET_DATA": str(tmp_path)})
        assert "a file in the data directory cannot say where that is" in told

    def test_a_long_value_is_cut(self) -> None:
        """An error stays readable."""
        assert len(mistakes(None, {"LICET_LOG_LEVEL": "x" * 10_000})[0]) < 200


class TestReference:
    """What is written about them."""

    def test_the_reference_page_is_the_one_that_is_generated(self) -> None:
        """`python -m licet.settings.page > docs/reference/configuration.md` renews it."""
        assert PAGE.read_text(encoding="utf-8") == reference()

    def test_every_setting_says_what_it_is(self) -> None:
        """One line each."""
        for field in Settings.model_fields.values():
            assert field.description
            assert "\n" not in field.description
            assert field.description.endswith(".")

    def test_importing_the_settings_takes_nothing_heavy_along(self) -> None:
        """Every run of the command line pays for it."""
        program = (
            "import sys, licet.settings.load; "
            "print({'sqlalchemy', 'pydantic_settings', 'typer', 'uvicorn'} & set(sys.modules))"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "set()"


def bounds() -> dict[str, tuple[int, int]]:
    """The least and most of every number."""
    found = {}
    for key, field in Settings.model_fields.items():
        limits = {type(it).__name__: it for it in field.metadata}
        if "Ge" in limits:
            found[key] = (limits["Ge"].ge, limits["Le"].le)
    return found
