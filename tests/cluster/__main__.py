"""Runs API servers for manual inspection, and Kubernetes' own tests on them: ``python -m tests.cluster --help``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster import nodes, programs, upstream
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.cluster.embedded import Embedded
from tests.support import image

EXAMPLES = """examples:
  python -m tests.cluster real /tmp/real            a real API server, until Ctrl-C
  python -m tests.cluster embedded /tmp/ours        ours, the same way
  python -m tests.cluster nodes /tmp/nodes --count 2    a real API server with two real nodes
  kubectl --kubeconfig /tmp/real/admin.kubeconfig get namespaces
  python -m tests.cluster e2e --kubeconfig F --focus 'Watchers'
"""


def main() -> int:
    """Parse the arguments and run the command; return the exit status."""
    parser = argparse.ArgumentParser("python -m tests.cluster", description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("real", "etcd, kube-apiserver and kube-controller-manager"), ("embedded", "our API server")):
        command = commands.add_parser(name, help=f"run {what} until Ctrl-C")
        command.add_argument("folder", type=Path)
    command = commands.add_parser("nodes", help="run a control plane with real nodes until Ctrl-C (needs root)")
    command.add_argument("folder", type=Path)
    command.add_argument("--count", type=int, default=1, choices=range(1, 5), help="how many nodes")
    commands.add_parser("build", help="build all programs that the tests need, and print their folder")
    command = commands.add_parser("e2e", help="run Kubernetes' own tests: all that apply, or those selected by --focus")
    command.add_argument("--kubeconfig", type=Path, required=True)
    command.add_argument("--focus", default="", help="a regular expression that the tests' names match")
    command.add_argument("--report", type=Path, default=Path("build/reports/upstream.json"))
    given = parser.parse_args()
    actions: dict[str, Callable[[], int]] = {
        "real": lambda: _real(given.folder),
        "nodes": lambda: _nodes(given.folder, given.count),
        "embedded": lambda: _embedded(given.folder),
        "build": _build,
        "e2e": lambda: _e2e(given.kubeconfig, given.focus, given.report),
    }
    return actions[given.command]()


def _build() -> int:
    try:
        nodes.build()
        print(programs.build("helm", "e2e.test"))
    except programs.Unavailable as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


def _real(folder: Path) -> int:
    with ControlPlane(programs.build(*PROGRAMS), folder) as control_plane:
        _announce(control_plane.kubeconfig)
    return 0


def _embedded(folder: Path) -> int:
    with Embedded(folder) as server:
        _announce(server.kubeconfig)
    return 0


def _nodes(folder: Path, count: int) -> int:
    with nodes.Cluster(nodes.build(), folder, count) as cluster:
        cluster.load(image.runtime_images())
        _announce(cluster.kubeconfig)
    return 0


def _announce(kubeconfig: Path) -> None:
    print(kubeconfig, flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _e2e(kubeconfig: Path, focus: str, report: Path) -> int:
    report.parent.mkdir(parents=True, exist_ok=True)
    binaries = programs.build("kubectl", "e2e.test")
    upstream.write_node(binaries / "kubectl", kubeconfig)
    outcome = upstream.run(binaries / "e2e.test", kubeconfig, focus or upstream.SCOPE, report)
    for test in outcome:
        print(f"{test.state:8} {test.seconds:6.1f} s  {test.name}" + (f"\n    {test.failure}" if test.failure else ""))
    failed = [test for test in outcome if not test.passed]
    print(f"{len(outcome) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not outcome else 0


# Before any thread starts: threads inherit the mask, so that only sigwait receives the signals.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
sys.exit(main())
