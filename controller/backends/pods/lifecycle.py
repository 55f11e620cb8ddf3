"""Creates, starts, stops, limits and removes a runtime's workload.

Only this module and replacement.py delete pods, and always by uid, so that repeating a step deletes no second pod.
"""

from __future__ import annotations

import logging
from typing import Any

from controller import errors, names
from controller.api import reasons
from controller.backends.base import Identity, Target
from controller.backends.pods import manifests, naming, unsupported
from controller.backends.pods.readings import Pod
from controller.backends.pods.workloads import Workloads, escaped
from controller.machinery import kinds as core_kinds

log = logging.getLogger(__name__)

END_SECONDS = 30.0  # on top of the grace period, for a kubelet to report that a pod is gone
START_SECONDS = 30.0  # for the cluster to start the next pod
_IMAGE_NOTE = f"/spec/template/metadata/annotations/{escaped(names.IMAGE_LABEL)}"


class Lifecycle:
    """Operations on a workload."""

    def __init__(self, workloads: Workloads) -> None:
        self._workloads = workloads

    async def create(self, target: Target) -> None:
        """Create everything but the pod. Raises errors.Stalled for features that pods do not support."""
        unsupported.refuse(target.spec)
        await self._workloads.ensure_dependencies(target)
        await self._workloads.create(target, image_of(target))
        log.info("Created workload %s", naming.workload(target.identity), extra={"runtime": target.name})

    async def start(self, target: Target) -> None:
        """Scale to one pod, without waiting for its start."""
        owner = await self._own(target)
        await self._workloads.ensure_dependencies(target)
        # Before the scale, which creates the pod from the template.
        await self._workloads.update_template(target)
        await self._workloads.scale(owner, 1)

    async def stop(self, target: Target) -> None:
        """Scale to zero and wait until the pod is gone. Raises errors.Waiting when the node does not report that."""
        owner = await self._own(target)
        await self._workloads.scale(owner, 0)
        await self.wait_gone(target)

    async def restart(self, target: Target) -> None:
        """Delete the pod and wait for the next one."""
        pod = await self._workloads.pod(await self._own(target))
        await self._workloads.update_template(target)
        if pod is not None:
            await self.delete_pod(target, pod)
        await self._workloads.wait_until(target.identity, _started, START_SECONDS)

    async def delete_pod(self, target: Target, pod: Pod) -> None:
        """Delete exactly this pod and wait until it is gone. Raises errors.Waiting."""
        await self._workloads.delete(core_kinds.PODS, target.identity, naming.pod(target.identity), uid=pod.uid)
        await self.wait_gone(target, pod.uid)

    async def wait_gone(self, target: Target, uid: str = "") -> None:
        """Wait until the pod (of this uid) is gone. Raises errors.Waiting when that takes too long."""
        seconds = target.spec.termination_grace_period_seconds + END_SECONDS
        pod, is_gone = await self._workloads.wait_until(
            target.identity, lambda pod: pod is None or bool(uid and pod.uid != uid), seconds
        )
        if not is_gone and pod:
            message = f"Node {pod.node} does not report that the pod has terminated: continues when the node is back"
            raise errors.Waiting(reasons.PROGRESSING, message)

    async def update_limits(self, target: Target) -> None:
        """Change CPU and memory limits of the running pod and of later ones. Raises errors.Stalled."""
        owner = await self._own(target)
        desired = manifests.resources(target.spec.resources)
        # The template first: a pod that the cluster creates in between has the new limits already.
        await self._workloads.patch(
            core_kinds.STATEFUL_SETS, owner, [_replaced(f"{manifests.CONTAINER_PATH}/resources", desired)]
        )
        pod = await self._workloads.pod(owner)
        if pod is None or pod.terminating:
            return
        resized = await self._without_removal(pod, desired)
        try:
            patch = [_replaced("/spec/containers/0/resources", resized)]
            await self._workloads.patch(core_kinds.PODS, owner, patch, name=naming.pod(owner), subresource="resize")
        except errors.NotFoundError as error:
            message = "This cluster cannot change limits without a restart (Kubernetes 1.33 can): set spec.restartedAt"
            raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, message) from error

    async def pin(self, target: Target) -> None:
        """Make later pods run the image that runs now, even if its tag moves."""
        owner = await self._own(target)
        image = image_of(target)
        patch = [_replaced(f"{manifests.CONTAINER_PATH}/image", image), _replaced(_IMAGE_NOTE, image)]
        await self._workloads.patch(core_kinds.STATEFUL_SETS, owner, patch)

    async def remove(self, target: Target) -> None:
        """Stop and remove the workload, and the claims of volumes with reclaimPolicy Delete."""
        owner = target.identity
        if await self._workloads.stateful_set(owner):
            # Deleting the StatefulSet alone would not wait for the end of its pod.
            await self.stop(target)
            await self._workloads.delete(core_kinds.STATEFUL_SETS, owner)
        for volume in target.spec.volumes:
            if volume.reclaim_policy == "Delete":
                await self._remove_owned(core_kinds.PERSISTENT_VOLUME_CLAIMS, owner, naming.claim(owner, volume.name))

    async def remove_networks(self, target: Target) -> None:
        """Remove the Service and the network definitions."""
        await self._remove_owned(core_kinds.SERVICES, target.identity, naming.workload(target.identity))
        for found in await self._workloads.of_runtime(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target.identity):
            await self._remove_owned(
                core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target.identity, found["metadata"]["name"]
            )

    async def hand_over(self, successor: Target) -> None:
        """Make the successor the owner of the runtime's objects; the pod belongs to its workload and keeps running.

        Recreates network definitions, because we lack the permission to change them; the pod keeps its interface.
        """
        owner, owners = successor.identity, naming.owner_references(successor)
        for kind in (core_kinds.STATEFUL_SETS, core_kinds.SERVICES):
            found = await self._workloads.find(kind, owner)
            if found and naming.identity_of(found, owner.install_id) == owner:
                await self._workloads.patch(kind, owner, {"metadata": {"ownerReferences": owners}})
        for found in await self._workloads.of_runtime(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, owner):
            if naming.owner_of(found) != successor.uid:
                await self._workloads.recreate(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, successor, found)

    async def _remove_owned(self, kind: core_kinds.Kind, identity: Identity, name: str) -> None:
        found = await self._workloads.find(kind, identity, name)
        if found and naming.identity_of(found, identity.install_id) == identity:
            await self._workloads.delete(kind, identity, name)

    async def _own(self, target: Target) -> Identity:
        """The identity, after checking that the workload exists and is ours."""
        await self._workloads.require(target.identity)
        return target.identity

    async def _without_removal(self, pod: Pod, desired: dict[str, Any]) -> dict[str, Any]:
        """The resources for a resize, which cannot remove a limit: set it to the capacity of the node instead."""
        limits_now = manifests.limits(manifests.limits_of(pod.container))
        if not limits_now:
            return desired
        whole = manifests.limits(await self._workloads.capacity(pod.node))
        given = {name: whole[name] for name in limits_now} | desired.get("limits", {})
        return {**desired, "limits": given}


def image_of(target: Target) -> str:
    """The pin. Raises errors.Retry without one."""
    if target.image is None:
        raise errors.Retry(reasons.STEP_FAILED, "The image is not resolved yet")
    return target.image


def _started(pod: Pod | None) -> bool:
    return pod is not None and not pod.terminating and bool(pod.status.get("containerStatuses"))


def _replaced(path: str, value: Any) -> dict[str, Any]:
    # "add" sets an existing member as well; "replace" fails for a missing one (RFC 6902 section 4).
    return {"op": "add", "path": path, "value": value}
