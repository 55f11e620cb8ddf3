"""Runs Kubernetes' own end-to-end tests (``e2e.test``) that apply to an API server without nodes.

Every test in SCOPE either runs or is excluded with a reason; none is skipped silently.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster import programs

SCOPE = (
    r"\[sig-api-machinery\]|\[sig-instrumentation\] Events|\[sig-node\] (ConfigMap|Secrets|Lease)|"
    r"\[sig-auth\] ServiceAccounts"
)


class Exclusion(NamedTuple):
    """Tests that do not apply: a regular expression for their names, and the reason."""

    pattern: str
    reason: str


EXCLUSIONS = (
    Exclusion(r"\[Alpha\]|\[Feature:|\[FeatureGate", "needs a feature that is off by default in a released server"),
    Exclusion(r"\[Flaky\]", "marked as flaky by its authors"),
    Exclusion(r"\[Slow\]|\[Disruptive\]|\[Serial\] should delete fast", "load and failure tests of a whole cluster"),
    Exclusion(r"AdmissionWebhook|ConversionWebhook", "needs webhooks, which run as pods"),
    Exclusion(r"Aggregator|Aggregated APIServer", "needs an aggregated API server, which runs as a pod"),
    Exclusion(r"ValidatingAdmissionPolicy|MutatingAdmissionPolicy", "needs admission policies"),
    Exclusion(r"ResourceQuota", "needs quota"),
    Exclusion(r"API priority and fairness", "needs FlowSchemas; a single host limits requests in flight instead"),
    Exclusion(
        r"Generated clientset|pod details|all pods are removed|all services are removed|OrderedNamespaceDeletion|"
        r"consumable|InClusterConfig|projected|mount an API token|ownership and permission|IssuerDiscovery|"
        r"opting out of API token|secret-based service account token|created by (rc|deployment|cronjob)|"
        r"keep the rc around|dependency circle|valid owner and owner|chunks of results|chunks of table|"
        r"orphan pods|orphan RS|fields of a typed object|"
        r"ServerSideApply should (create an applied|give up|ignore conflict|not remove|remove a field|work for sub)",
        "needs pods, or kinds that make pods",
    ),
    Exclusion(r"CustomResourceFieldSelectors", "needs a conversion webhook, which runs as a pod"),
    Exclusion(r"cost limit", "needs the cost estimates of Kubernetes' own CEL library"),
    Exclusion(r"health handlers", "names the internals of kube-apiserver"),
    Exclusion(r"create a serviceAccountToken", "needs tokens for ServiceAccounts, which only pods use"),
)


@dataclass(frozen=True)
class Test:
    """One test that ran."""

    name: str
    state: str  # passed, failed, panicked, timedout, ...
    seconds: float
    failure: str

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.state == "passed"


# The tests require a ready node before they start; no pod is ever scheduled on it.
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "conformance", "labels": {"kubernetes.io/hostname": "conformance"}},
    "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Written"}]},
}


def write_node(kubectl: Path, kubeconfig: Path) -> None:
    """Create the node."""
    for options in ((), ("--subresource=status",)):
        subprocess.run(
            [kubectl, f"--kubeconfig={kubeconfig}", "apply", "--server-side", *options, "-f", "-"],
            input=json.dumps(NODE), text=True, check=True, capture_output=True,
        )  # fmt: skip


def run(binary: Path, kubeconfig: Path, focus: str, report: Path) -> list[Test]:
    """Run the tests that apply; write Ginkgo's report to ``report``, and the output next to it."""
    report = report.resolve()
    report.unlink(missing_ok=True)
    with report.with_suffix(".log").open("wb") as log:
        subprocess.run(
            [
                *(binary, f"--kubeconfig={kubeconfig.resolve()}", "--provider=skeleton"),
                *("--allowed-not-ready-nodes=-1", "--minStartupPods=0", "--system-pods-startup-timeout=1s"),
                *(f"--ginkgo.focus={focus}", f"--ginkgo.skip={'|'.join(e.pattern for e in EXCLUSIONS)}"),
                *("--ginkgo.timeout=30m", "--ginkgo.no-color", f"--ginkgo.json-report={report}"),
                "--disable-log-dump",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=report.parent, check=False,
        )  # fmt: skip
    if not report.exists():
        raise programs.Unavailable(f"e2e.test wrote no report; its output is in {report.with_suffix('.log')}")
    return read(json.loads(report.read_text()))


def read(suites: list[dict[str, Any]]) -> list[Test]:
    """The tests that ran, from Ginkgo's report; setup steps are included only if they failed."""
    return [
        Test(_name(spec), spec["State"], spec["RunTime"] / 1e9, spec.get("Failure", {}).get("Message", "")[:400])
        for suite in suites
        for spec in suite["SpecReports"] or ()
        if spec["State"] != "skipped" and (spec["LeafNodeType"] == "It" or spec["State"] != "passed")
    ]


def listed(binary: Path) -> list[str]:
    """The names of all tests in SCOPE."""
    done = subprocess.run([binary, "--list-tests"], capture_output=True, text=True, check=True)
    names = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if ".go:" in line]
    return sorted(name for name in names if re.search(SCOPE, name))


def excluded(names: list[str]) -> dict[str, list[str]]:
    """The names of excluded tests, by reason."""
    found: dict[str, list[str]] = {exclusion.reason: [] for exclusion in EXCLUSIONS}
    for name in names:
        reason = next((e.reason for e in EXCLUSIONS if re.search(e.pattern, name)), None)
        if reason is not None:
            found[reason].append(name)
    return found


def _name(spec: dict[str, Any]) -> str:
    words = [*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"]]
    return " ".join(word for word in words if word) or spec["LeafNodeType"]
