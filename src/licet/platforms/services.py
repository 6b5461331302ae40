"""Says how an administrator stops the server of this machine."""

from pathlib import Path
from typing import Final

from licet.platforms.shells import IS_POWERSHELL

_SYSTEMD: Final = Path("/run/systemd/system")  # is there while systemd runs: sd_booted(3)
_UNIT: Final = Path("/etc/systemd/system/licet.service")


def how_to_stop() -> str:
    """What to do: a command where the guide's service may run, else in words."""
    if IS_POWERSHELL:
        return "Stop-Service Licet"
    if _SYSTEMD.is_dir() and _UNIT.exists():
        return "sudo systemctl stop licet"
    return "Ctrl-C where it was started, or stop its service or container"
