"""The password of PostgreSQL from a file, as containers get their secrets."""

from pathlib import Path

import pytest

from licet.settings.load import SettingsError, load_settings
from licet.store.postgres.url import parameters_of, place_of_url

SECRET = "p@ss:w/rd?&=%20 é"


def store_url(file: Path, url: str) -> str:
    found = load_settings(None, {"LICET_STORE": url, "LICET_STORE_PASSWORD_FILE": str(file)}).store_url()
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(SECRET + "\n", encoding="utf-8")
    path.chmod(0o444)
    return path


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://licet@db.example.com/licet",
        "postgresql://licet@one.example.com,two.example.com:5433/licet?sslmode=require",
        "postgresql://licet@/licet?host=/var/run/postgresql",
        "postgresql://licet@db.example.com",
    ],
)
def test_the_driver_gets_the_password_of_the_file(file: Path, url: str) -> None:
    """Whatever characters it has, and whatever mode the file has."""
    found = store_url(file, url)
    without = parameters_of(url)
    assert parameters_of(found) == {**without, "password": SECRET}
    assert place_of_url(found) == place_of_url(url)


def test_a_relative_path_starts_at_the_settings(file: Path) -> None:
    config = file.with_name("licet.toml")
    config.write_text('store = "postgresql://licet@/licet"\nstore_password_file = "password"\n')
    assert "password=p%40ss" in str(load_settings(config, {}).store_url())


def test_the_password_is_in_no_text_of_the_settings(file: Path) -> None:
    settings = load_settings(
        None, {"LICET_STORE": "postgresql://licet@/licet", "LICET_STORE_PASSWORD_FILE": str(file)}
    )
    assert "p%40ss" not in repr(settings)
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "url", "told"),
    [
        (None, "postgresql://licet@/licet", "the file cannot be read: No such file or directory"),
        (b"", "postgresql://licet@/licet", "the file is not one line with a password"),
        (b"\n", "postgresql://licet@/licet", "the file is not one line with a password"),
        (b"one\ntwo\n", "postgresql://licet@/licet", "the file is not one line with a password"),
        (b"x" * 1025, "postgresql://licet@/licet", "the file is not one line with a password"),
        (b"\xff", "postgresql://licet@/licet", "the file is not UTF-8"),
        (b"secret", "postgresql://licet:other@/licet", "the URL in store has a password already"),
        (b"secret", "postgresql://licet@/licet?password=other", "the URL in store has a password already"),
        (b"secret", "", "store_password_file needs store"),
    ],
)
def test_a_password_that_cannot_be_used_is_a_mistake_of_the_settings(
    tmp_path: Path, content: bytes | None, url: str, told: str
) -> None:
    """It says what is wrong, and repeats nothing of the file or the URL."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load_settings(None, {"LICET_STORE": url, "LICET_STORE_PASSWORD_FILE": str(file)})
    assert raised.value.mistakes == (f"LICET_STORE_PASSWORD_FILE: {told}",)
