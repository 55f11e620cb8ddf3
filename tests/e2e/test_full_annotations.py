"""A Runtime whose annotations are full, as client-side kubectl apply leaves a large manifest, works like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost, eventually

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BYTES = 262_080  # kubectl would be refused with 16 more


def manifest(edge: EdgeHost, version: str, last: int = 0) -> str:
    """A Runtime with many variables, of which the last one has this length."""
    values = [*("x" * 4064 for _ in range(63)), "y" * last]
    spec = {
        "deviceId": "plc-1",
        "image": edge.environment["EDGE_RUNTIME_IMAGE"],
        "version": version,
        "env": [{"name": f"VARIABLE_{number:02}", "value": value} for number, value in enumerate(values)],
    }
    metadata = {"name": "plc-1", "namespace": "edge"}
    return json.dumps({"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": metadata, "spec": spec})


async def apply(edge: EdgeHost, text: str, *options: str) -> dict[str, Any]:
    """Apply it at the client and return the object."""
    found: dict[str, Any] = json.loads(await edge.kubectl("apply", *options, "-o", "json", "-f", "-", stdin=text))
    return found


async def test_it_runs_is_changed_and_is_deleted(edge: EdgeHost) -> None:
    probe = await apply(edge, manifest(edge, "1"), "--dry-run=server")
    room = BYTES - len(probe["metadata"]["annotations"][LAST_APPLIED])
    made = await apply(edge, manifest(edge, "1", room))
    assert len(made["metadata"]["annotations"][LAST_APPLIED]) == BYTES

    await edge.wait_condition("plc-1", "Ready")
    await eventually(lambda: warned(edge), "an Event names the full annotations")

    changed = await apply(edge, manifest(edge, "2", room))
    generation = changed["metadata"]["generation"]
    await edge.kubectl(
        "wait", "runtime/plc-1", f"--for=jsonpath={{.status.appliedGeneration}}={generation}", "--timeout=60s"
    )
    assert (await edge.runtime("plc-1"))["status"]["imageSource"].endswith(":2")

    await edge.kubectl("delete", "runtime", "plc-1", "--timeout=60s")


async def warned(edge: EdgeHost) -> bool:
    """Whether the Event exists."""
    return "annotations are full" in await edge.kubectl("get", "events", "--field-selector=reason=AnnotationsFull")
