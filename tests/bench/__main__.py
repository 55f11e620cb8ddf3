"""Measure the controller beside its references in the same run, and print one table. Not a test."""

from __future__ import annotations

import argparse
import asyncio
import compileall
import contextlib
import os
import sys
import time
import traceback

from tests.bench import counts, document, machine, rows, slow_box
from tests.bench.rows import Row
from tests.bench.section import Run, Section, say
from tests.bench.sections import SECTIONS
from tests.support import dockerd, interruption, lan

EXAMPLES = """examples:
  make bench                                  everything, about twenty minutes on a quiet machine; needs root
  make bench ARGS="--list"                    the sections
  make bench ARGS="--quick --only create"     a try of one section
  make bench ARGS="--write"                   everything, and write docs/performance.md

A row whose goal falls short does not fail the benchmark; a section that cannot be measured does."""


async def measure(sections: list[Section], options: argparse.Namespace) -> int:
    """Measure and print the sections one after the other; return the exit status."""
    blocks = {document.MACHINE: await asyncio.to_thread(machine.describe)}
    print(blocks[document.MACHINE], flush=True)
    measured: dict[str, Row] = {}
    failed = []
    for section in sections:
        run = Run(counts.QUICK if options.quick else counts.FULL, measured=measured)
        try:
            found = await _rows(section, run)
        except Exception:  # noqa: BLE001 - one section must not lose the others
            traceback.print_exc()
            failed.append(section.name)
            continue
        measured |= {row.what: row for row in found}
        blocks[section.name] = rows.as_markdown(found)
    if options.write:
        document.write(document.PATH, blocks)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


async def _rows(section: Section, run: Run) -> list[Row]:
    """Measure one section and print each row as soon as it is measured."""
    print(f"\n{section.title} ({section.name})", flush=True)
    began, found = time.monotonic(), []
    async with contextlib.aclosing(section.rows(run)) as measuring:
        async for row in measuring:
            print(rows.as_text(row), flush=True)
            found.append(row)
    say(f"{section.name}: {time.monotonic() - began:.0f} s")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAMES", help="measure only these sections, comma-separated")
    parser.add_argument("--quick", action="store_true", help="few rounds and objects, to try a section")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    parser.add_argument("--list", action="store_true", help="list the sections and end")
    options = parser.parse_args()
    names = [section.name for section in SECTIONS]
    if unknown := sorted(set((options.only or names[0]).split(",")) - set(names)):
        parser.error(f"there is no section {', '.join(unknown)}; choose from {', '.join(names)}")
    return options


async def _interruptible(sections: list[Section], options: argparse.Namespace) -> int:
    interruption.cancel_on_signals()
    return await measure(sections, options)


def main() -> int:
    """Read the options and measure."""
    options = _arguments()
    if options.list:
        print("\n".join(f"{section.name:<12} {section.title}" for section in SECTIONS))
        return 0
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir("controller", quiet=1)  # as in an installation, whose starts compile nothing
    lan.remove_orphans()
    dockerd.remove_orphans()
    slow_box.remove_orphans()
    chosen = options.only.split(",") if options.only else [section.name for section in SECTIONS]
    try:
        return asyncio.run(_interruptible([s for s in SECTIONS if s.name in chosen], options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
