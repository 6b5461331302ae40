"""The `licet` command; `python -m licet` is the same."""

import sys


def main() -> None:
    """Run the command line, or say which extra is missing."""
    try:
        from licet.cli import app  # noqa: PLC0415 - the base install has no command line
    except ModuleNotFoundError as missing:
        sys.exit(f"licet needs its server extra ({missing.name} is missing): pip install 'licet[server]'")
    app()


if __name__ == "__main__":
    main()
