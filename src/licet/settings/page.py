"""Makes the reference page of the settings, docs/reference/configuration.md."""

import sys

from licet.settings.model import Settings, allowed
from licet.settings.names import PREFIX

_PAGE = """# Settings

<!-- Made by `python -m licet.settings.page`; edit src/licet/settings/model.py instead. -->

A server reads its settings once, when it starts. A command-line option takes precedence over an environment
variable, a variable over the file, and the file over the default. If there are mistakes, `licet` reports all
of them and ends with exit code 2.

The file is the one that `--config` or `LICET_CONFIG` names, or else `licet.toml` in the data directory, if it
exists. The data directory is `--data`, `LICET_DATA` or `licet-data`.

```toml
# licet.toml
public_url = "https://licence.example.com"
trusted_proxies = ["10.0.0.10", "10.0.0.11"]
log_format = "json"
```

An empty variable counts as not set. A key or `LICET_` variable that is not in this table is a mistake; the
only exceptions are `LICET_CONFIG` and `LICET_TENANT`, the tenant that the command line works on. (In
Kubernetes a service called `licet` adds such variables: give it another name or set
`enableServiceLinks: false`.)

| key | variable | default | allowed | meaning |
| --- | --- | --- | --- | --- |
"""


def reference() -> str:
    """The reference page of all settings, as Markdown."""
    return _PAGE + "".join(f"{_reference_row(key)}\n" for key in Settings.model_fields)


def _reference_row(key: str) -> str:
    field = Settings.model_fields[key]
    cells = (f"`{key}`", f"`{PREFIX}{key.upper()}`", _default(key), allowed(key), field.description)
    return f"| {' | '.join(map(str, cells))} |"


def _default(key: str) -> str:
    field = Settings.model_fields[key]
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return str(extra["default"])
    return f"`{field.default}`" if field.default not in {None, ()} else "none"


if __name__ == "__main__":
    sys.stdout.write(reference())
