"""The pods role: the leader reconciles the runtimes that are pods, on all nodes."""

from __future__ import annotations

from controller.backends.pods.backend import PodsBackend
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.manager import runtime_operator
from controller.manager.installation import Installation
from controller.metrics.prometheus import Metrics
from controller.runtimes.engine_contact import EngineContact
from controller.runtimes.event_sources import EngineEvents
from controller.runtimes.scope import Scope

SCOPE = Scope("Pod")


def start(installation: Installation, endpoint: Endpoint, api: ApiClient, metrics: Metrics) -> None:
    """Reconcile pods until the installation's stack is closed."""
    backend = PodsBackend(api, installation.install_id, installation.settings.namespace)
    # There is no engine or host boot to explain restarts: the kubelets report crashes of pods.
    operator = runtime_operator.start(installation, api, backend, SCOPE, metrics, engine=EngineContact(), boot=Boot())
    events = EngineEvents(backend.changes, operator.queue, operator.index, EngineContact())
    installation.supervisor.start("the pod events", events.run)
    runtime_operator.start_kopf(installation, endpoint, operator.queue, SCOPE)
