"""Runs the `licet` command; `python -m licet` is the same."""

import sys


def main() -> None:
    """Run the command line, or say which extra is missing."""
    try:
        from licet.cli import app  # noqa: PLC0415 - the base install has no command line
    except ModuleNotFoundError as missing:
        from licet.extras import how_to_install  # noqa: PLC0415 - only when something is missing

        sys.exit(f"licet needs its server extra ({missing.name} is missing): {how_to_install('server')}")
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not raise.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app()


if __name__ == "__main__":
    main()
