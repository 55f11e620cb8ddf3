"""``make conformance``: runs our suite on a real API server and ours, tests the chart, and runs Kubernetes' own tests.

Generates docs/conformance.md from the results; with ``--check`` only compares it. The exit status is 0 when everything
passes and the document was up to date.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as Xml

from tests.cluster import document, programs, upstream
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.cluster.embedded import Embedded

PROJECT = Path(__file__).parents[2]
REPORTS = PROJECT / "build/reports/conformance"
DOCUMENT = PROJECT / "docs/conformance.md"


def main() -> int:
    """Run all parts, even after a failure; return the exit status."""
    parser = argparse.ArgumentParser("make conformance", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when docs/conformance.md is not up to date")
    given = parser.parse_args()
    try:
        binaries = programs.build(*PROGRAMS, "kubectl", "helm", "e2e.test")
    except programs.Unavailable as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    REPORTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edge-conformance-") as folder:
        passed = _suites(binaries, Path(folder))
        judged = _upstream(binaries, Path(folder) / "upstream")
    text = document.text(REPORTS / "embedded.xml", judged, upstream.listed(binaries / "e2e.test"))
    fresh = _keep(text, check=given.check)
    _summary(judged)
    return 0 if passed and fresh and judged and all(test.passed for test in judged) else 1


def _suites(binaries: Path, folder: Path) -> bool:
    with ControlPlane(binaries, folder / "real") as real:
        on_real = _suite(
            "tests/conformance", "kube-apiserver", binaries, {"EDGE_TEST_KUBECONFIG": str(real.kubeconfig)}
        )
    on_embedded = _suite("tests/conformance", "embedded", binaries, {})
    return _suite("tests/helm", "chart", binaries, {}) and on_embedded and on_real


def _suite(folder: str, name: str, binaries: Path, environment: dict[str, str]) -> bool:
    print(f"\n=== {folder}, {name}", flush=True)
    programs_used = {"EDGE_TEST_KUBECTL": str(binaries / "kubectl"), "EDGE_TEST_HELM": str(binaries / "helm")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", folder, "-m", "helm or not helm", f"--junitxml={REPORTS / name}.xml"],
        env={**os.environ, **programs_used, **environment}, cwd=PROJECT, check=False,
    )  # fmt: skip
    return done.returncode == 0


def _upstream(binaries: Path, folder: Path) -> list[upstream.Test]:
    print("\n=== Kubernetes' own end-to-end tests on embedded (some minutes)", flush=True)
    report = REPORTS / "upstream.json"
    with Embedded(folder) as server:
        upstream.write_node(binaries / "kubectl", server.kubeconfig)
        tests = upstream.run(binaries / "e2e.test", server.kubeconfig, upstream.SCOPE, report)
    for test in tests:
        print(f"{test.state:8} {test.name}" + ("" if test.passed else f"\n    {test.failure}"))
    _write_counts(tests)
    return tests


def _write_counts(tests: list[upstream.Test]) -> None:
    """Write a JUnit report for scripts/tally.py."""
    failed = sum(not test.passed for test in tests)
    suite = Xml.Element("testsuite", name="upstream", tests=str(len(tests)), failures=str(failed))
    Xml.ElementTree(suite).write(REPORTS / "upstream.xml")


def _keep(text: str, *, check: bool) -> bool:
    if DOCUMENT.exists() and DOCUMENT.read_text() == text:
        return True
    if check:
        print("conformance: docs/conformance.md is not up to date: run `make conformance` and commit it")
        return False
    DOCUMENT.write_text(text)
    print("conformance: updated docs/conformance.md")
    return True


def _summary(judged: list[upstream.Test]) -> None:
    passed = sum(test.passed for test in judged)
    print(f"\nKubernetes' own tests on the embedded API: {passed} of {len(judged)} pass")


if __name__ == "__main__":
    sys.exit(main())
