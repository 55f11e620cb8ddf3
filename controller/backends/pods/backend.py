"""The pods backend: one object that satisfies backends/protocol.Backend, put together from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Contact, Identity, Observed, Orphan, Progress, RunningContainer, Step, Target
from controller.backends.pods import naming
from controller.backends.pods.changes import Changes
from controller.backends.pods.images import Images
from controller.backends.pods.inventory import Inventory
from controller.backends.pods.lifecycle import Lifecycle
from controller.backends.pods.observation import Observer
from controller.backends.pods.replacement import Replacement
from controller.backends.pods.template import CONTAINER
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

T = TypeVar("T")


class PodsBackend:
    """Runtimes as pods of the cluster behind ``api``, for one installation.

    ``namespace`` is where names are looked for that somebody else may have taken, ``settle_seconds`` how long a
    replacement must run before the old template is given up. Belongs to one event loop.
    """

    needs_secrets = False  # kubelets read the Secrets

    def __init__(self, api: ApiClient, install_id: str, namespace: str, *, settle_seconds: float = 5.0) -> None:
        self._api = api
        self._install_id = install_id
        self._namespace = namespace
        self._workloads = workloads = Workloads(api)
        self._lifecycle = Lifecycle(workloads)
        self._replacement = Replacement(workloads, self._lifecycle, settle_seconds)
        self._images = Images(api, workloads)
        self._observer = Observer(workloads)
        self._inventory = Inventory(api, install_id)
        self._actions = self._steps()

    async def observe(self, target: Target) -> Observed:
        """What stands now."""
        return await self._observer.observe(target)

    async def execute(self, step: Step, target: Target, progress: Progress) -> Target:
        """Do one step; see protocol.Backend."""
        return await _with_failures(self._actions.of(step)(target, progress))

    def changes_in_place(self, target: Target, observed: Observed) -> bool:  # noqa: ARG002 - the protocol's
        """Never: a pod has the interfaces that it was started with."""
        return False

    async def made_for(self, identity: Identity) -> str:
        """Uid of the Runtime with which the workload goes, "" without one."""
        found = await self._workloads.stateful_set(identity)
        return naming.owner_of(found) if found else ""

    async def hand_over(self, successor: Target) -> None:
        """Have what stands go with this Runtime instead of the one before; the pod runs on."""
        await _with_failures(self._lifecycle.hand_over(successor))

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Identities of runtimes of ours that changed, for ever; STANDS at first and after each gap."""
        return Changes(self._api, self._install_id).stream()

    async def running(self) -> list[RunningContainer]:
        """None: the processes are on the nodes, whose agents measure them."""
        return []

    async def known(self) -> list[Orphan]:
        """All workloads of ours, running or not."""
        return await self._inventory.known()

    async def foreign_container(self, name: str) -> str:
        """What StatefulSet or Service has the name that a runtime of this device id would get, and is not ours."""
        identity = Identity(self._install_id, self._namespace, name)
        for kind in (core_kinds.STATEFUL_SETS, core_kinds.SERVICES):
            found = await self._workloads.find(kind, identity)
            if found and naming.identity_of(found, self._install_id) != identity:
                return f"the {kind.kind} {found['metadata']['name']} in {self._namespace}"
        return ""

    async def logs(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """The runtime's output. Raises errors.NotFoundError."""
        params = {"container": CONTAINER, "tailLines": str(tail), "follow": str(follow).lower()}
        return await self._api.text(core_kinds.PODS, naming.pod(identity), identity.namespace, "log", params)

    async def belongings(self, *, volumes: bool) -> list[str]:
        """Everything of this installation, for a person."""
        return await self._inventory.belongings(volumes=volumes)

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove everything of this installation; what was removed."""
        return await self._inventory.purge(volumes=volumes)

    async def check(self) -> None:
        """That pods can be seen. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        try:
            await self._api.list(core_kinds.STATEFUL_SETS, self._namespace)
        except errors.ApiError as error:
            raise errors.Waiting(reasons.DAEMON_UNREACHABLE, f"Pods cannot be managed: {error}") from error

    def _steps(self) -> base.Actions:
        lifecycle, replacement = self._lifecycle, self._replacement
        return base.Actions(
            resolve_image=self._images.resolve,
            create_container=self._with_image(lifecycle.create),
            start_container=base.plain(lifecycle.start),
            stop_container=base.plain(lifecycle.stop),
            restart_container=base.plain(lifecycle.restart),
            replace_container=self._with_image(replacement.replace),
            finish_replacement=base.plain(replacement.finish),
            repair_networks=base.plain(self._workloads.surround),
            update_resources=base.plain(lifecycle.update_limits),
            pin_image=base.plain(lifecycle.pin),
            remove_container=base.plain(lifecycle.remove),
            remove_networks=base.plain(lifecycle.remove_networks),
            attach_devices=base.unsupported(Step.ATTACH_DEVICES),
            restore_name=base.unsupported(Step.RESTORE_NAME),
        )

    def _with_image(self, action: Callable[[Target], Awaitable[None]]) -> base.Action:
        """An action for which the image must be known."""

        async def act(target: Target, progress: Progress) -> Target:
            target = await self._images.resolve(target, progress)
            await action(target)
            return target

        return act


async def _with_failures(work: Awaitable[T]) -> T:
    """The result of ``work``, with the API's refusals as outcomes of a pass."""
    try:
        return await work
    except errors.InvalidError as error:
        raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, f"Kubernetes said: {error}; correct the spec") from error
    except errors.ConflictError as error:
        raise errors.Retry(reasons.STEP_FAILED, f"Kubernetes said: {error}; it is tried again") from error
