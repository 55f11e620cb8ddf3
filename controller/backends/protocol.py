"""The interface of a backend, for the reconciler and for the rest of the program.

Every backend passes the shared suite, tests/backends/test_contract.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol

from controller.backends.base import Contact, Identity, LabeledContainer, Progress, RunningContainer, Step, Target
from controller.backends.observation import Observed


class Reconcilable(Protocol):
    """The part of a backend that the reconciler uses.

    ``needs_secrets``: whether steps use the pull credentials and the secret environment of the target.
    """

    needs_secrets: bool

    async def observe(self, target: Target, *, predecessor: bool = True) -> Observed:
        """Observe the current state. Raises errors.Waiting(DAEMON_UNREACHABLE).

        Without ``predecessor``, what a replacement has left is not looked for: ``list_containers`` shows it, too.
        """

    def expect(self, steps: Collection[Step], target: Target) -> None:
        """Begin what these steps will wait for: they come next, though a pass may end before them.

        Changes nothing, and never blocks.
        """

    async def execute(self, step: Step, target: Target, progress: Progress) -> Target:
        """Execute one step; return the target with what the step found out (image pin, MAC addresses).

        Raises errors.Waiting, errors.Retry or errors.Stalled with a reason of api/reasons.py.
        """

    def changes_in_place(self, target: Target, observed: Observed) -> bool:
        """Whether RepairNetworks can make the interfaces of this container match the spec; else replace it."""

    async def owner_uid(self, identity: Identity) -> str:
        """The uid of the Runtime that the container names as its owner, "" without one.

        Raises errors.Waiting(DAEMON_UNREACHABLE).
        """

    async def hand_over(self, successor: Target) -> None:
        """Make the successor the owner of the existing objects, so that they outlive the previous Runtime.

        Restarts nothing.

        Raises errors.EdgeError.
        """

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Yield the identity of each runtime that changes, forever; CONNECTED at first and after each gap."""

    async def list_containers(self) -> list[LabeledContainer]:
        """All containers of this installation, running or not."""


class Backend(Reconcilable, Protocol):
    """Runs runtimes."""

    async def running(self) -> list[RunningContainer]:
        """All running containers of this installation."""

    async def foreign_container(self, name: str) -> str:
        """Describe the container with this name that is not ours, "" when there is none."""

    async def logs(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Stream the runtime's output. Raises errors.NotFoundError."""

    async def list_objects(self, *, volumes: bool) -> list[str]:
        """Describe every object with our labels and install id; volumes, which hold user data, only on request."""

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove every object with our labels and install id; return descriptions of what was removed."""

    async def check(self) -> None:
        """Check that the engine answers. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
