"""CustomResourceDefinitions and namespaces: creation, validation, changes and deletion."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest

from tests.conformance.conftest import DEFINITION, Api, widget

GADGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.test.getedge.me"},
    "spec": {
        "group": "test.getedge.me",
        "scope": "Cluster",
        "names": {"kind": "Gadget", "plural": "gadgets"},
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": version == "v2",
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
            for version in ("v1", "v2")
        ],
    },
}
SCHEMA = ("spec", "versions", 0, "schema", "openAPIV3Schema")


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The definition of gadgets with another value at a path."""
    definition: dict[str, Any] = copy.deepcopy(GADGETS)
    part: Any = definition
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return definition


async def test_a_new_definition_is_served_in_all_its_versions(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=GADGETS)
    await api.kubectl("wait", "crd/gadgets.test.getedge.me", "--for=condition=Established", "--timeout=20s")
    manifest = {"apiVersion": "test.getedge.me/v2", "kind": "Gadget", "metadata": {"name": "g"}, "any": {"thing": 1}}
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    found = await api.get("gadgets.v1.test.getedge.me", "g")
    assert (found["apiVersion"], found["any"]) == ("test.getedge.me/v1", {"thing": 1})
    await api.kubectl("delete", "crd", "gadgets.test.getedge.me", "--timeout=20s")
    assert "gadgets" not in await api.kubectl("api-resources")


async def test_a_changed_definition_takes_effect(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    definition = copy.deepcopy(DEFINITION)
    properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["depth"] = {"type": "integer", "default": 3}
    await api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=definition)
    await api.kubectl("annotate", "wd", "one", "touched=yes")
    assert (await api.get("wd", "one"))["spec"]["depth"] == 3


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("metadata", "name"), "other.test.getedge.me", 'must be spec.names.plural+"."+spec.group'),
        (("spec", "scope"), "Everywhere", 'supported values: "Cluster", "Namespaced"'),
        (("spec", "versions", 1, "storage"), False, "must have exactly one version marked as storage version"),
        (("spec", "versions", 0, "schema"), {}, "openAPIV3Schema: Required value"),
        ((*SCHEMA, "pattern"), "(", "must be a valid regular expression"),
        ((*SCHEMA, "x-kubernetes-validations"), [{"rule": "self."}], "compilation failed"),
    ],
)
async def test_an_invalid_definition_is_refused(
    api: Api, path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    manifest = changed(path, value)
    assert expected in await api.kubectl("create", "--validate=false", "-f", "-", stdin=manifest, fails=True)


async def test_a_definition_waits_for_the_finalizers_of_its_objects(api: Api) -> None:
    manifest = widget("one")
    manifest["metadata"]["finalizers"] = ["test.getedge.me/hold"]
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    await api.kubectl("delete", "crd", "widgets.test.getedge.me", "--wait=false")
    await api.kubectl("wait", "wd/one", "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=20s")
    assert "terminating" in await api.kubectl("create", "-f", "-", stdin=widget("two"), fails=True)
    await api.kubectl("patch", "wd", "one", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    await api.kubectl("wait", "crd/widgets.test.getedge.me", "--for=delete", "--timeout=20s")


async def test_a_namespace_waits_for_the_finalizers_of_its_objects(api: Api) -> None:
    await api.kubectl("create", "namespace", "tmp")
    held, free = widget("held"), widget("free")
    held["metadata"] |= {"namespace": "tmp", "finalizers": ["test.getedge.me/hold"]}
    free["metadata"]["namespace"] = "tmp"
    for manifest in (held, free):
        await api.kubectl("apply", "-f", "-", stdin=manifest)
    deletion = asyncio.create_task(api.kubectl("delete", "namespace", "tmp", "--timeout=30s"))
    await api.kubectl("wait", "-n", "tmp", "wd/free", "--for=delete", "--timeout=20s")
    assert "Terminating" in await api.kubectl("get", "namespace", "tmp")
    free["metadata"]["name"] = "late"
    assert "is being terminated" in await api.kubectl("create", "-f", "-", stdin=free, fails=True)
    assert not deletion.done()
    patch = json.dumps({"metadata": {"finalizers": None}})
    await api.kubectl("patch", "-n", "tmp", "wd", "held", "--type=merge", "-p", patch)
    assert "deleted" in await deletion
    assert "NotFound" in await api.kubectl("get", "namespace", "tmp", fails=True)
