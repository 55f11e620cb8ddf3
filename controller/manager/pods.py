"""Builds the pods role: the leader reconciles the runtimes that are pods, on all nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from controller.backends.pods.backend import PodsBackend
from controller.boottime import Boot
from controller.manager.environment import Environment, Run
from controller.manager.runtime_operator import RuntimeOperator
from controller.runtimes.event_sources import EventSources
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.scope import Scope


@dataclass(frozen=True)
class Pods:
    """The parts of the role."""

    operator: RuntimeOperator
    follow_pods: Run


def build(environment: Environment) -> Pods:
    """Build the role; nothing is reconciled yet."""
    installation = environment.installation
    backend = PodsBackend(installation.api, installation.install_id, installation.settings.namespace)
    # There is no engine or host boot to explain restarts: the kubelets report crashes of pods.
    scope = Scope("Pod", namespaces=installation.settings.served_namespaces)
    operator = RuntimeOperator(environment, backend, scope, engine=EngineContact(), boot=Boot())
    sources = EventSources(operator.queue, operator.index, installation.install_id)
    return Pods(operator, partial(sources.follow_engine, backend.changes, EngineContact()))
