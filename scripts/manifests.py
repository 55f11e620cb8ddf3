"""Renders manifests/cluster/edge-controller.yaml from the Helm chart: ``python -m scripts.manifests HELM``.

So kubectl applies the same objects as helm installs, except for helm's own labels.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[1]
FILE = PROJECT / "manifests/cluster/edge-controller.yaml"
HEADER = "# Rendered from helm/edge-controller by `python -m scripts.manifests HELM`; do not edit.\n"
_OPTIONS = ("--namespace=edge", "--no-hooks", "--kube-version=1.35.0", "--set=crds.install=false")
_LABELS_OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart")


def render(helm: str | Path) -> str:
    """The text of the file. Raises subprocess.CalledProcessError."""
    command = [helm, "template", "edge-controller", PROJECT / "helm/edge-controller", *_OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documents = [_as_applied(each) for each in yaml.safe_load_all(done.stdout) if each]
    return HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=118)


def _as_applied(document: dict[str, Any]) -> dict[str, Any]:
    template = document.get("spec", {}).get("template", {})
    for metadata in (document["metadata"], template.get("metadata", {})):
        for label in _LABELS_OF_HELM:
            metadata.get("labels", {}).pop(label, None)
    return document


if __name__ == "__main__":
    FILE.write_text(render(sys.argv[1]))
