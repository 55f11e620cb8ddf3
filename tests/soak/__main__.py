"""Run the controller for minutes under kills, faults and malformed input, and judge it from outside. Not a test."""

from __future__ import annotations

import argparse
import asyncio
import compileall
import os
import random
import sys
import traceback

from tests.bench import document, machine
from tests.soak import report
from tests.soak.faults import FAULTS, name_of
from tests.soak.findings import Findings
from tests.soak.run import Memory, Settings, soak
from tests.support import dockerd, interruption, lan

LOG = document.PATH.parents[1] / "build/soak-controller.log"
DOCUMENT = document.PATH.with_name("reliability.md")
EXAMPLES = """examples:
  make soak                                     ten minutes; needs root
  make soak MINUTES=60 ARGS="--write"           an hour, and write docs/reliability.md
  make soak MINUTES=2 ARGS="--seed 7"           the random choices of an earlier run again
  make soak ARGS="--only 'disk full'"           one fault, again and again
  make soak ARGS="--list"                       the faults

Every broken promise is printed when it is seen; any of them makes the exit status 1. The controller's
log is build/soak-controller.log."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long, without start and judgement; default 10")
    parser.add_argument("--seed", type=int, default=None, help="repeat the random choices of a run")
    parser.add_argument("--only", metavar="FAULTS", help="only these faults, comma-separated; '' for none")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    options = parser.parse_args()
    names = [name_of(fault) for fault in FAULTS]
    chosen = [name for name in (options.only or "").split(",") if name]
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"there is no fault {', '.join(unknown)}; choose from {', '.join(names)}")
    return options


async def _interruptible(settings: Settings, findings: Findings) -> Memory:
    interruption.cancel_on_signals()
    return await soak(settings, findings)


def main() -> int:
    """Read the options, run and report."""
    options = _arguments()
    if options.list:
        print("\n".join(f"{name_of(fault):<20} {fault.__doc__}" for fault in FAULTS))
        return 0
    compileall.compile_dir("controller", quiet=1)
    lan.remove_orphans()
    dockerd.remove_orphans()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    only = None if options.only is None else options.only.split(",")
    chosen = [fault for fault in FAULTS if only is None or name_of(fault) in only]
    LOG.parent.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    settings, findings = Settings(options.minutes, seed, chosen, LOG), Findings()
    described = machine.describe()
    print(f"{described}\nseed {seed}", flush=True)
    memory = None
    try:
        memory = asyncio.run(_interruptible(settings, findings))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("soak: interrupted", file=sys.stderr)
        return 130
    except Exception:  # noqa: BLE001 - what was found until then is reported
        traceback.print_exc()
        findings.fault("the run could not be ended")
    table = report.as_markdown(settings, findings, memory)
    print(table, *findings.faults, sep="\n")
    if options.write:
        document.write(DOCUMENT, {"machine": described, "soak": table})
    return 1 if findings.faults else 0


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
