"""What a pass is given: what all passes share, and the Runtime of this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.api import runtimes
from controller.api.runtime_status import RuntimeStatus
from controller.backends import base
from controller.backends.protocol import Reconcilable
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.runtimes.generation_guard import GenerationGuard
from controller.runtimes.outcome import Outcome
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.status_writer import StatusWriter
from controller.runtimes.steps import StepRecorder
from controller.runtimes.turns import Turns


@dataclass(frozen=True)
class ReconcilerDependencies:
    """The dependencies that all passes share. With empty ``image_prefixes`` every image is allowed."""

    api: ApiClient
    backend: Reconcilable
    node: str
    image_prefixes: tuple[str, ...]
    clock: Callable[[], float]
    boot: Boot
    engine: EngineContact


@dataclass(frozen=True)
class ReconcileContext:
    """The Runtime of a pass; ``known`` is its newest status, including what is not written yet.

    ``seen_at`` is when this process last observed its container before, in seconds since boot, None if never.
    ``outdated``: the API does not respond and this is the Runtime as last read, so only repairs are allowed.
    ``instead_of_ready``: the outcome of one that is only kept.
    """

    runtime: runtimes.Runtime
    known: RuntimeStatus
    target: base.Target
    guard: GenerationGuard
    writer: StatusWriter
    recorder: StepRecorder
    turns: Turns
    seen_at: float | None
    outdated: bool = False
    instead_of_ready: Outcome | None = None
