"""`python -m interop`: run the suite; `--write` writes versions and the page, `--only NAME` runs some parts.

Exit codes: 0 all is as expected, 1 something is not, 2 wrong use. What cannot be run for want of a tool is
a fault; with PASS_OVER=1 it is skipped, and said so.
"""

import argparse
import re
import sys

from interop import page
from interop.installing import may_be_passed_over
from interop.manifest import Manifest, clients, resource_servers
from interop.run import Part, run


def main() -> int:
    """Do what is asked; the exit code."""
    parser = argparse.ArgumentParser(prog="interop", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write what was seen: versions and the page")
    parser.add_argument("--only", action="append", default=[], help="a part, such as python/authlib_requests")
    options = parser.parse_args()
    known = clients() + resource_servers()
    chosen = [row for row in known if not options.only or row.name in options.only]
    if unknown := set(options.only) - {row.name for row in known}:
        parser.error(
            f"there is no {', '.join(sorted(unknown))}; there is: {', '.join(row.name for row in known)}"
        )
    parts = run(chosen, report, check_versions=not options.write)
    if options.write:
        _write(parts)
    return result(parts, [] if _page_is_true() else [f"{page.PAGE} is out of date: make interop WRITE=1"])


def report(part: Part) -> None:
    """Print what became of a part."""
    name = part.manifest.name
    if part.missing:
        print(f"{'SKIPPED' if may_be_passed_over() else 'MISSING'}  {name}: {part.missing}", flush=True)
        return
    print(f"{'FAILED' if part.faults else 'ok':7}  {name} {part.version} ({part.runtime})", flush=True)
    for fault in part.faults:
        print(f"         {fault}", flush=True)


def _write(parts: list[Part]) -> None:
    """Keep the versions that were seen, and make the page anew."""
    for part in parts:
        if part.version and part.version != part.manifest.version:
            _write_version(part.manifest, part.version)
    text = page.PAGE.read_text(encoding="utf-8")
    page.PAGE.write_text(page.put(text, clients(), resource_servers()), encoding="utf-8")


def _write_version(manifest: Manifest, version: str) -> None:
    path = manifest.folder / f"{manifest.name.rpartition('/')[2]}.toml"
    text = re.sub(r'(?m)^version = ".*"\n', "", path.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^(library = .*)$", rf'\1\nversion = "{version}"', text, count=1)
    path.write_text(text, encoding="utf-8")


def _page_is_true() -> bool:
    text = page.PAGE.read_text(encoding="utf-8")
    return page.put(text, clients(), resource_servers()) == text


def result(parts: list[Part], faults: list[str]) -> int:
    """Print the sum of it; the exit code."""
    missing = [part for part in parts if part.missing]
    failed = [part for part in parts if part.faults]
    word = "SKIPPED" if may_be_passed_over() else "MISSING"
    print(f"{len(parts) - len(missing) - len(failed)} as expected, {len(failed)} not, {len(missing)} {word}")
    for fault in faults:
        print(fault)
    if missing and not may_be_passed_over():
        print("Install what is missing, or leave it out: make interop PASS_OVER=1")
    return int(bool(failed or faults) or bool(missing and not may_be_passed_over()))


if __name__ == "__main__":
    sys.exit(main())
