"""Says how to install an extra of Licet from where it was installed: a clone, a wheel or a repository.

Licet is on no package index, and its name alone could be somebody else's package there. pip records where a
package came from (PEP 610, `direct_url.json`).
"""

import json
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import unquote, urlsplit

from licet.platforms.shells import quoted

_ELSEWHERE = "./licet"  # where it is unknown: a local path, which pip never looks up in an index


def how_to_install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install {_requirement(extra, _origin())}"


def _origin() -> dict[str, Any]:
    try:
        found = json.loads(distribution("licet").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    url = str(origin.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme == "file":
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return f"{editable}{quoted(f'{unquote(parts.path)}[{extra}]')}"
    if vcs := origin.get("vcs_info"):
        return quoted(f"licet[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    if url:
        return quoted(f"licet[{extra}] @ {url}")
    return f"'{_ELSEWHERE}[{extra}]', from your clone or wheel"
