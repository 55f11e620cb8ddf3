"""Stores the data of the current version for upgrade tests. Run ``python -m tests.upgrades.keep`` once per release."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from controller import __version__, names
from controller.api import crds, kinds
from controller.api.runtimes import RuntimeSpec
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.database import DatabaseOptions
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.labels import ContainerProvenance
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_kubeconfig
from tests.upgrades.release import FOLDER, FULL_SPEC, INSTALL_ID, NAMESPACE, STATUS, Release, runtime


async def keep(folder: Path) -> None:
    """Write all files of a release."""
    release = Release(folder)
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        options = DatabaseOptions({"install-id": INSTALL_ID})
        server = ApiServer(state, "127.0.0.1", 0, crds.manifests(), NAMESPACE, database_options=options)
        await server.start()
        server.write_kubeconfig(state / "kubeconfig")
        api = ApiClient(await from_kubeconfig(state / "kubeconfig"))
        written = await _fill(api)
        await api.close()
        await server.stop()
        folder.mkdir(parents=True)
        # After a clean stop the server leaves no WAL files.
        assert not list((state / "api").glob("objects.db-*"))
        shutil.copy2(state / "api/objects.db", release.database)
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(written, sort_keys=False))
    (folder / "crds.yaml").write_text(yaml.safe_dump_all(crds.manifests(), sort_keys=False))
    (folder / "container-labels.yaml").write_text(yaml.safe_dump(_labels(written[0])))


async def _fill(api: ApiClient) -> list[dict[str, Any]]:
    """Create objects of every kind on a host, and return them as the API stores them."""
    full = runtime("full", FULL_SPEC, **{names.ORIGIN_LABEL: names.ORIGIN_CLOUD})
    await api.create(kinds.RUNTIMES, full)
    await api.create(kinds.RUNTIMES, runtime("least", {"deviceId": "least", "image": "registry.test/plc"}))
    await api.patch(kinds.RUNTIMES, "full", NAMESPACE, {"status": STATUS}, subresource="status")
    secret = {"metadata": {"name": "registry", "namespace": NAMESPACE}, "stringData": {"password": "x"}}
    await api.create(core_kinds.SECRETS, secret)
    command = {"topic": "stop_device", "deviceId": "full", "payloadHash": "0" * 64,
               "receivedAt": "2026-01-01T00:00:00.000000Z", "sequence": 1}  # fmt: skip
    metadata = {"name": "stop-device-1", "namespace": NAMESPACE}
    await api.create(kinds.RUNTIME_COMMANDS, {"metadata": metadata, "spec": command})
    await api.create(kinds.EDGE_NODES, {"metadata": {"name": "box"}, "spec": {}})
    return [
        await api.get(kinds.RUNTIMES, "full", NAMESPACE),
        await api.get(kinds.RUNTIMES, "least", NAMESPACE),
        await api.get(core_kinds.SECRETS, "registry", NAMESPACE),
        await api.get(kinds.RUNTIME_COMMANDS, "stop-device-1", NAMESPACE),
        await api.get(kinds.EDGE_NODES, "box"),
    ]


def _labels(full: dict[str, Any]) -> dict[str, str]:
    """The labels that the Docker backend gives the container of a Runtime."""
    spec = RuntimeSpec.model_validate(full["spec"])
    target = Target(Identity(INSTALL_ID, NAMESPACE, "full"), "full", full["metadata"]["uid"], 1, spec)
    macs = {interface.name: interface.mac_address or "" for interface in spec.interfaces}
    return labels.of_container(target, ContainerProvenance("sha256:" + "1" * 64, spec.image_reference, macs))


if __name__ == "__main__":
    asyncio.run(keep(FOLDER / __version__))
