"""Resolves a runtime's image to a digest, and pulls it to the node before a running pod is stopped for it.

Only the kubelet can pull. So for a running runtime we create a short-lived pull pod on the same node that runs nothing;
a first start pulls anyway. In both cases the pod's status then contains the digest.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from controller import errors, names
from controller.api import reasons
from controller.backends.base import Progress, Target
from controller.backends.pods import naming, readings
from controller.backends.pods.readings import Pod
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

PULL = "pull"
_PULL_REASONS = (reasons.IMAGE_PULL_FAILED, reasons.IMAGE_NOT_FOUND, reasons.IMAGE_REFUSED, reasons.DISK_FULL)


class Images:
    """Resolves images."""

    def __init__(self, api: ApiClient, workloads: Workloads) -> None:
        self._api = api
        self._workloads = workloads

    async def resolve(self, target: Target, progress: Progress) -> Target:
        """The target with its pin; the unresolved reference for a first start. Raises errors.Stalled, errors.Retry."""
        if target.image is not None:
            return target
        reference = target.spec.image_reference
        pod = await self._workloads.pod(target.identity)
        if pod is None or readings.program(pod).state != "running":
            return dataclasses.replace(target, image=reference)
        await progress(reasons.IMAGE_PULLING, f"Pulling {reference} on {pod.node}")
        return dataclasses.replace(target, image=await self._pull(target, pod.node))

    async def _pull(self, target: Target, node: str) -> str:
        """Pull the image to the node; return its pin."""
        identity, name = target.identity, f"{naming.workload(target.identity)}-{PULL}"
        # A pull pod left by a crash may have another image.
        await self._workloads.delete(core_kinds.PODS, identity, name)
        await self._until_gone(target, name)
        try:
            await self._api.create(core_kinds.PODS, _body(target, name, node))
            return await self._outcome(target, name)
        finally:
            # Also when the pass is cancelled, which is how a pull is aborted.
            await self._workloads.delete(core_kinds.PODS, identity, name)

    async def _outcome(self, target: Target, name: str) -> str:
        """The pin, however long the pull takes: its limit is that of the pass. Raises errors.Stalled, errors.Retry."""
        pod, _ = await self._workloads.wait_until(target.identity, _is_decided, seconds=math.inf, name=name)
        if pod is None:
            raise errors.Retry(reasons.IMAGE_PULL_FAILED, "The pull pod was removed; retrying the pull")
        if image_id := readings.program(pod).image_id:
            return readings.pin(target.spec.image_reference, image_id)
        if pod.ended:
            message = f"{pod.node} did not run the pull pod ({pod.end_message or 'it ended'}); retrying the pull"
            raise errors.Retry(reasons.IMAGE_PULL_FAILED, message)
        found = readings.blocker(pod, ())
        raise reasons.error(found.reason, found.message)

    async def _until_gone(self, target: Target, name: str) -> None:
        _, gone = await self._workloads.wait_until(target.identity, lambda pod: pod is None, seconds=30, name=name)
        if not gone:
            raise errors.Retry(reasons.IMAGE_PULL_FAILED, f"Pod {name} does not terminate; retrying the pull")


def _is_decided(pod: Pod | None) -> bool:
    # A kubelet without room rejects a pod for good, and it evicts pods: nothing else happens to a pod that has ended.
    if pod is None or readings.program(pod).image_id or pod.ended:
        return True
    found = readings.blocker(pod, ())
    # Other failures say nothing about the image, and the kubelet retries by itself.
    return found.kind == "stalled" or (found.kind == "retry" and found.reason in _PULL_REASONS)


def _body(target: Target, name: str, node: str) -> dict[str, Any]:
    """The pull pod. An image without /bin/true is fine, too: the command fails only after the pull."""
    spec, described = target.spec, naming.metadata(target, name)
    # Without the label of the device, by which the runtime's Service would select this pod.
    described["labels"] = naming.install_labels(target.identity.install_id) | {names.ROLE_LABEL: PULL}
    container = {
        "name": PULL,
        "image": spec.image_reference,
        "imagePullPolicy": spec.image_pull_policy,
        "command": ["/bin/true"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "metadata": described,
        "spec": {
            # Past the scheduler: it would refuse a cordoned node, on which the runtime's pod runs all the same.
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
            "containers": [container],
        },
    }
