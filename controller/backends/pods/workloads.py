"""A runtime's objects in the cluster: looked up, made once, changed, and waited for.

Every write is made for an object that is ours, and can be made again. Raises the API's errors, and
errors.Stalled(NAME_TAKEN) where something of another owner has the name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from controller import errors, names
from controller.api import reasons, runtimes
from controller.backends.base import Identity, Target
from controller.backends.pods import manifests, multus, naming, template
from controller.backends.pods.readings import Pod
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, Patch
from controller.machinery.kinds import Kind

POLL_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)  # the last one goes on


class Workloads:
    """The API, as far as one runtime's objects are concerned."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def find(self, kind: Kind, identity: Identity, name: str = "") -> dict[str, Any] | None:
        """The object of this runtime, by default the one called after it; None when there is none."""
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
            raise errors.Retry(reasons.STEP_FAILED, "The workload is not there yet, or was removed by hand")
        return found

    async def pod(self, identity: Identity, name: str = "") -> Pod | None:
        """The runtime's pod, or another one of its namespace; None when there is none."""
        found = await self.find(core_kinds.PODS, identity, name or naming.pod(identity))
        return Pod(found) if found else None

    async def events(self, pod: Pod) -> Sequence[dict[str, Any]]:
        """What was told of this very pod."""
        namespace = pod.body["metadata"]["namespace"]
        return await self._api.list(core_kinds.EVENTS, namespace, field_selector=f"involvedObject.uid={pod.uid}")

    async def away(self, node: str) -> str:
        """Why nobody knows how the pods of a node are, "" when its kubelet is heard of."""
        try:
            found = (await self._api.get(core_kinds.NODES, node)).get("status") or {}
        except errors.NotFoundError:
            return f"Node {node} is gone from the cluster"
        ready: dict[str, Any] = next((one for one in found.get("conditions") or () if one["type"] == "Ready"), {})
        if ready.get("status") == "True":
            return ""
        return (
            f"Node {node} is not heard of ({ready.get('reason') or 'NotReady'}): nothing is deleted or moved meanwhile"
        )

    async def capacity(self, node: str) -> runtimes.Resources:
        """What a node can give to pods, at most. Raises errors.ApiError."""
        given = (await self._api.get(core_kinds.NODES, node))["status"]["allocatable"]
        return runtimes.Resources(cpu=given["cpu"], memory=given["memory"])

    async def surround(self, target: Target) -> None:
        """Make what the pod needs around it: networks, Service, claims. Raises errors.Stalled(MULTUS_MISSING)."""
        for definition in multus.definitions(target):
            try:
                await self._make(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target, definition)
            except errors.NotFoundError as error:
                raise errors.Stalled(reasons.MULTUS_MISSING, multus.MISSING) from error
        service = manifests.service(target)
        made = await self._make(core_kinds.SERVICES, target, service)
        if not manifests.serves(target, made):
            await self.patch(core_kinds.SERVICES, target.identity, {"spec": {"ports": service["spec"]["ports"]}})
        for claim in manifests.claims(target):
            await self._make(core_kinds.PERSISTENT_VOLUME_CLAIMS, target, claim)

    async def create(self, target: Target, image: str) -> None:
        """Make the workload, scaled to zero."""
        await self._make(core_kinds.STATEFUL_SETS, target, manifests.stateful_set(target, image))

    async def refresh(self, target: Target) -> None:
        """Have the next pod be as the spec asks in what needs no other pod; the one that runs is left alone."""
        changes = template.without_restart(target.spec).items()
        patch: Patch = [{"op": "add", "path": path, "value": value} for path, value in changes]
        await self.patch(core_kinds.STATEFUL_SETS, target.identity, patch)

    async def rebuild(self, identity: Identity, template: dict[str, Any], predecessor: str) -> None:
        """Give the workload a new template, and note the pod that ran before, together; what runs is left alone."""
        patch: Patch = [
            {"op": "add", "path": "/spec/template", "value": template},
            {"op": "add", "path": f"/metadata/annotations/{escaped(names.PREDECESSOR)}", "value": predecessor},
        ]
        await self.patch(core_kinds.STATEFUL_SETS, identity, patch)

    async def forget_predecessor(self, identity: Identity) -> None:
        """The replacement is finished."""
        await self.patch(core_kinds.STATEFUL_SETS, identity, {"metadata": {"annotations": {names.PREDECESSOR: None}}})

    async def scale(self, identity: Identity, replicas: int) -> None:
        """Have this many pods: one or none."""
        await self.patch(core_kinds.STATEFUL_SETS, identity, {"spec": {"replicas": replicas}})

    async def patch(
        self, kind: Kind, identity: Identity, patch: Patch, *, name: str = "", subresource: str = ""
    ) -> dict[str, Any]:
        """Change an object of this runtime."""
        name = name or naming.workload(identity)
        return await self._api.patch(kind, name, identity.namespace, patch, subresource=subresource)

    async def revision(self, identity: Identity, name: str) -> dict[str, Any] | None:
        """The template that a ControllerRevision keeps, None when it is gone."""
        found = await self.find(core_kinds.CONTROLLER_REVISIONS, identity, name)
        if found is None:
            return None
        # "$patch" is a word of the strategic merge that the StatefulSet controller makes of it.
        return {key: value for key, value in found["data"]["spec"]["template"].items() if key != "$patch"}

    async def delete(self, kind: Kind, identity: Identity, name: str = "", *, uid: str = "") -> None:
        """Delete; no harm when it is gone, or another one has the name by now."""
        try:
            await self._api.delete(kind, name or naming.workload(identity), identity.namespace, uid=uid)
        except (errors.NotFoundError, errors.ConflictError):
            return

    async def make_again(self, kind: Kind, target: Target, found: dict[str, Any]) -> None:
        """Put an object of the same content in place of one, to go with this Runtime."""
        name = found["metadata"]["name"]
        await self.delete(kind, target.identity, name, uid=found["metadata"]["uid"])
        await self._make(kind, target, {"metadata": naming.metadata(target, name), "spec": found["spec"]})

    async def of_runtime(self, kind: Kind, identity: Identity) -> list[dict[str, Any]]:
        """All objects of a kind that belong to the runtime; none where the cluster does not know the kind."""
        try:
            wanted = naming.selector(naming.labels(identity))
            return await self._api.list(kind, identity.namespace, label_selector=wanted)
        except errors.NotFoundError:
            return []

    async def until(
        self, identity: Identity, settled: Callable[[Pod | None], bool], seconds: float, *, name: str = ""
    ) -> tuple[Pod | None, bool]:
        """The pod once it is as wished, or when the time is up; whether it is as wished."""
        deadline, delays = time.monotonic() + seconds, list(POLL_SECONDS)
        while True:
            pod = await self.pod(identity, name)
            if settled(pod) or time.monotonic() > deadline:
                return pod, settled(pod)
            await asyncio.sleep(delays.pop(0) if len(delays) > 1 else delays[0])

    async def _make(self, kind: Kind, target: Target, body: dict[str, Any]) -> dict[str, Any]:
        """The object, made unless it is there. Raises errors.Stalled(NAME_TAKEN) when that one is not ours."""
        try:
            return await self._api.create(kind, body)
        except errors.AlreadyExistsError:
            name = body["metadata"]["name"]
            found = await self._api.get(kind, name, target.identity.namespace)
        if naming.identity_of(found, target.identity.install_id) != target.identity:
            raise errors.Stalled(reasons.NAME_TAKEN, f"{kind.kind} {name} is not ours: rename or remove it")
        return found


def escaped(name: str) -> str:
    """A part of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
