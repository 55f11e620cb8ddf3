"""The part of role pods: the runtimes that are pods, on all nodes, cared for by the one process that leads."""

from __future__ import annotations

from controller.backends.pods.backend import PodsBackend
from controller.bootstrap import operation
from controller.bootstrap.installation import Installation
from controller.boottime import Boot
from controller.metrics.prometheus import Metrics
from controller.reconcile.causes import EngineContact
from controller.reconcile.scope import Scope
from controller.reconcile.sources import EngineEvents
from controller.resources.client import ApiClient
from controller.resources.endpoint import Endpoint

SCOPE = Scope("Pod")


def start(site: Installation, endpoint: Endpoint, api: ApiClient, metrics: Metrics) -> None:
    """Care for them from now on, until the site's stack is closed."""
    backend = PodsBackend(api, site.install_id, site.settings.namespace)
    # No engine and no host starts pods: their kubelets tell of crashes.
    made = operation.start(site, api, backend, SCOPE, metrics, engine=EngineContact(), boot=Boot())
    events = EngineEvents(backend.changes, made.queue, made.index, EngineContact())
    site.supervisor.start("the changes of pods", events.run)
    operation.start_kopf(site, endpoint, made.queue, SCOPE)
