"""kopf's operator with our handlers, for an edge host: retry without end, no peering, no events.

Imports kopf, so import this only in kopf's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import kopf

from controller import names
from controller.api import kinds
from controller.machinery.backoff import Backoff
from controller.machinery.client import Endpoint
from controller.runtimes.operator import handlers
from controller.runtimes.operator.submission import Submission

CHUNK = 10  # objects in one response of the first list, each of which kopf keeps until its handler returns


async def serve(endpoint: Endpoint, submit: Submission, node: str, field_selector: str) -> None:
    """Watch the Runtimes until cancelled. Raises whatever error ends kopf."""
    await kopf.operator(
        # Of our own: in the global registry, the handlers of a crashed operator would still be there.
        registry=handlers.make_registry(endpoint, submit),
        settings=make_settings(node, field_selector),
        # Not by namespace: deleting a watched namespace ends its stream before the handlers of deletions have run.
        clusterwide=True,
        standalone=True,
    )


def make_settings(node: str, field_selector: str = "") -> kopf.OperatorSettings:
    """The settings; ``field_selector`` selects the watched Runtimes on the server ("" for all)."""
    settings = kopf.OperatorSettings()
    _network(settings)
    _storage(settings)
    if field_selector:
        settings.watching.field_selectors[names.GROUP, names.VERSION, kinds.RUNTIMES.plural] = field_selector
    # kopf keeps the task and the last version of an object for this time after each change, for a next one.
    settings.queueing.idle_timeout = 0.1
    # By default the delays grow to ten minutes, in which a changed Runtime would be ignored.
    settings.queueing.error_delays = (1, 2, 5, 10, 30)
    settings.execution.default_backoff = 15
    # Threads are for synchronous handlers; all of ours are coroutines.
    settings.execution.max_workers = 2
    settings.posting.enabled = False  # the reconciler posts its own events, on transitions only
    settings.posting.reporting_component = names.FIELD_MANAGER
    settings.posting.reporting_instance = node
    # Otherwise kopf watches all namespaces and CRDs for new kinds, which needs further rights.
    settings.scanning.disabled = True
    # A peering object of another operator with the name "default" would pause this one without a message.
    settings.peering.standalone = True
    # The timer that a crash of kopf leaves behind would kill the whole process.
    settings.process.ultimate_exiting_timeout = None
    return settings


def _network(settings: kopf.OperatorSettings) -> None:
    settings.networking.error_backoffs = Backoff(first=0.5)
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    # Integers, as kopf sends them unchanged, and the API parses timeoutSeconds as one. The client waits longer, so
    # that the server ends a healthy stream properly.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = CHUNK


def _storage(settings: kopf.OperatorSettings) -> None:
    """Use our own names: kopf's defaults would collide with those of other kopf operators."""
    settings.persistence.finalizer = names.FINALIZER
    # v1 keys are a second copy of each annotation, which only older versions of kopf read.
    settings.persistence.progress_storage = UnfinishedProgress(prefix=names.GROUP, v1=False)
    settings.persistence.diffbase_storage = HandledGenerations()


class UnfinishedProgress(kopf.AnnotationsProgressStorage):
    """Writes the progress of handlers that kopf has to call again, but nothing about those that succeeded."""

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Store a record, except for one of success: with it, kopf would mark each Runtime with an annotation."""
        if not record.get("success"):
            super().store(key=key, record=record, body=body, patch=patch)


class HandledGenerations(kopf.DiffBaseStorage):
    """Detects changes of the spec by the generation, and remembers the handled one in memory only.

    kopf would write it to the object, which costs a write and an event for each change. Nobody needs it after a
    restart: then each Runtime is new to kopf and gets a pass, as it did when kopf resumed it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._handled: dict[str, int] = {}

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """The essence of a body: equal for equal specs. ``extra_fields`` belongs to kopf's interface and is unused."""
        del extra_fields
        return _essence(body.metadata.get("generation", 0))

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """The essence that was handled; None for a Runtime that is new to this process."""
        generation = self._handled.get(_uid(body))
        return None if generation is None else _essence(generation)

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Remember a handled essence; forget it with the deletion, after which the uid never returns."""
        del patch
        if body.metadata.get("deletionTimestamp"):
            self._handled.pop(_uid(body), None)
        else:
            self._handled[_uid(body)] = essence["spec"]["generation"]


def _essence(generation: int) -> kopf.BodyEssence:
    # Below "spec", the field whose changes are handled.
    return cast("kopf.BodyEssence", {"spec": {"generation": generation}})


def _uid(body: kopf.Body) -> str:
    return str(body.metadata["uid"])
