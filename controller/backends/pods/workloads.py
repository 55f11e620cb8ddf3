"""Finds, creates, changes and waits for a runtime's objects in the cluster.

Every write is idempotent and touches only our objects. Raises the API's errors, and errors.Stalled(NAME_TAKEN) when an
object of another owner has the name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from controller import errors, names
from controller.api import reasons, runtimes
from controller.backends.base import Identity, Target
from controller.backends.pods import manifests, multus, naming
from controller.backends.pods.readings import Pod
from controller.machinery import kinds as core_kinds
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient, Patch
from controller.machinery.controller import poll
from controller.machinery.kinds import Kind

POLL_SECONDS = (0.05, 0.8)  # the first delay and the longest


class Workloads:
    """Access to the objects of runtimes."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def find(self, kind: Kind, identity: Identity, name: str = "") -> dict[str, Any] | None:
        """The runtime's object with this name, by default the name of its workload; None when there is none."""
        try:
            return await self._api.get(kind, name or naming.workload(identity), identity.namespace)
        except errors.NotFoundError:
            return None

    async def stateful_set(self, identity: Identity) -> dict[str, Any] | None:
        """The workload, None when there is none of ours."""
        found = await self.find(core_kinds.STATEFUL_SETS, identity)
        return found if found and naming.identity_of(found, identity.install_id) == identity else None

    async def require(self, identity: Identity) -> dict[str, Any]:
        """The workload. Raises errors.Retry when there is none."""
        found = await self.stateful_set(identity)
        if found is None:
            raise errors.Retry(reasons.STEP_FAILED, "The workload does not exist yet, or somebody removed it")
        return found

    async def pod(self, identity: Identity, name: str = "") -> Pod | None:
        """The runtime's pod, or another pod in its namespace; None when there is none."""
        found = await self.find(core_kinds.PODS, identity, name or naming.pod(identity))
        return Pod(found) if found else None

    async def events(self, pod: Pod) -> Sequence[dict[str, Any]]:
        """The events about exactly this pod."""
        namespace = pod.body["metadata"]["namespace"]
        return await self._api.list(core_kinds.EVENTS, namespace, field_selector=f"involvedObject.uid={pod.uid}")

    async def unreachable_reason(self, node: str) -> str:
        """Why the state of the pods on a node is unknown, "" while its kubelet reports."""
        try:
            found = (await self._api.get(core_kinds.NODES, node)).get("status") or {}
        except errors.NotFoundError:
            return f"Node {node} was removed from the cluster"
        ready: dict[str, Any] = next((one for one in found.get("conditions") or () if one["type"] == "Ready"), {})
        if ready.get("status") == "True":
            return ""
        reason = ready.get("reason") or "NotReady"
        return f"Node {node} does not report its state ({reason}): its pods are neither deleted nor moved meanwhile"

    async def capacity(self, node: str) -> runtimes.Resources:
        """The node's allocatable resources. Raises errors.ApiError."""
        given = (await self._api.get(core_kinds.NODES, node))["status"]["allocatable"]
        return runtimes.Resources(cpu=given["cpu"], memory=given["memory"])

    async def ensure_dependencies(self, target: Target) -> None:
        """Create the networks, Service and claims that the pod needs. Raises errors.Stalled(MULTUS_MISSING)."""
        for definition in multus.definitions(target):
            try:
                await self._make(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target, definition)
            except errors.NotServedError as error:
                raise errors.Stalled(reasons.MULTUS_MISSING, multus.MISSING) from error
        service = manifests.service(target)
        made = await self._make(core_kinds.SERVICES, target, service)
        if not manifests.serves(target, made):
            await self.patch(core_kinds.SERVICES, target.identity, {"spec": {"ports": service["spec"]["ports"]}})
        for claim in manifests.claims(target):
            await self._make(core_kinds.PERSISTENT_VOLUME_CLAIMS, target, claim)

    async def create(self, target: Target, image: str) -> None:
        """Create the workload, scaled to zero."""
        await self._make(core_kinds.STATEFUL_SETS, target, manifests.stateful_set(target, image))

    async def update_template(self, target: Target) -> None:
        """Apply changes that need no new pod to the template, for the next start; the running pod is unaffected."""
        changes = manifests.without_restart(target.spec).items()
        patch: Patch = [{"op": "add", "path": path, "value": value} for path, value in changes]
        await self.patch(core_kinds.STATEFUL_SETS, target.identity, patch)

    async def set_template(self, identity: Identity, template: dict[str, Any], predecessor: str) -> None:
        """Set the workload's template and its predecessor annotation atomically; the running pod is unaffected."""
        # A JSON patch, because a merge patch would keep fields that the new template leaves out.
        patch: Patch = [
            {"op": "add", "path": "/spec/template", "value": template},
            {"op": "add", "path": f"/metadata/annotations/{escaped(names.PREDECESSOR)}", "value": predecessor},
        ]
        await self.patch(core_kinds.STATEFUL_SETS, identity, patch)

    async def forget_predecessor(self, identity: Identity) -> None:
        """Mark the replacement as finished."""
        await self.patch(core_kinds.STATEFUL_SETS, identity, {"metadata": {"annotations": {names.PREDECESSOR: None}}})

    async def scale(self, identity: Identity, replicas: int) -> None:
        """Set the number of pods to one or zero."""
        await self.patch(core_kinds.STATEFUL_SETS, identity, {"spec": {"replicas": replicas}})

    async def patch(
        self, kind: Kind, identity: Identity, patch: Patch, *, name: str = "", subresource: str = ""
    ) -> dict[str, Any]:
        """Change an object of this runtime."""
        name = name or naming.workload(identity)
        return await self._api.patch(kind, name, identity.namespace, patch, subresource=subresource)

    async def revision(self, identity: Identity, name: str) -> dict[str, Any] | None:
        """The template in a ControllerRevision, None when it is gone."""
        found = await self.find(core_kinds.CONTROLLER_REVISIONS, identity, name)
        if found is None:
            return None
        # The StatefulSet controller stores a strategic merge patch, so "$patch" is a directive.
        return {key: value for key, value in found["data"]["spec"]["template"].items() if key != "$patch"}

    async def delete(self, kind: Kind, identity: Identity, name: str = "", *, uid: str = "") -> None:
        """Delete an object; ignore when it is gone, or when another one (not ``uid``) has the name."""
        with contextlib.suppress(errors.ConflictError):
            await self._api.delete(kind, name or naming.workload(identity), identity.namespace, uid=uid)

    async def recreate(self, kind: Kind, target: Target, found: dict[str, Any]) -> None:
        """Replace an object by one with the same content that this Runtime owns."""
        name = found["metadata"]["name"]
        await self.delete(kind, target.identity, name, uid=found["metadata"]["uid"])
        await self._make(kind, target, {"metadata": naming.metadata(target, name), "spec": found["spec"]})

    async def of_runtime(self, kind: Kind, identity: Identity) -> list[dict[str, Any]]:
        """The runtime's objects of a kind; none if the cluster does not know the kind."""
        try:
            wanted = naming.selector(naming.labels(identity))
            return await self._api.list(kind, identity.namespace, label_selector=wanted)
        except errors.NotServedError:
            return []

    async def wait_until(
        self, identity: Identity, settled: Callable[[Pod | None], bool], seconds: float, *, name: str = ""
    ) -> tuple[Pod | None, bool]:
        """Wait until the pod has settled or the time is up; return the pod and whether it has settled."""
        pod = await poll(partial(self.pod, identity, name), settled, seconds, Backoff(*POLL_SECONDS))
        return pod, settled(pod)

    async def _make(self, kind: Kind, target: Target, body: dict[str, Any]) -> dict[str, Any]:
        """Create the object unless it exists. Raises errors.Stalled(NAME_TAKEN) when the existing one is not ours."""
        try:
            # Created without a look before: another writer could create it in between.
            return await self._api.create(kind, body)
        except errors.AlreadyExistsError:
            name = body["metadata"]["name"]
            found = await self._api.get(kind, name, target.identity.namespace)
        if naming.identity_of(found, target.identity.install_id) != target.identity:
            raise errors.Stalled(reasons.NAME_TAKEN, f"{kind.kind} {name} is not ours: rename or remove it")
        return found


def escaped(name: str) -> str:
    """Escape a part of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
