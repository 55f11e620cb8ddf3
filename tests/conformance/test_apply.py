"""Server-side apply: field ownership, conflicts, and removal of fields without owners."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.conftest import Api, widget


async def apply(api: Api, manifest: dict[str, Any], manager: str, *flags: str, fails: bool = False) -> str:
    """Run ``kubectl apply --server-side`` as this manager."""
    return await api.kubectl(
        "apply", "--server-side", f"--field-manager={manager}", *flags, "-f", "-", stdin=manifest, fails=fails
    )


async def managers(api: Api) -> dict[str, Any]:
    """The field sets of the widget "one", by manager."""
    found = await api.get("widget", "one", "--show-managed-fields")
    return {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}


async def test_an_applier_owns_the_fields_it_set_but_no_defaults(api: Api) -> None:
    await apply(api, widget("one", size=2, parts=[{"name": "a"}]), "alice")
    owned: dict[str, Any] = {"f:spec": {"f:size": {}, "f:parts": {'k:{"name":"a"}': {".": {}, "f:name": {}}}}}
    assert await managers(api) == {"alice": owned}
    assert (await api.get("widget", "one"))["spec"]["mode"] == "Auto"


async def test_a_conflict_names_the_owner_and_the_field(api: Api) -> None:
    await apply(api, widget("one", size=2), "alice")
    output = await apply(api, widget("one", size=3), "bob", fails=True)
    assert 'Apply failed with 1 conflict: conflict with "alice"' in output
    assert ".spec.size" in output
    assert (await api.get("widget", "one"))["spec"]["size"] == 2


async def test_the_same_value_is_shared_and_force_takes_over(api: Api) -> None:
    await apply(api, widget("one", size=2), "alice")
    await apply(api, widget("one", size=2), "bob")
    assert set(await managers(api)) == {"alice", "bob"}
    await apply(api, widget("one", size=5), "bob", "--force-conflicts")
    assert await managers(api) == {"bob": {"f:spec": {"f:size": {}}}}


async def test_a_field_without_owners_is_removed(api: Api) -> None:
    await apply(api, widget("one", parts=[{"name": "a"}, {"name": "b"}]), "alice")
    await apply(api, widget("one", parts=[{"name": "b", "weight": 7}]), "bob")
    await apply(api, widget("one", parts=[]), "alice")
    spec = (await api.get("widget", "one"))["spec"]
    assert spec["parts"] == [{"name": "b", "weight": 7}]


async def test_two_managers_own_separate_labels(api: Api) -> None:
    for manager in ("alice", "bob"):
        manifest = widget("one")
        manifest["metadata"]["labels"] = {manager: "x"}
        await apply(api, manifest, manager)
    await apply(api, widget("one"), "alice")
    assert (await api.get("widget", "one"))["metadata"]["labels"] == {"bob": "x"}


async def test_an_update_takes_ownership_of_the_fields_it_changes(api: Api) -> None:
    await apply(api, widget("one", size=2, mode="Manual"), "alice")
    await api.kubectl("patch", "wd", "one", "--type=merge", "-p", '{"spec":{"size":4}}', "--field-manager=carol")
    assert await managers(api) == {
        "alice": {"f:spec": {"f:mode": {}}},
        "carol": {"f:spec": {"f:size": {}}},
    }


async def test_status_is_owned_separately(api: Api) -> None:
    await apply(api, widget("one"), "alice")
    status = {**widget("one"), "status": {"phase": "Seen"}}
    del status["spec"]
    await apply(api, status, "carol", "--subresource=status")
    found = await api.get("widget", "one", "--show-managed-fields")
    entry = next(e for e in found["metadata"]["managedFields"] if e["manager"] == "carol")
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:phase": {}}})
    assert (found["spec"]["size"], found["status"]["phase"]) == (1, "Seen")


async def test_applying_an_unchanged_manifest_writes_nothing(api: Api) -> None:
    await apply(api, widget("one"), "alice")
    first = await api.get("widget", "one")
    await apply(api, widget("one"), "alice")
    assert await api.get("widget", "one") == first


async def test_client_side_apply_migrates_to_server_side_without_conflict(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one", size=2))
    await apply(api, widget("one", size=3), "kubectl")
    assert (await api.get("widget", "one"))["spec"]["size"] == 3


async def test_diff_shows_the_changes_of_an_apply_without_making_them(api: Api) -> None:
    await apply(api, widget("one", size=2), "alice")
    for flags in ((), ("--server-side", "--field-manager=alice")):
        assert "+  size: 3" in await api.kubectl("diff", *flags, "-f", "-", stdin=widget("one", size=3), fails=True)
    assert (await api.get("widget", "one"))["spec"]["size"] == 2


async def test_ten_concurrent_appliers_all_set_their_label(api: Api) -> None:
    await apply(api, widget("one"), "alice")

    async def label(number: int) -> None:
        manifest = {**widget("one"), "spec": {"size": 1}}
        manifest["metadata"]["labels"] = {f"n{number}": "x"}
        await apply(api, manifest, f"manager-{number}")

    await asyncio.gather(*(label(number) for number in range(10)))
    assert len((await api.get("widget", "one"))["metadata"]["labels"]) == 10


async def test_edit_changes_the_object_but_not_last_applied(api: Api, tmp_path: Any) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/size: 1/size: 6/' \"$1\"\n")
    editor.chmod(0o755)
    assert "edited" in await api.kubectl("edit", "wd", "one", environment={"KUBE_EDITOR": str(editor)})
    assert (await api.get("widget", "one"))["spec"]["size"] == 6
    last = await api.kubectl("apply", "view-last-applied", "wd/one", "-o", "json")
    assert json.loads(last)["spec"]["size"] == 1


@pytest.mark.differs(
    "Applying a field that the schema does not declare is refused with 400; Kubernetes answers 500 with the same text",
    "the fault is the client's, and a 500 is treated as a bug of the server",
)
async def test_an_undeclared_field_cannot_be_applied(api: Api) -> None:
    output = await apply(api, widget("one", extra=1), "alice", fails=True)
    assert ".spec.extra: field not declared in schema" in output
    assert ("BadRequest" in output) == api.embedded
