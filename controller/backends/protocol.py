"""What a backend offers: to reconciling, and to the rest of the program.

Every backend passes the shared suite, tests/backends/test_contract.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from controller.backends.base import Contact, Identity, Observed, Orphan, Progress, RunningContainer, Step, Target


class Reconcilable(Protocol):
    """What reconciling uses of a backend.

    ``needs_secrets``: steps use the pull credentials and the secret environment of the target.
    """

    needs_secrets: bool

    async def observe(self, target: Target) -> Observed:
        """What is there now. Raises errors.Waiting(DAEMON_UNREACHABLE) when it cannot be seen."""

    async def execute(self, step: Step, target: Target, progress: Progress) -> Target:
        """Do one step; returns the target, completed by what the step found (image pin, MAC addresses).

        Raises errors.Waiting, errors.Retry or errors.Stalled with a reason of api/reasons.py.
        """

    def changes_in_place(self, target: Target, observed: Observed) -> bool:
        """Whether RepairNetworks can bring the interfaces to the spec on this container (else: replace)."""

    async def made_for(self, identity: Identity) -> str:
        """Uid of the Runtime that the container of this identity names as its owner, "" without one.

        Raises errors.Waiting(DAEMON_UNREACHABLE).
        """

    async def hand_over(self, successor: Target) -> None:
        """Have what is there outlive the Runtime that owned it, for this one; nothing is restarted.

        Raises errors.EdgeError.
        """

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Identities of runtimes of ours that changed, without end; STANDS at first and after each gap."""

    async def known(self) -> list[Orphan]:
        """All containers of ours, running or not, with their identities."""


class Backend(Reconcilable, Protocol):
    """A place where runtimes run."""

    async def running(self) -> list[RunningContainer]:
        """All running containers of ours."""

    async def foreign_container(self, name: str) -> str:
        """What container of this name is not ours (for a person), or ""."""

    async def logs(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """The runtime's output. Raises errors.NotFoundError."""

    async def belongings(self, *, volumes: bool) -> list[str]:
        """Everything that carries our labels and install id, for a person; volumes hold what runtimes stored."""

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove everything that carries our labels and install id; returns what was removed, for a person."""

    async def check(self) -> None:
        """Ask whether the engine answers. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
