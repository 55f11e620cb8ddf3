"""Our pods that run on this node, for its metrics: found through the cluster's API, their processes through /proc.

Read-only: the leader manages the pods (controller/backends/pods).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path

from controller.backends.base import Identity, RunningContainer
from controller.backends.pods import changes, naming
from controller.backends.pods.readings import Pod
from controller.machinery.client import ApiClient
from controller.machinery.informer import Informer
from controller.machinery.pending import PendingSet
from controller.metrics import cgroups


class PodContainers:
    """Implements container_tracker.Source for the pods of one installation on ``node``.

    Follows those in its ``namespaces`` only: the pods of others do not concern a node.
    """

    def __init__(
        self, api: ApiClient, install_id: str, node: str, namespaces: Iterable[str], proc: Path = cgroups.PROC
    ) -> None:
        self._pods = [changes.pods(api, install_id, node=node, namespace=each) for each in namespaces]
        self._install_id = install_id
        self._proc = proc
        self._containers: dict[str, Identity] = {}  # by the container's id

    async def changes(self) -> AsyncGenerator[Identity]:
        """Yield the identity of every pod that changes; never ends."""
        pending = PendingSet[Identity]()
        sources = (self._follow(pods, pending) for pods in self._pods)
        async with aclosing(pending.filled_by(*sources)) as changed:
            async for identity in changed:
                yield identity

    async def running(self) -> list[RunningContainer]:
        """The containers that run. One without a process is dropped: a new container in its pod causes an event."""
        # A copy, because pods may be added while the thread reads /proc.
        candidates = list(self._containers)
        found = await asyncio.to_thread(cgroups.first_processes, candidates, self._proc)
        for ended in set(candidates) - set(found):
            del self._containers[ended]
        return [RunningContainer(self._containers[container], pid) for container, pid in found.items()]

    async def _follow(self, pods: Informer, pending: PendingSet[Identity]) -> None:
        async for change in pods.changes():
            for pod in change.objects:
                if identity := self._note(Pod(pod)):
                    pending.add(identity)

    def _note(self, pod: Pod) -> Identity | None:
        identity = naming.identity_of(pod.body, self._install_id)
        if identity and pod.container_id:
            self._containers[pod.container_id] = identity
        return identity
