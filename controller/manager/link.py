"""Builds and starts the link role: the cloud's commands and the heartbeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from controller.cloud import topics
from controller.cloud.commands.consumption import Consumption
from controller.cloud.commands.devices import Devices
from controller.cloud.commands.digest_key import DigestKey
from controller.cloud.commands.executor import Executor
from controller.cloud.commands.forwarding import Forwarding
from controller.cloud.commands.hardware import Hardware
from controller.cloud.commands.journal import Journal
from controller.cloud.commands.lifecycle import Lifecycle
from controller.cloud.commands.power import Power
from controller.cloud.commands.reads import Reads
from controller.cloud.commands.retirement import Retirement, RetirementHooks
from controller.cloud.commands.specs import Blueprint
from controller.cloud.commands.status import DeviceStatus
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.heartbeat import Heartbeat
from controller.cloud.identity import Identity
from controller.cloud.link import Link, LinkState
from controller.machinery.client import ApiClient
from controller.manager.installation import Installation
from controller.metrics import host
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics
from controller.node_api.node import NodeDirectory


@dataclass(frozen=True)
class LinkPart:
    """Everything behind the link: the topics, and what executes them."""

    topics: Sequence[topics.Topic]
    journal: Journal
    executor: Executor
    retirement: Retirement


def build(installation: Installation, api: ApiClient, nodes: NodeDirectory, hooks: RetirementHooks) -> LinkPart:
    """Build the part without starting it."""
    journal = Journal(api, installation.settings.namespace, partial(DigestKey.load, installation.settings.client_key))
    executor = Executor(journal, installation.settings.command_seconds)
    retirement = Retirement(api, journal, hooks)
    return LinkPart(topics.table(_commands(installation, api, nodes, retirement)), journal, executor, retirement)


def start(
    installation: Installation,
    part: LinkPart,
    metrics: Metrics,
    reading: Callable[[], HostReading],
    on_state: Callable[[LinkState], None],
) -> Link:
    """Connect to the cloud and serve its commands."""
    settings = installation.settings
    dispatcher = Dispatcher(part.topics, part.executor, settings.contracts, metrics.observe_command)
    link = Link(
        settings.cloud_url,
        partial(Identity.load, settings.client_cert, settings.client_key, settings.cloud_ca),
        dispatcher,
        Heartbeat(
            lambda agent_id: host.heartbeat(agent_id, reading(), time.time()),
            settings.heartbeat_seconds,
            metrics.heartbeat_sent,
        ),
        on_state,
    )
    for stop in (part.executor.stop, part.retirement.stop, link.stop):
        installation.stack.push_async_callback(stop)
    installation.supervisor.start("the orchestrator's deletion", part.retirement.resume)
    installation.supervisor.start("the cloud link", link.run)
    return link


def _commands(
    installation: Installation, api: ApiClient, nodes: NodeDirectory, retirement: Retirement
) -> topics.Commands:
    settings = installation.settings
    devices = Devices(api, settings.namespace)
    blueprint = Blueprint(
        namespace=settings.namespace,
        image=settings.runtime_image,
        version=settings.runtime_version,
        template=settings.runtime_template,
    )
    return topics.Commands(
        lifecycle=Lifecycle(api, devices, blueprint, nodes, retirement.in_progress),
        power=Power(api, devices),
        forwarding=Forwarding(devices, nodes, Reads(settings.runtime_reads), settings.command_seconds),
        status=DeviceStatus(devices, nodes, retirement.progress),
        consumption=Consumption(devices, nodes),
        hardware=Hardware(api, nodes),
        retirement=retirement,
    )
