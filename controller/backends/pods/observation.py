"""Observes a runtime's workload, pod and Service. Read-only; three requests for a running runtime."""

from __future__ import annotations

import asyncio
from typing import Any

from controller import names, quantities
from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.base import Target
from controller.backends.observation import (
    Blocker,
    Observed,
    ObservedImage,
    ObservedNetwork,
)
from controller.backends.pods import manifests, multus, naming, readings, unsupported
from controller.backends.pods.readings import Pod
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.machinery import object_names


class Observer:
    """Observes runtimes."""

    def __init__(self, workloads: Workloads) -> None:
        self._workloads = workloads

    async def observe(self, target: Target) -> Observed:
        """Observe the current state."""
        identity = target.identity
        workload, pod, service = await asyncio.gather(
            self._workloads.find(core_kinds.STATEFUL_SETS, identity),
            self._workloads.pod(identity),
            self._workloads.find(core_kinds.SERVICES, identity),
        )
        for kind, found in (("StatefulSet", workload), ("Pod", pod and pod.body), ("Service", service)):
            if found and naming.identity_of(found, identity.install_id) != identity:
                return Observed(foreign=f"the {kind} {found['metadata']['name']} in {identity.namespace}")
        if workload is None:
            return Observed()
        return unsupported.observe(target.spec, await self._observed(target, workload, pod, service))

    async def _observed(
        self, target: Target, workload: dict[str, Any], pod: Pod | None, service: dict[str, Any] | None
    ) -> Observed:
        desired = workload["spec"]["template"]
        # Of the pod if there is one: with OnDelete the template may already be a newer one.
        given = pod.annotations if pod else desired["metadata"].get("annotations") or {}
        program = readings.program(pod) if pod else readings.Program(_without_pod(workload))
        running, image = program.state == "running", _image(given, program)
        return Observed(
            state=program.state,
            container_id=f"{workload['metadata']['name']}-{object_names.digest(given.get(names.SPEC_LABEL, ''))}",
            image=ObservedImage(
                image,
                given.get(names.IMAGE_SOURCE_LABEL, ""),
                unpinned=running and image != desired["spec"]["containers"][0]["image"],
            ),
            made_from=base.made_from(given),
            uid=given.get(names.UID_LABEL, ""),
            started_at=program.started_at,
            finished_at=program.finished_at,
            exit_code=program.exit_code,
            oom_killed=program.oom_killed,
            restart_count=program.restart_count,
            health=_health(pod) if running else "none",
            network=ObservedNetwork(
                interfaces=multus.interfaces(target.spec, given, running=running),
                internal_ip=str(pod.status.get("podIP") or "") if pod else "",
                internal_attached=service is not None and manifests.serves(target, service),
            ),
            limits=await self._limits(target, pod, desired),
            predecessor=(workload["metadata"].get("annotations") or {}).get(names.PREDECESSOR, ""),
            blocker=await self._blocker(pod, program.state),
        )

    async def _blocker(self, pod: Pod | None, state: str) -> Blocker | None:
        """Why it does not run although it should, still exists although it should not, or is in an unknown state."""
        # First, because what a silent node reported last proves nothing.
        if pod and pod.node and not pod.ready and (message := await self._workloads.unreachable_reason(pod.node)):
            return Blocker(reasons.NODE_AWAY, message)
        if state == readings.STARTING:
            if pod is None:
                return Blocker(reasons.PROGRESSING, "The cluster has not created the pod yet")
            return readings.blocker(pod, await self._workloads.events(pod))
        if state == readings.REMOVING and pod and pod.node:
            return Blocker(reasons.PROGRESSING, f"{pod.node} is terminating the pod")
        return None

    async def _limits(self, target: Target, pod: Pod | None, desired: dict[str, Any]) -> runtimes.Resources:
        """The limits. A limit of the whole node counts as none if none is desired: running pods cannot lose limits."""
        container = pod.container if pod else desired["spec"]["containers"][0]
        found = manifests.limits_of(container)
        spec = target.spec.resources
        lifted = found.cpu and not spec.cpu, found.memory and not spec.memory
        if not any(lifted) or pod is None or not pod.node:
            return found
        whole = await self._workloads.capacity(pod.node)
        cpu, memory = quantities.nano_cpus(found.cpu), quantities.memory_bytes(found.memory)
        return runtimes.Resources(
            cpu=None if lifted[0] and cpu >= quantities.nano_cpus(whole.cpu) else found.cpu,
            memory=None if lifted[1] and memory >= quantities.memory_bytes(whole.memory) else found.memory,
        )


def _without_pod(workload: dict[str, Any]) -> str:
    return readings.STARTING if workload["spec"].get("replicas") else "exited"


def _image(given: Any, program: readings.Program) -> str:
    return readings.pin(given.get(names.IMAGE_LABEL, ""), program.image_id)


def _health(pod: Pod | None) -> str:
    """The readiness probe's result; never "unhealthy", because a program that does not answer may still control."""
    return "healthy" if pod and pod.ready else "starting"
