"""kopf's settings for an edge host: retry without end, no peering, no events."""

from __future__ import annotations

import kopf

from controller import names
from controller.api import kinds
from controller.machinery.backoff import Backoff
from controller.runtimes.operator.diffbase import SpecDigest


def make(node: str, field_selector: str = "") -> kopf.OperatorSettings:
    """The settings; ``field_selector`` selects the watched Runtimes on the server ("" for all)."""
    settings = kopf.OperatorSettings()
    _network(settings)
    _storage(settings)
    if field_selector:
        settings.watching.field_selectors[names.GROUP, names.VERSION, kinds.RUNTIMES.plural] = field_selector
    settings.queueing.error_delays = (1, 2, 5, 10, 30)
    settings.execution.default_backoff = 15
    settings.execution.max_workers = 2
    settings.posting.enabled = False  # the reconciler posts its own events, on transitions only
    settings.posting.reporting_component = names.FIELD_MANAGER
    settings.posting.reporting_instance = node
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None
    return settings


def _network(settings: kopf.OperatorSettings) -> None:
    settings.networking.error_backoffs = Backoff(first=0.5)
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 1.0


def _storage(settings: kopf.OperatorSettings) -> None:
    """Use our own names: kopf's defaults would collide with those of other kopf operators."""
    settings.persistence.finalizer = names.FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP, v1=False)
    settings.persistence.diffbase_storage = SpecDigest()
