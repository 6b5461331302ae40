"""Installs the peers, lists them, and checks that they answer."""

import argparse
import sys

from bench.peers import SOURCES, Peer, Source, Work, peers_of, why_not
from bench.peers.running import INSTALLED, ask, kept


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    names = [source.NAME for source in SOURCES]
    for name, text, do in (
        ("install", "fetch and build servers", _install),
        ("list", "list the installed servers, and why others are not installed", _list),
        ("try", "start each installed server with a few clients, and check one answer of each kind", _try),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(do=do)
        needed = "+" if name == "install" else "*"
        command.add_argument("names", nargs=needed, metavar="NAME", help=f"all, or {', '.join(names)}")
    options = parser.parse_args()
    wanted = set(options.names) or {"all"}
    if unknown := wanted - {"all", *names}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the names are {', '.join(names)}")
    sys.exit(0 if options.do([peer for peer in SOURCES if "all" in wanted or peer.NAME in wanted]) else 1)


def _install(sources: list[Source]) -> bool:
    """Install one after another, as each uses all processors; return whether all succeeded."""
    done = True
    for source in sources:
        reason = INSTALLED / f"{source.NAME}.reason"
        reason.unlink(missing_ok=True)
        print(f"{source.NAME}: installing, which may take minutes", flush=True)
        try:
            source.install()
        except RuntimeError as error:
            reason.parent.mkdir(parents=True, exist_ok=True)
            reason.write_text(f"{error}\n", encoding="utf-8")
            done = False
        print(f"{source.NAME}: {_state(source)}", flush=True)
    return done


def _list(sources: list[Source]) -> bool:
    for source in sources:
        print(f"{source.NAME}: {_state(source)}")
        for peer in peers_of(source):
            print(f"    {peer.name}\n        on disk: {peer.durable or 'nothing'}\n        {peer.settings}")
    return True


def _state(source: Source) -> str:
    if (version := kept(source.NAME)) is not None:
        return version
    return why_not(source)


def _try(sources: list[Source]) -> bool:
    right = [_answers(peer) for source in sources for peer in peers_of(source)]
    return all(right)


def _answers(peer: Peer) -> bool:
    """Check one answer of each kind, and that the grant is in the database."""
    print(f"{peer.name} {peer.version}", flush=True)
    right = []
    with peer.start(10) as works:
        right.append(_right("grant", works.grant))
        for kind, make in (("introspect", works.introspect), ("refresh", works.refresh)):
            if make is not None:
                right.append(_right(kind, make(works.grant)))
        if works.stored is not None:
            stored = works.stored()
            print(f"    in the database: {stored}", flush=True)
            right.append(stored > 0)
    return all(right)


def _right(kind: str, work: Work) -> bool:
    answer = ask(work.url, work.rows[-1])
    right = work.check(answer)
    print(f"    {kind}: {'right' if right else f'wrong: {answer[:500]!r}'}", flush=True)
    return right


if __name__ == "__main__":
    main()
