"""Replaces a runtime's pod by one with a new template, and rolls back to the old template if the new pod fails.

Two pods of a runtime never run at once, so there is a gap between them; images.py pulls the image before it. An
annotation on the workload names the old pod and its ControllerRevision until the replacement is finished: after a crash
``finish`` continues from there.
"""

from __future__ import annotations

import logging

from controller import errors, names
from controller.api import reasons
from controller.backends.base import Target
from controller.backends.pods import lifecycle, manifests, multus, readings, unsupported
from controller.backends.pods.lifecycle import Lifecycle
from controller.backends.pods.readings import Pod
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds

log = logging.getLogger(__name__)

COMES_UP_SECONDS = 120.0


class Replacement:
    """``settle_seconds``: how long a new pod must run before the old template is dropped."""

    def __init__(self, workloads: Workloads, steps: Lifecycle, settle_seconds: float) -> None:
        self._workloads = workloads
        self._lifecycle = steps
        self._settle_seconds = settle_seconds

    async def replace(self, target: Target) -> None:
        """Replace the pod. Raises errors.Stalled(REPLACE_FAILED) after a rollback."""
        unsupported.refuse(target.spec)
        image, identity = lifecycle.image_of(target), target.identity
        await self._workloads.require(identity)
        await self._workloads.ensure_dependencies(target)
        pod = await self._workloads.pod(identity)
        runs = pod is not None and readings.program(pod).state == "running"
        note = f"{pod.uid}/{pod.revision}" if pod and runs else ""
        await self._workloads.set_template(identity, manifests.template(target, image), note)
        if note:
            await self.finish(target)
        elif pod is not None:
            # It never ran: there is nothing to roll back to.
            await self._lifecycle.delete_pod(target, pod)

    async def finish(self, target: Target) -> None:
        """Finish a replacement that has begun; do nothing when there is none."""
        workload = await self._workloads.require(target.identity)
        note = (workload["metadata"].get("annotations") or {}).get(names.PREDECESSOR, "")
        if not note:
            return
        uid, _, revision = note.partition("/")
        pod = await self._workloads.pod(target.identity)
        # After a crash it may be gone already, and its successor must not be deleted.
        if pod is not None and pod.uid == uid:
            await self._lifecycle.delete_pod(target, pod)
        # A Runtime that was stopped meanwhile has no pod to wait for.
        if workload["spec"].get("replicas"):
            await self._settle(target, uid, revision)
        await self._workloads.forget_predecessor(target.identity)
        # Last, because a rollback needs the definitions of the old pod.
        await self._remove_stale_networks(target)

    async def _settle(self, target: Target, uid: str, revision: str) -> None:
        failure, pod = await self._failure(target, uid)
        # A crash during a rollback: the template is the old one again, and its pod is the one that runs.
        went_back = pod is not None and pod.revision == revision
        if failure and not went_back:
            await self._go_back(target, pod, f"{uid}/{revision}", revision)
        if failure or went_back:
            # Before the error, or the next pass would finish the same replacement again.
            await self._workloads.forget_predecessor(target.identity)
            message = f"The new pod did not run and the old one was started again: {failure or 'see its events'}"
            raise errors.Stalled(reasons.REPLACE_FAILED, message)

    async def _failure(self, target: Target, uid: str) -> tuple[str, Pod | None]:
        """Why the successor of the pod with this uid does not keep running, "" when it does."""
        identity = target.identity

        def decided(pod: Pod | None) -> bool:
            return pod is not None and pod.uid != uid and (_runs(pod) or _is_hopeless(pod))

        pod, _ = await self._workloads.wait_until(identity, decided, COMES_UP_SECONDS)
        if pod is not None and _runs(pod):
            pod, ended = await self._workloads.wait_until(
                identity, lambda pod: pod is None or not _runs(pod), self._settle_seconds
            )
            if not ended:
                return "", pod
        return await self._why(pod), pod

    async def _why(self, pod: Pod | None) -> str:
        if pod is None:
            return "the cluster created no pod"
        program = readings.program(pod)
        if program.exit_code is not None:
            return "out of memory" if program.oom_killed else f"its program exited with code {program.exit_code}"
        return readings.blocker(pod, await self._workloads.events(pod)).message

    async def _go_back(self, target: Target, pod: Pod | None, note: str, revision: str) -> None:
        """Restore the old template, and wait for its pod to run."""
        old = await self._workloads.revision(target.identity, revision)
        if old is None:
            raise errors.Stalled(reasons.REPLACE_FAILED, f"ControllerRevision {revision} is gone: correct the spec")
        log.warning("The new pod does not run, rolling back", extra={"runtime": target.name})
        # The annotation stays, so that after a crash finish() recognises the rollback.
        await self._workloads.set_template(target.identity, old, note)
        if pod is not None:
            await self._lifecycle.delete_pod(target, pod)
        await self._workloads.wait_until(target.identity, lambda pod: pod is not None and _runs(pod), COMES_UP_SECONDS)

    async def _remove_stale_networks(self, target: Target) -> None:
        """Remove network definitions that the spec no longer uses."""
        asked = {definition["metadata"]["name"] for definition in multus.definitions(target)}
        for found in await self._workloads.of_runtime(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target.identity):
            if (name := found["metadata"]["name"]) not in asked:
                await self._workloads.delete(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, target.identity, name)


def _runs(pod: Pod) -> bool:
    program = readings.program(pod)
    # The kubelet restarts a failing program, which then runs again for a moment.
    return program.state == "running" and not program.restart_count


def _is_hopeless(pod: Pod) -> bool:
    """Whether waiting is pointless: its program exited, or Kubernetes refuses the spec."""
    program = readings.program(pod)
    ended = program.state == "restarting" or program.restart_count > 0
    return ended or readings.blocker(pod, ()).kind == "stalled"
