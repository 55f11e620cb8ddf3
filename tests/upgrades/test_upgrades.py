"""The current program with the data of earlier releases: objects, schemas, and the labels of containers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller import __version__
from controller.api import crds, kinds
from controller.api.runtime_status import RuntimeStatus, docker_state
from controller.api.runtimes import RuntimeSpec
from controller.apiserver.server import ApiServer
from controller.backends import base
from controller.backends.base import Identity
from controller.backends.docker.containers import labels
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_kubeconfig
from controller.runtimes import status
from tests.upgrades.compatibility import narrowings, schema
from tests.upgrades.release import INSTALL_ID, NAMESPACE, Release, all_kept

RELEASES = pytest.mark.parametrize("release", all_kept(), ids=lambda release: release.folder.name)
KINDS = {each.kind: each for each in (kinds.RUNTIMES, kinds.RUNTIME_COMMANDS, core_kinds.SECRETS, kinds.EDGE_NODES)}
CURRENT = {each["metadata"]["name"]: each for each in crds.manifests()}


@pytest.fixture
async def upgraded(release: Release, tmp_path: Path) -> AsyncIterator[ApiClient]:
    """The current API on the release's database."""
    (tmp_path / "api").mkdir()
    await asyncio.to_thread(shutil.copy2, release.database, tmp_path / "api/objects.db")
    server = ApiServer(tmp_path, "127.0.0.1", 0, crds.manifests(), NAMESPACE)
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, tmp_path / "kubeconfig")
    api = ApiClient(await from_kubeconfig(tmp_path / "kubeconfig"))
    yield api
    await api.close()
    await server.stop()


def test_a_release_is_stored() -> None:
    assert all_kept(), f"run `python -m tests.upgrades.keep` for {__version__}"


@RELEASES
async def test_every_object_is_unchanged(upgraded: ApiClient, release: Release) -> None:
    for before in release.objects:
        metadata = before["metadata"]
        now = await upgraded.get(KINDS[before["kind"]], metadata["name"], metadata.get("namespace", ""))
        assert now["metadata"] == metadata
        assert includes(now, before), before["kind"]


@RELEASES
async def test_every_object_can_still_be_changed(upgraded: ApiClient, release: Release) -> None:
    for before in release.objects:
        metadata, kind = before["metadata"], KINDS[before["kind"]]
        patch = {"metadata": {"labels": {"upgraded": "yes"}}}
        now = await upgraded.patch(kind, metadata["name"], metadata.get("namespace", ""), patch)
        assert int(now["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
        assert now["metadata"].get("generation") == metadata.get("generation")


@RELEASES
async def test_a_deleted_runtime_waits_for_the_finalizer_of_its_release(upgraded: ApiClient, release: Release) -> None:
    await upgraded.delete(kinds.RUNTIMES, "least", NAMESPACE)
    held = await upgraded.get(kinds.RUNTIMES, "least", NAMESPACE)
    assert held["metadata"]["deletionTimestamp"]


@RELEASES
async def test_a_state_of_the_release_is_understood_and_rewritten(upgraded: ApiClient, release: Release) -> None:
    stored = (await upgraded.get(kinds.RUNTIMES, "full", NAMESPACE))["status"]
    known = RuntimeStatus.model_validate(stored)
    assert (docker_state(stored), known.state) == ("running", "Running")
    rewritten = status.changes(stored, known.wire())["state"]
    now = await upgraded.patch(
        kinds.RUNTIMES, "full", NAMESPACE, {"status": {"state": rewritten}}, subresource="status"
    )
    assert now["status"]["state"] == "Running"


@RELEASES
def test_a_container_of_the_release_is_recognized_and_needs_no_change(release: Release) -> None:
    identity = Identity(INSTALL_ID, NAMESPACE, "full")
    assert labels.identity_of(release.labels, INSTALL_ID) == identity
    (full,) = [each for each in release.objects if each["metadata"]["name"] == "full"]
    assert base.made_from(release.labels) == RuntimeSpec.model_validate(full["spec"])
    assert labels.mac_addresses(release.labels) == {"lan0": "02:00:00:00:00:21"}


@RELEASES
def test_schemas_only_grow(release: Release) -> None:
    for name, before in release.definitions.items():
        now = CURRENT[name]["spec"]
        assert (now["group"], now["scope"], now["names"]) == tuple(
            before["spec"][key] for key in ("group", "scope", "names")
        )
        served = {version["name"]: version for version in now["versions"] if version["served"]}
        for version in before["spec"]["versions"]:
            faults = list(narrowings(name, schema(version), schema(served[version["name"]])))
            assert not faults


def test_a_narrowed_schema_is_detected() -> None:
    old = {
        "required": ["a"],
        "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": "integer"}, "c": {"items": {"maxLength": 9}}},
    }
    new = {"required": ["a", "c"], "properties": {"a": {"enum": ["x"]}, "c": {"items": {"maxLength": 5}}, "d": {}}}
    assert set(narrowings("", old, new)) == {
        ": c is required now",
        ".a: y is no longer allowed",
        ".b is gone",
        ".c[]: maxLength is 5, was 9",
    }


def includes(now: Any, before: Any) -> bool:
    """Whether ``now`` includes everything in ``before``; defaults of new fields may have been added."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(key in now and includes(now[key], before[key]) for key in before)
    if isinstance(before, list):
        return len(now) == len(before) and all(map(includes, now, before))
    return bool(now == before)
