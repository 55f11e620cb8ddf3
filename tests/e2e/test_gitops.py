"""Tools that apply manifests: they take Runtimes over from the cloud, and prune those whose manifest is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

INSTANCE = "app.kubernetes.io/instance"
PRUNE = ("--prune", "--selector=plant=a")
APPLYSET = {"KUBECTL_APPLYSET": "true"}


def manifest(name: str, **spec: Any) -> str:
    """A Runtime that needs no engine, as it is stopped."""
    metadata = {"name": name, "namespace": "edge", "labels": {"plant": "a"}}
    whole = {"deviceId": name, "image": "registry.test/plc", "desiredState": "Stopped", **spec}
    return json.dumps({"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": metadata, "spec": whole})


async def refusal(edge: EdgeHost) -> str:
    """The error of a command that would change plc-1, "" if it is executed."""
    answer = await edge.send("stop_device", device_id="plc-1")
    return str(answer.get("error") or "")


async def test_a_mark_of_a_tool_takes_a_runtime_over_from_the_cloud(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")

    await edge.kubectl("label", "runtime", "plc-1", f"{INSTANCE}=press-shop")
    assert "managed by the Argo CD Application press-shop" in await refusal(edge)
    await edge.kubectl("label", "runtime", "plc-1", f"{INSTANCE}-")
    assert await refusal(edge) == ""
    whole = json.loads(manifest("plc-1"))
    whole["spec"] = {"deviceId": "plc-1", "env": [{"name": "LINE", "value": "3"}]}
    await edge.kubectl("apply", "--server-side", "--validate=false", "-f", "-", stdin=json.dumps(whole))
    assert "managed by kubectl" in await refusal(edge)
    await edge.kubectl("patch", "runtime", "plc-1", "--type=merge", "-p", '{"metadata":{"managedFields":[{}]}}')
    assert await refusal(edge) == ""


@pytest.fixture
async def folder(edge: EdgeHost, tmp_path: Path) -> Path:
    """A folder with the manifests of plc-1 and plc-2."""
    made = tmp_path / "plant"
    made.mkdir()
    for name in ("plc-1", "plc-2"):
        (made / f"{name}.json").write_text(manifest(name))
    return made


async def left(edge: EdgeHost, *names: str) -> None:
    """Wait until exactly these Runtimes exist."""

    async def exist() -> bool:
        found = await edge.kubectl("get", "runtimes", "-o", "jsonpath={.items[*].metadata.name}")
        return set(found.split()) == set(names)

    await eventually(exist, f"{names} are left (see {edge.log})")


async def test_kubectl_prunes_the_kinds_of_its_allowlist(edge: EdgeHost, folder: Path) -> None:
    await edge.kubectl("apply", "-f", str(folder), *PRUNE)
    (folder / "plc-2.json").unlink()

    printed = await edge.kubectl("apply", "-f", str(folder), *PRUNE, check=False)
    assert "unchanged" in printed
    assert "pruned" not in printed
    assert "no matches for kind" not in printed
    await left(edge, "plc-1", "plc-2")

    printed = await edge.kubectl("apply", "-f", str(folder), *PRUNE, "--prune-allowlist=getedge.me/v1alpha1/Runtime")
    assert "runtime.getedge.me/plc-2 pruned" in printed
    await left(edge, "plc-1")


async def test_kubectl_prunes_an_apply_set(edge: EdgeHost, folder: Path) -> None:
    apply = ("apply", "-f", str(folder), "--prune", "--applyset=plant", "--namespace=edge")
    await edge.kubectl(*apply, environment=APPLYSET)
    (folder / "plc-2.json").unlink()

    assert "plc-2 pruned" in await edge.kubectl(*apply, environment=APPLYSET)
    await left(edge, "plc-1")
