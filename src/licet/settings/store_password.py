"""Adds the password of PostgreSQL, which a file contains, to the URL of the store.

Containers get their secrets as files, whose modes libpq's own password file does not permit. The file is read
when a process starts; no message has anything that is in it.
"""

from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import SecretStr

from licet.settings.model import Settings

PASSWORD_BYTES_MAX = 1024  # a guess: more is another file


def with_store_password(settings: Settings) -> Settings:
    """The same settings with the password of `store_password_file` in the URL of the store.

    Raises ValueError.
    """
    assert settings.store_password_file is not None
    url = settings.store_url()
    if url is None:
        raise ValueError("store_password_file needs store")
    if _has_password(url):
        raise ValueError("the URL in store has a password already")
    parameter = f"password={quote(_read(settings), safe='')}"
    url += f"{'&' if '?' in url else '?'}{parameter}"
    return settings.model_copy(update={"store": SecretStr(url)})


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return bool(at and ":" in user) or any(key == "password" for key, _ in parse_qsl(parts.query))


def _read(settings: Settings) -> str:
    assert settings.store_password_file is not None
    try:
        with settings.store_password_file.open("rb") as file:
            content = file.read(PASSWORD_BYTES_MAX + 1)
        password = content.decode().rstrip("\r\n")
    except OSError as fault:
        raise ValueError(f"the file cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8") from None
    if not password or len(content) > PASSWORD_BYTES_MAX or not password.isprintable():
        raise ValueError("the file is not one line with a password")
    return password
