"""manifests/ equals the rendered chart; the dashboard uses existing metrics."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import yaml

from controller.metrics.containers import ContainerReading
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics, Sources
from scripts import manifests
from tests.helm.chart import CHART, Helm
from tests.helm.cluster import Cluster


def test_the_manifests_equal_the_rendered_chart(helm: Helm) -> None:
    command = "run `python -m scripts.manifests HELM`"
    assert manifests.FILE.read_text() == manifests.render(helm.program), command


def test_the_api_server_accepts_the_manifests(cluster: Cluster) -> None:
    kustomized = cluster.kubectl("kustomize", str(manifests.FILE.parent))
    output = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=kustomized)
    assert len(output.splitlines()) == len(list(yaml.safe_load_all(kustomized)))


def test_the_dashboard_uses_existing_metrics() -> None:
    dashboard = json.loads((CHART / "files/dashboards/edge-controller.json").read_text())
    used = {name for panel in dashboard["panels"] for target in panel["targets"]
             for name in re.findall(r"edge_\w+", target["expr"])}  # fmt: skip
    assert len(used) > 8
    assert used <= served()


def served() -> set[str]:
    """The names of all metrics."""
    values: dict[str, Any] = {each.name: 1 for each in dataclasses.fields(HostReading)}
    reading: Any = dict.fromkeys(ContainerReading._fields, 1)
    sources = Sources(
        host=lambda: HostReading(**values),
        containers=lambda: {"plc": ContainerReading(**reading)},
        runtimes=lambda: {("Ready", "True"): 1},
    )
    metrics = Metrics("1", sources)
    metrics.observe_command("create_new_runtime", "success", 0.1)
    metrics.observe_reconcile("done", 0.1)
    return set(re.findall(r"^(edge_\w+)", metrics.render().decode(), re.MULTILINE))
