"""Other servers that a user could choose instead of Licet, to measure beside it.

    python -m bench.peers install all
    python -m bench.peers list

    for peer in installed():
        with peer.start(1000) as works:
            ...  # works.grant.rows, against works.grant.url

README.md beside this file describes each server and its set-up.
"""

import shutil

from bench.peers import (
    authlib_server,
    django_oauth_toolkit,
    glewlwyd,
    hydra,
    keycloak,
    node_oidc_provider,
    spring,
)
from bench.peers.contract import Peer, Row, Source, Work, Works
from bench.peers.running import INSTALLED, kept

__all__ = ["SOURCES", "Peer", "Row", "Source", "Work", "Works", "installed", "missing", "peers_of", "why_not"]

SOURCES: tuple[Source, ...] = (
    hydra,
    keycloak,
    node_oidc_provider,
    django_oauth_toolkit,
    authlib_server,
    glewlwyd,
    spring,
)


def installed() -> list[Peer]:
    """Each set-up of each server that is installed."""
    return [peer for source in SOURCES for peer in peers_of(source)]


def peers_of(source: Source) -> list[Peer]:
    """Each set-up of one server, if it is installed; the text of its settings is one line."""
    return [peer._replace(settings=" ".join(peer.settings.split())) for peer in source.peers()]


def missing() -> dict[str, str]:
    """The servers that are not installed, with the reasons."""
    return {source.NAME: why_not(source) for source in SOURCES if kept(source.NAME) is None}


def why_not(source: Source) -> str:
    """Why a server is not installed."""
    reason = INSTALLED / f"{source.NAME}.reason"
    if reason.exists():
        return f"cannot be installed: {reason.read_text(encoding='utf-8').strip()}"
    if absent := [need for need in source.NEEDS if shutil.which(need) is None]:
        return f"cannot be installed: {' and '.join(absent)} not found on this machine"
    return f"not installed; python -m bench.peers install {source.NAME}"
