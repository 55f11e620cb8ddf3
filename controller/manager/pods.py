"""The pods role: the leader reconciles the runtimes that are pods, on all nodes."""

from __future__ import annotations

from controller.backends.pods.backend import PodsBackend
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.manager import runtime_operator
from controller.manager.installation import Installation
from controller.metrics.prometheus import Metrics
from controller.runtimes.event_sources import EngineEvents
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.scope import Scope

SCOPE = Scope("Pod")


def start(site: Installation, endpoint: Endpoint, api: ApiClient, metrics: Metrics) -> None:
    """Reconcile pods until the site's stack is closed."""
    backend = PodsBackend(api, site.install_id, site.settings.namespace)
    # No engine and no host starts pods: their kubelets tell of crashes.
    made = runtime_operator.start(site, api, backend, SCOPE, metrics, engine=EngineContact(), boot=Boot())
    events = EngineEvents(backend.changes, made.queue, made.index, EngineContact())
    site.supervisor.start("the changes of pods", events.run)
    runtime_operator.start_kopf(site, endpoint, made.queue, SCOPE)
