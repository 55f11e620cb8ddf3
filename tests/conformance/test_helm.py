"""Helm: releases of the chart ``helm/runtimes``, and of charts with definitions, hooks and ``lookup``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance.conftest import Api, Charts

pytestmark = pytest.mark.helm

PROJECT = Path(__file__).parents[2]
CHART = str(PROJECT / "helm/runtimes")
IMAGE = "--set=defaults.image=registry.test/plc"


async def versions(api: Api) -> dict[str, Any]:
    """The version of each Runtime, by name."""
    return {item["metadata"]["name"]: item["spec"].get("version") for item in (await api.get("runtimes"))["items"]}


def with_version(*names: str, version: str) -> list[str]:
    """The options that set the version of these runtimes."""
    return [IMAGE, *(f"--set-string=runtimes.{name}.version={version}" for name in names)]


async def test_the_chart_passes_strict_lint(api: Api) -> None:
    await api.helm("lint", "--strict", CHART, *with_version("a", version="1"))


async def test_an_entry_overrides_the_defaults_and_null_removes_it(api: Api, tmp_path: Path) -> None:
    values = {
        "defaults": {"image": "registry.test/plc", "resources": {"cpu": "1", "memory": "64Mi"}},
        "labels": {"line": "north"},
        "runtimes": {"a": {}, "b": {"deviceId": "B", "resources": {"cpu": "2"}}, "c": None},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    printed = await api.helm("template", "site", CHART, "-f", str(tmp_path / "values.yaml"))
    found = {item["metadata"]["name"]: item for item in yaml.safe_load_all(printed)}
    assert {name: item["spec"]["deviceId"] for name, item in found.items()} == {"a": "a", "b": "B"}
    assert found["b"]["spec"]["resources"] == {"cpu": "2", "memory": "64Mi"}
    assert found["a"]["metadata"]["labels"]["line"] == "north"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--set=runtimes.a.version=1", "want string"),
        ("--set=runtimes.UPPER.image=x", "UPPER"),
        ("--set=runtime.a.image=x", "'runtime' not allowed"),
        ("--set-string=runtimes.a.version=1", "runtimes.a.image is missing"),
        ("--set=runtimes.a.image=x,runtimes.a.desiredState=Off", "'Running', 'Stopped'"),
    ],
)
async def test_invalid_values_are_reported_before_anything_is_sent(api: Api, option: str, expected: str) -> None:
    assert expected in await api.helm("template", "site", CHART, option, fails=True)


async def test_a_release_is_installed_upgraded_rolled_back_and_uninstalled(api: Api) -> None:
    assert "kubectl -n edge get runtimes" in await api.helm(
        "install", "site", CHART, *with_version("press-a", "press-b", version="1"), "--wait"
    )
    assert await versions(api) == {"press-a": "1", "press-b": "1"}
    await api.helm("upgrade", "site", CHART, *with_version("press-b", "press-c", version="2"), "--wait")
    assert await versions(api) == {"press-b": "2", "press-c": "2"}
    await api.helm("rollback", "site", "1", "--wait")
    assert await versions(api) == {"press-a": "1", "press-b": "1"}
    history = json.loads(await api.helm("history", "site", "-o", "json"))
    assert [entry["status"] for entry in history] == ["superseded", "superseded", "deployed"]
    (listed,) = json.loads(await api.helm("list", "-o", "json"))
    assert (listed["name"], listed["revision"], listed["chart"]) == ("site", "3", "runtimes-0.1.0")
    await api.helm("uninstall", "site", "--wait")
    assert await versions(api) == {}
    assert json.loads(await api.helm("list", "-a", "-o", "json")) == []


async def test_the_manifest_of_a_release_matches_the_objects(api: Api) -> None:
    await api.helm("install", "site", CHART, *with_version("press-a", version="1"))
    (manifest,) = yaml.safe_load_all(await api.helm("get", "manifest", "site"))
    found = await api.get("runtime", "press-a")
    assert manifest["spec"].items() <= found["spec"].items()
    assert found["metadata"]["labels"] == manifest["metadata"]["labels"]
    assert found["metadata"]["annotations"]["meta.helm.sh/release-name"] == "site"


async def test_a_manual_change_stays_until_the_chart_changes_the_value(api: Api) -> None:
    await api.helm("install", "site", CHART, *with_version("press-a", version="1"))
    patch = '{"spec":{"version":"9","nodeName":"node-1"}}'
    await api.kubectl("patch", "runtime", "press-a", "--type=merge", "-p", patch)
    for desired, found in (("1", "9"), ("2", "2")):
        await api.helm("upgrade", "site", CHART, *with_version("press-a", version=desired))
        spec = (await api.get("runtime", "press-a"))["spec"]
        assert (spec["version"], spec["nodeName"]) == (found, "node-1")


async def test_a_refused_atomic_upgrade_changes_nothing(api: Api) -> None:
    await api.helm("install", "site", CHART, *with_version("press-a", version="1"))
    options = [
        *with_version("press-a", "press-b", version="2"),
        "--set=runtimes.press-b.terminationGracePeriodSeconds=9999",
    ]
    output = await api.helm("upgrade", "site", CHART, *options, "--atomic", "--timeout=20s", fails=True)
    assert "should be less than or equal to 600" in output
    assert await versions(api) == {"press-a": "1"}
    history = json.loads(await api.helm("history", "site", "-o", "json"))
    assert [entry["status"] for entry in history] == ["superseded", "failed", "deployed"]


async def test_a_refused_install_can_be_repeated(api: Api) -> None:
    options = [*with_version("press-a", version="1"), "--set=runtimes.press-a.dedicatedInterface=much-too-long-for-it"]
    await api.helm("upgrade", "--install", "site", CHART, *options, "--atomic", "--timeout=20s", fails=True)
    await api.helm("upgrade", "--install", "site", CHART, *with_version("press-a", version="1"), "--atomic")
    assert await versions(api) == {"press-a": "1"}


async def test_a_dry_run_on_the_server_writes_nothing(api: Api) -> None:
    printed = await api.helm("install", "site", CHART, *with_version("press-a", version="1"), "--dry-run=server")
    assert "kind: Runtime" in printed
    assert (await versions(api), json.loads(await api.helm("list", "-a", "-o", "json"))) == ({}, [])


async def test_an_unknown_field_is_dropped_with_a_warning(api: Api) -> None:
    options = [*with_version("press-a", "press-b", version="1"), "--set=runtimes.press-b.colour=red"]
    assert "unknown field" in await api.helm("install", "site", CHART, *options)
    assert "colour" not in (await api.get("runtime", "press-b"))["spec"]


async def test_existing_objects_are_adopted_only_with_take_ownership(api: Api) -> None:
    spec = {"deviceId": "press-a", "image": "registry.test/plc"}
    made = {"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": {"name": "press-a"}, "spec": spec}
    await api.kubectl("create", "-f", "-", stdin=made)
    options = with_version("press-a", version="1")
    assert "invalid ownership metadata" in await api.helm("install", "site", CHART, *options, fails=True)
    await api.helm("install", "site", CHART, *options, "--take-ownership")
    assert await versions(api) == {"press-a": "1"}


async def test_the_rendered_chart_can_be_applied_by_kubectl(api: Api, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    for version in ("1", "2"):
        rendered.write_text(await api.helm("template", "site", CHART, *with_version("press-a", version=version)))
        await api.kubectl("diff", "--server-side", "-f", str(rendered), fails=True)
        await api.kubectl("apply", "--server-side", "-f", str(rendered))
        assert await versions(api) == {"press-a": version}
    assert await api.kubectl("diff", "--server-side", "-f", str(rendered)) == ""


async def test_definitions_in_a_chart_are_installed_first_and_never_removed(api: Api, charts: Charts) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.helm.getedge.me"},
        "spec": {
            "group": "helm.getedge.me",
            "scope": "Namespaced",
            "names": {"kind": "Gear", "plural": "gears", "singular": "gear"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    gear = {"apiVersion": "helm.getedge.me/v1", "kind": "Gear", "metadata": {"name": "one"}}
    chart = charts.make({"crds/gears.yaml": definition, "templates/gear.yaml": gear})
    await api.helm("install", "site", chart, "--wait")
    assert (await api.get("gear", "one"))["kind"] == "Gear"
    await api.helm("uninstall", "site")
    assert (await api.get("gears"))["items"] == []


async def test_hooks_are_deleted_by_their_delete_policy(api: Api, charts: Charts) -> None:
    chart = charts.make(
        {
            "templates/before.yaml": charts.config_map("before", {"helm.sh/hook": "pre-install"}),
            "templates/after.yaml": charts.config_map(
                "after", {"helm.sh/hook": "post-install", "helm.sh/hook-delete-policy": "hook-succeeded"}
            ),
            "templates/own.yaml": charts.config_map("own", {}),
        }
    )
    await api.helm("install", "site", chart, "--wait")
    assert {"before", "own"} == {item["metadata"]["name"] for item in await charts.made(api)}
    await api.helm("uninstall", "site")
    assert {"before"} == {item["metadata"]["name"] for item in await charts.made(api)}


async def test_lookup_in_a_chart_finds_existing_objects(api: Api, charts: Charts) -> None:
    template = """
apiVersion: v1
kind: ConfigMap
metadata: {name: seen, labels: {made: by-chart}}
data:
  found: {{ (lookup "v1" "ConfigMap" .Release.Namespace "given").data.key | quote }}
  none: {{ lookup "v1" "Secret" .Release.Namespace "none" | empty | quote }}
  count: {{ len (lookup "test.getedge.me/v1" "Widget" "" "").items | quote }}
  serves: {{ .Capabilities.APIVersions.Has "test.getedge.me/v1/Widget" | quote }}
"""
    await api.kubectl("create", "configmap", "given", "--from-literal=key=word")
    await api.helm("install", "site", charts.make({"templates/seen.yaml": template}))
    (seen,) = await charts.made(api)
    assert seen["data"] == {"found": "word", "none": "true", "count": "0", "serves": "true"}


@pytest.mark.differs(
    "Pods, and kinds that create pods (Jobs, Deployments, ...), are listed as empty and cannot be created",
    "a single host runs Runtimes; there is no kubelet",
)
async def test_a_hook_that_needs_pods_fails(api: Api, charts: Charts) -> None:
    container = {"name": "job", "image": "registry.test/job"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "prepare", "annotations": {"helm.sh/hook": "pre-install"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    output = await api.helm("install", "site", charts.make({"templates/job.yaml": job}), "--timeout=2s", fails=True)
    assert ("runs Runtimes, not pods" if api.embedded else "timed out waiting for the condition") in output
