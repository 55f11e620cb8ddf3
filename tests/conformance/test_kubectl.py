"""kubectl commands and their output."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.conformance.conftest import Api, widget


async def test_api_resources_lists_core_and_custom_kinds(api: Api) -> None:
    printed = await api.kubectl("api-resources")
    assert {"namespaces", "events", "secrets", "configmaps", "leases", "widgets"} <= {
        line.split()[0] for line in printed.splitlines()
    }


async def test_apply_reports_created_unchanged_and_configured(api: Api) -> None:
    assert "created" in await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    assert "unchanged" in await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    assert "configured" in await api.kubectl("apply", "-f", "-", stdin=widget("one", size=2))
    found = await api.get("widget", "one")
    assert (found["spec"]["size"], found["metadata"]["generation"]) == (2, 2)


async def test_apply_removes_items_missing_in_the_manifest(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one", parts=[{"name": "a"}, {"name": "b"}]))
    await api.kubectl("apply", "-f", "-", stdin=widget("one", parts=[{"name": "b"}]))
    assert [part["name"] for part in (await api.get("widget", "one"))["spec"]["parts"]] == ["b"]


async def test_server_side_apply_creates_and_changes(api: Api) -> None:
    for size in (1, 2):
        printed = await api.kubectl("apply", "--server-side", "-f", "-", stdin=widget("one", size=size))
        assert "serverside-applied" in printed
    assert (await api.get("widget", "one"))["spec"]["size"] == 2


async def test_get_prints_the_columns_of_the_definition(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one", color="Red"))
    patch = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    await api.kubectl("patch", "widget", "one", "--subresource=status", "--type=merge", "-p", patch)
    header, row = (await api.kubectl("get", "wd")).splitlines()
    assert header.split() == ["NAME", "SIZE", "READY", "AGE"]
    assert row.split()[:3] == ["one", "1", "True"]
    assert "COLOR" in await api.kubectl("get", "wd", "-o", "wide")
    assert "one" in await api.kubectl("get", "tests")


async def test_defaults_are_applied_and_unknown_fields_pruned_with_a_warning(api: Api) -> None:
    manifest = widget("one", parts=[{"name": "a"}], bogus=1)
    assert 'unknown field "spec.bogus"' in await api.kubectl("create", "--validate=warn", "-f", "-", stdin=manifest)
    spec = (await api.get("widget", "one"))["spec"]
    assert spec == {"size": 1, "mode": "Auto", "parts": [{"name": "a", "weight": 5}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"color": "Blue"}, 'spec.color: Unsupported value: "Blue": supported values: "Red", "Green"'),
        ({"mode": "x" * 11}, "spec.mode: Too long: may not be more than 10 bytes"),
        ({"parts": [{"weight": 1}]}, "spec.parts[0].name: Required value"),
        ({"parts": [{"name": "a"}, {"name": "a"}]}, 'spec.parts[1]: Duplicate value: {"name":"a"}'),
        ({"parts": [{"name": c} for c in "abcd"]}, "spec.parts: Too many: 4: must have at most 3 items"),
    ],
)
async def test_an_invalid_manifest_is_refused_with_kubernetes_messages(
    api: Api, spec: dict[str, object], expected: str
) -> None:
    printed = await api.kubectl("create", "--validate=false", "-f", "-", stdin=widget("bad", **spec), fails=True)
    assert 'The Widget "bad" is invalid:' in printed
    assert expected in printed


async def test_a_transition_rule_makes_a_field_immutable(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one", color="Red"))
    for patch in ({"spec": {"color": "Green"}}, {"spec": {"color": None}}):
        output = await api.kubectl("patch", "wd", "one", "--type=merge", "-p", json.dumps(patch), fails=True)
        assert "color is immutable once set" in output


async def test_merge_and_json_patches_change_the_object(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    await api.kubectl("patch", "wd", "one", "--type=merge", "-p", '{"spec":{"size":3}}')
    await api.kubectl("patch", "wd", "one", "--type=json", "-p", '[{"op":"add","path":"/spec/color","value":"Red"}]')
    spec = (await api.get("wd", "one"))["spec"]
    assert (spec["size"], spec["color"]) == (3, "Red")
    failing = '[{"op":"test","path":"/spec/size","value":9},{"op":"remove","path":"/spec/color"}]'
    await api.kubectl("patch", "wd", "one", "--type=json", "-p", failing, fails=True)


async def test_label_and_field_selectors_select_objects(api: Api) -> None:
    for name, color in (("one", "Red"), ("two", "Green")):
        await api.kubectl("apply", "-f", "-", stdin=widget(name, color=color))
    await api.kubectl("label", "wd", "one", "tier=front")
    assert await api.kubectl("get", "wd", "-l", "tier=front", "-o", "name") == "widget.test.getedge.me/one\n"
    assert await api.kubectl("get", "wd", "-l", "tier notin (front)", "-o", "name") == "widget.test.getedge.me/two\n"
    assert "two" in await api.kubectl("get", "wd", "--field-selector", "spec.color=Green", "-o", "name")
    assert "one" in await api.kubectl("get", "wd", "--field-selector", "metadata.name=one", "-o", "name")


async def test_delete_waits_for_the_finalizer(api: Api) -> None:
    manifest = widget("one")
    manifest["metadata"]["finalizers"] = ["test.getedge.me/hold"]
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    deletion = asyncio.create_task(api.kubectl("delete", "wd", "one", "--timeout=30s"))
    await api.kubectl("wait", "wd/one", "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=20s")
    assert not deletion.done()
    await api.kubectl("patch", "wd", "one", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert "deleted" in await deletion
    assert "NotFound" in await api.kubectl("get", "wd", "one", fails=True)


async def test_describe_shows_the_events_of_the_object(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    uid = (await api.get("wd", "one"))["metadata"]["uid"]
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "one.", "namespace": "edge"},
        "involvedObject": {"kind": "Widget", "name": "one", "namespace": "edge", "uid": uid},
        "type": "Normal",
        "reason": "Polished",
        "message": "It shines",
        "count": 1,
    }
    await api.kubectl("create", "-f", "-", stdin=event)
    assert "Polished" in await api.kubectl("describe", "wd", "one")


async def test_explain_shows_fields_and_descriptions(api: Api) -> None:
    assert "How large it is." in await api.kubectl("explain", "widget.spec")
    assert "weight" in await api.kubectl("explain", "widget", "--recursive")


async def test_dry_run_writes_nothing(api: Api) -> None:
    printed = await api.kubectl("apply", "--dry-run=server", "-f", "-", stdin=widget("one"))
    assert "server dry run" in printed
    assert "NotFound" in await api.kubectl("get", "wd", "one", fails=True)


async def test_deleting_a_namespace_deletes_its_objects(api: Api) -> None:
    await api.kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tmp"}})
    manifest = widget("one")
    manifest["metadata"]["namespace"] = "tmp"
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    await api.kubectl("delete", "namespace", "tmp", "--timeout=30s")
    assert (await api.get("wd", "-A"))["items"] == []


async def test_creating_an_object_in_an_unknown_namespace_is_refused(api: Api) -> None:
    manifest = widget("one")
    manifest["metadata"]["namespace"] = "nowhere"
    assert 'namespaces "nowhere" not found' in await api.kubectl("create", "-f", "-", stdin=manifest, fails=True)


async def test_watch_prints_changes(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one"))
    waiting = asyncio.create_task(api.kubectl("wait", "wd/one", "--for=jsonpath={.spec.size}=7", "--timeout=30s"))
    await api.kubectl("patch", "wd", "one", "--type=merge", "-p", '{"spec":{"size":7}}')
    assert "condition met" in await waiting


async def test_create_subcommands_create_core_objects(api: Api) -> None:
    await api.kubectl("create", "namespace", "lab")
    await api.kubectl("create", "configmap", "settings", "--from-literal=a=b")
    await api.kubectl("create", "secret", "generic", "key", "--from-literal=token=secret")
    await api.kubectl(
        "create", "secret", "docker-registry", "pull", "--docker-server=r", "--docker-username=u", "--docker-password=p"
    )
    assert (await api.get("configmap", "settings"))["data"] == {"a": "b"}
    assert (await api.get("secret", "key"))["data"] == {"token": "c2VjcmV0"}
    assert (await api.get("secret", "pull"))["type"] == "kubernetes.io/dockerconfigjson"
    assert "lab" in await api.kubectl("get", "namespaces")


async def test_auth_shows_the_user_and_their_permissions(api: Api) -> None:
    assert "admin" in await api.kubectl("auth", "whoami")
    assert await api.kubectl("auth", "can-i", "delete", "widgets") == "yes\n"
    assert "*.*" in await api.kubectl("auth", "can-i", "--list")


async def test_the_output_of_get_can_be_applied(api: Api) -> None:
    for name in ("one", "two"):
        await api.kubectl("apply", "-f", "-", stdin=widget(name))
    found = await api.get("wd")
    assert found["kind"] == "List"
    for item in found["items"]:
        item["spec"]["size"] = 2
    printed = await api.kubectl("apply", "-f", "-", stdin=found)
    assert printed.splitlines() == [f"widget.test.getedge.me/{name} configured" for name in ("one", "two")]
    assert [item["spec"]["size"] for item in (await api.get("wd"))["items"]] == [2, 2]


async def test_a_list_can_be_created_diffed_replaced_and_applied(api: Api) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
    one = widget("one")
    made = {"apiVersion": "v1", "kind": "List", "items": [one, settings]}
    assert "configmap/settings created" in await api.kubectl("create", "--validate=strict", "-f", "-", stdin=made)
    one["spec"]["size"] = 3
    assert "+  size: 3" in await api.kubectl("diff", "-f", "-", stdin=made, fails=True)
    assert "widget.test.getedge.me/one replaced" in await api.kubectl("replace", "-f", "-", stdin=made)
    one["spec"]["size"] = 4
    applied = await api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=made)
    assert "widget.test.getedge.me/one serverside-applied" in applied
    assert (await api.get("wd", "one"))["spec"]["size"] == 4


@pytest.mark.parametrize(("version", "kind"), [("nowhere.example.com/v1", "Foo"), ("v1", "Foo")])
@pytest.mark.parametrize("verb", [("apply",), ("apply", "--server-side"), ("create",)])
async def test_an_unknown_kind_is_reported_as_unknown(api: Api, verb: tuple[str, ...], version: str, kind: str) -> None:
    manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": "one"}}
    printed = await api.kubectl(*verb, "-f", "-", stdin=manifest, fails=True)
    assert f'no matches for kind "{kind}" in version "{version}"' in printed


async def test_an_unknown_field_in_a_list_is_refused(api: Api) -> None:
    made = {"apiVersion": "v1", "kind": "List", "items": [widget("one", bogus=1)]}
    printed = await api.kubectl("create", "--validate=strict", "-f", "-", stdin=made, fails=True)
    assert 'unknown field "bogus" in me.getedge.test.v1.Widget.spec' in printed  # checked by kubectl against OpenAPI v3


async def test_explain_prints_the_same_from_openapi_v2(api: Api) -> None:
    assert "How large it is." in await api.kubectl("explain", "widget.spec", "--output=plaintext-openapiv2")
    assert "map[string]string" in await api.kubectl("explain", "secret.stringData", "--output=plaintext-openapiv2")


async def test_get_all_works_in_an_empty_namespace(api: Api) -> None:
    assert (
        await api.kubectl("get", "all", "--namespace=kube-public") == "No resources found in kube-public namespace.\n"
    )
