"""Loads the settings from `licet.toml`, `LICET_*` variables and the command line, and reports every mistake.

The rules:

- The command line wins over the environment, the environment over the file, the file over the defaults.
- All mistakes are reported together, each with its place, what is wrong and what is allowed.
- An unknown key or variable is a mistake too, so that a misspelt key is never a silent default.
- The value of an unknown key or variable is never shown: it may be a secret.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from licet.nearest import nearest
from licet.settings.model import Settings, allowed
from licet.settings.names import DATA, FILE_NAME, NOT_SETTINGS, PREFIX
from licet.settings.store_password import with_store_password

_BESIDE_THE_FILE: Final = frozenset(
    {"data", "store_password_file", "tls_certificate", "tls_key"}
)  # relative paths start there
_VALUE_CHARS_MAX = 60  # how much of a wrong value is repeated


class SettingsError(Exception):
    """The settings cannot be used; the text names every mistake and is ready to print."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(_text(mistakes))
        self.mistakes = tuple(map(_escaped, mistakes))


class _Found:
    """A value as it was written, and where."""

    __slots__ = ("value", "where")

    def __init__(self, value: object, where: str) -> None:
        self.value = value
        self.where = where


def load_settings(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of this process.

    `config` and `overrides` are the command line's; an override of None was not given. Without `config` and
    `LICET_CONFIG` the file is `licet.toml` in the data directory, and need not exist.
    Raises SettingsError.
    """
    environment = os.environ if environment is None else environment
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    mistakes: list[str] = []
    variables = _read_environment(environment, mistakes)
    options = {key: _Found(value, f"--{key.replace('_', '-')}") for key, value in given.items()}
    file = _read_file(_config(config, environment, variables | options), mistakes)
    found = file | variables | options
    try:
        settings = Settings.model_validate({key: value.value for key, value in found.items()})
    except ValidationError as faults:
        mistakes += [_mistake(fault, found) for fault in faults.errors()]
    for one, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if one in found and other not in found:
            mistakes.append(f"{found[one].where}: {one} needs {other}")
    if mistakes:
        raise SettingsError(mistakes)
    if settings.store_password_file is None:
        return settings
    try:
        return with_store_password(settings)
    except ValueError as fault:
        raise SettingsError([f"{found['store_password_file'].where}: {fault}"]) from None


class _Config:
    """The file to read; `named` when it was asked for, so that it must exist."""

    __slots__ = ("named", "path", "where")

    def __init__(self, path: Path, where: str, *, named: bool) -> None:
        self.path = path
        self.where = where
        self.named = named


def _config(config: Path | None, environment: Mapping[str, str], found: Mapping[str, _Found]) -> _Config:
    if config is not None:
        return _Config(config, "--config", named=True)
    if variable := environment.get("LICET_CONFIG"):
        return _Config(Path(variable), "LICET_CONFIG", named=True)
    data = found["data"].value if "data" in found else DATA
    return _Config(Path(str(data)) / FILE_NAME, "", named=False)


def _read_environment(environment: Mapping[str, str], mistakes: list[str]) -> dict[str, _Found]:
    """The settings among the variables; an empty one counts as not set."""
    found = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or not environment[name]:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in Settings.model_fields and name.isupper():
            found[key] = _Found(environment[name], name)
        else:
            known = [*(PREFIX + key.upper() for key in Settings.model_fields), *NOT_SETTINGS]
            mistakes.append(f"{name}: there is no such variable{_suggestion(name, known)}")
    return found


def _read_file(config: _Config, mistakes: list[str]) -> dict[str, _Found]:
    try:
        content = tomllib.loads(config.path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config.named:
            mistakes.append(f"{config.where}: there is no file {config.path}")
        return {}
    except (OSError, ValueError) as fault:
        mistakes.append(f"{config.path}: {_why_unreadable(fault)}")
        return {}
    return dict(_read_content(config, content, mistakes))


def _why_unreadable(fault: OSError | ValueError) -> str:
    match fault:
        case OSError():
            return f"cannot be read ({fault.strerror})"
        case UnicodeDecodeError() as decoding:
            return f"is not UTF-8 at byte {decoding.start}"
        case tomllib.TOMLDecodeError():
            return f"is not TOML: {fault}"
        case _:
            return "is not a path"  # it contains a NUL


def _read_content(
    config: _Config, content: Mapping[str, object], mistakes: list[str]
) -> Iterator[tuple[str, _Found]]:
    for key, value in content.items():
        where = f"{config.path}, {key}"
        if key not in Settings.model_fields:
            mistakes.append(f"{where}: there is no such key{_suggestion(key, list(Settings.model_fields))}")
        elif key == "data" and not config.named:
            mistakes.append(f"{where}: a file in the data directory cannot say where that is")
        elif key in _BESIDE_THE_FILE and isinstance(value, str) and value:
            yield key, _Found(config.path.parent / value, where)
        else:
            yield key, _Found(value, where)


def _suggestion(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _mistake(fault: ErrorDetails, found: Mapping[str, _Found]) -> str:
    key = str(fault["loc"][0])
    if key not in Settings.model_fields:
        return f"{found[key].where}: there is no such setting{_suggestion(key, list(Settings.model_fields))}"
    value = found[key].value
    is_secret = key == "store" or "@" in str(value)
    shown = "the value" if is_secret else f"{_shown(value):.{_VALUE_CHARS_MAX}}"
    return f"{found[key].where}: {shown} {_problem(fault)}; allowed: {allowed(key)}"


def _shown(value: object) -> str:
    return repr(str(value)) if isinstance(value, Path) else repr(value)


_KINDS: Final = {
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "literal_error": "is not one of the choices",
}


def _problem(fault: ErrorDetails) -> str:
    match fault["type"]:
        case "value_error":
            return str(fault["ctx"]["error"])
        case kind if kind.startswith("int"):
            return "is not a whole number"
        case kind if kind.startswith("bool"):
            return "is neither true nor false"
        case kind:
            return _KINDS.get(kind, "is not text")


def _text(mistakes: Sequence[str]) -> str:
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n".join([f"The settings have {count}:", *(f"  {_escaped(mistake)}" for mistake in mistakes)])


def _escaped(text: str) -> str:
    """The text as one line, whatever a path or key contains."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
