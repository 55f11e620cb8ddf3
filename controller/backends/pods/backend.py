"""The pods backend: implements backends/protocol.Backend by delegating to its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Contact, Identity, LabeledContainer, Progress, RunningContainer, Step, Target
from controller.backends.observation import Observed
from controller.backends.pods import naming
from controller.backends.pods.changes import Changes
from controller.backends.pods.images import Images
from controller.backends.pods.inventory import Inventory
from controller.backends.pods.lifecycle import Lifecycle
from controller.backends.pods.manifests import CONTAINER
from controller.backends.pods.observation import Observer
from controller.backends.pods.replacement import Replacement
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient


class PodsBackend:
    """Runtimes as pods of the cluster behind ``api``, for one installation.

    ``foreign_container`` looks in ``namespace``. ``settle_seconds`` is how long a replacement must run before the old
    template is dropped. Belongs to one event loop.
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

    async def observe(self, target: Target, *, predecessor: bool = True) -> Observed:  # noqa: ARG002 - costs nothing
        """Observe the current state."""
        return await self._observer.observe(target)

    def expect(self, steps: Collection[Step], target: Target) -> None:
        """Do nothing: no step waits for anything that could be begun before it."""

    async def execute(self, step: Step, target: Target, progress: Progress) -> Target:
        """Execute one step; see protocol.Backend."""
        with _translated():
            return await self._actions.of(step)(target, progress)

    def changes_in_place(self, target: Target, observed: Observed) -> bool:  # noqa: ARG002 - the protocol's
        """Always False: the interfaces of a pod cannot change after its start."""
        return False

    async def owner_uid(self, identity: Identity) -> str:
        """The uid of the Runtime that owns the workload, "" without one."""
        found = await self._workloads.stateful_set(identity)
        return naming.owner_of(found) if found else ""

    async def hand_over(self, successor: Target) -> None:
        """Make this Runtime the owner of the existing objects; the pod keeps running."""
        with _translated():
            await self._lifecycle.hand_over(successor)

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Yield the identity of each runtime that changes, forever; CONNECTED at first and after each gap."""
        return Changes(self._api, self._install_id).stream()

    async def running(self) -> list[RunningContainer]:
        """Always empty: the agents on the nodes measure the processes."""
        return []

    async def list_containers(self) -> list[LabeledContainer]:
        """All workloads of this installation, running or not."""
        return await self._inventory.list_containers()

    async def foreign_container(self, name: str) -> str:
        """Describe the foreign StatefulSet or Service with the name for this device id, "" when there is none."""
        identity = Identity(self._install_id, self._namespace, name)
        for kind in (core_kinds.STATEFUL_SETS, core_kinds.SERVICES):
            found = await self._workloads.find(kind, identity)
            if found and naming.identity_of(found, self._install_id) != identity:
                return f"the {kind.kind} {found['metadata']['name']} in {self._namespace}"
        return ""

    async def logs(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Stream the runtime's output. Raises errors.NotFoundError."""
        params = {"container": CONTAINER, "tailLines": str(tail), "follow": str(follow).lower()}
        return await self._api.text(core_kinds.PODS, naming.pod(identity), identity.namespace, "log", params)

    async def list_objects(self, *, volumes: bool) -> list[str]:
        """Describe every object of this installation."""
        return await self._inventory.list_objects(volumes=volumes)

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove every object of this installation; return descriptions of what was removed."""
        return await self._inventory.purge(volumes=volumes)

    async def check(self) -> None:
        """Check that we may list StatefulSets. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        try:
            await self._api.list(core_kinds.STATEFUL_SETS, self._namespace)
        except errors.ApiError as error:
            raise errors.Waiting(reasons.DAEMON_UNREACHABLE, f"Cannot manage pods: {error}") from error

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
            repair_networks=base.plain(self._workloads.ensure_dependencies),
            update_resources=base.plain(lifecycle.update_limits),
            pin_image=base.plain(lifecycle.pin),
            remove_container=base.plain(lifecycle.remove),
            remove_networks=base.plain(lifecycle.remove_networks),
            attach_devices=base.unsupported(Step.ATTACH_DEVICES),
            restore_name=base.unsupported(Step.RESTORE_NAME),
        )

    def _with_image(self, action: Callable[[Target], Awaitable[None]]) -> base.Action:
        """An action that resolves the image first."""

        async def act(target: Target, progress: Progress) -> Target:
            target = await self._images.resolve(target, progress)
            await action(target)
            return target

        return act


@contextmanager
def _translated() -> Iterator[None]:
    """Translate the API's errors into outcomes of a reconciliation."""
    try:
        yield
    except errors.InvalidError as error:
        raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, f"Kubernetes said: {error}; correct the spec") from error
    except errors.ConflictError as error:
        raise errors.Retry(reasons.STEP_FAILED, f"Kubernetes said: {error}; retrying") from error
