"""The stored data of a release: one folder each below ``releases``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from controller import names

FOLDER = Path(__file__).parent / "releases"
INSTALL_ID = "07048933"
NAMESPACE = "edge"


class Release(NamedTuple):
    """The files of one version."""

    folder: Path

    @property
    def database(self) -> Path:
        """The embedded API's database."""
        return self.folder / "objects.db"

    @property
    def definitions(self) -> dict[str, dict[str, Any]]:
        """Its CustomResourceDefinitions by name."""
        listed = yaml.safe_load_all((self.folder / "crds.yaml").read_text())
        return {each["metadata"]["name"]: each for each in listed}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the container of the Runtime ``full``."""
        found: dict[str, str] = yaml.safe_load((self.folder / "container-labels.yaml").read_text())
        return found

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects in the database, as the API returned them."""
        return list(yaml.safe_load_all((self.folder / "objects.yaml").read_text()))


def all_kept() -> list[Release]:
    """All stored releases, the oldest first."""
    return [Release(folder) for folder in sorted(FOLDER.iterdir()) if folder.is_dir()]


FULL_SPEC: dict[str, Any] = {
    "deviceId": "full",
    "image": "registry.test/plc",
    "version": "1.4",
    "nodeName": "box",
    "backend": "Docker",
    "interfaces": [
        {"name": "lan0", "parentInterface": "eth1", "mode": "Static", "address": "192.168.10.21",
         "subnet": "192.168.10.0/24", "gateway": "192.168.10.1", "macAddress": "02:00:00:00:00:21"},
    ],
    "resources": {"cpu": "1", "memory": "64Mi"},
    "env": [{"name": "MODE", "value": "run"}],
    "volumes": [{"name": "data", "mountPath": "/data"}],
    "realtime": {"enabled": True},
}  # fmt: skip
STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "state": "Running",
    "node": "box",
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Running", "message": "", "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ],
}  # fmt: skip


def runtime(name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    """A Runtime with our finalizer and the given labels."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "finalizers": [names.FINALIZER]}
    return {"metadata": metadata, "spec": spec}
