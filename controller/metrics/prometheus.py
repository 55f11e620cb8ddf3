"""The metrics served at /metrics, all prefixed with ``edge_``.

Events are counted as they happen, through the methods of Metrics. States (usage, counts) are read at each scrape, so a
deleted runtime leaves no stale series behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.metrics.containers import ContainerReading
from controller.metrics.host import HostReading

_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class Sources:
    """Callbacks for the states; each is called once per scrape in the event loop and must not block.

    ``runtimes`` returns the number of Runtimes by condition type and status, ``containers`` the usage by runtime, and
    ``disks`` the fault of each disk, "" while it has room.
    """

    host: Callable[[], HostReading] | None  # None: this process has no node role
    containers: Callable[[], Mapping[str, ContainerReading]]
    runtimes: Callable[[], Mapping[tuple[str, str], int]]
    disks: Callable[[], Mapping[str, str]] = dict


class Metrics:
    """The controller's metrics registry. Methods may be called from any thread."""

    def __init__(self, version: str, sources: Sources) -> None:
        # auto_describe would call collect() at the registration, before the sources have anything to read.
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self._reconciles = Histogram(
            "edge_reconcile_seconds", "Reconcile passes", ["outcome"], buckets=_LONG, registry=registry
        )
        self._commands = Histogram(
            "edge_command_seconds", "Cloud commands answered", ["topic", "outcome"], buckets=_LONG, registry=registry
        )
        self._connected = Gauge("edge_cloud_connected", "1 while the cloud link is up", registry=registry)
        self._connects = Counter("edge_cloud_connects", "Connections established to the cloud", registry=registry)
        self._lateness = Histogram(
            "edge_heartbeat_lateness_seconds", "Delay of heartbeats", buckets=_SHORT, registry=registry
        )
        Gauge("edge_build_info", "Version of the controller", ["version"], registry=registry).labels(version).set(1)
        self._states = _States(sources)
        registry.register(self._states)

    def read_from(self, sources: Sources) -> None:
        """Read the states from other sources: those of a role that knows more of them."""
        self._states.sources = sources

    def observe_reconcile(self, outcome: str, seconds: float) -> None:
        """Record a reconcile: ``ready``, ``paused``, ``gone``, ``waiting``, ``retry``, ``stalled`` or ``error``."""
        self._reconciles.labels(outcome).observe(seconds)

    def observe_command(self, topic: str, outcome: str, seconds: float) -> None:
        """Record a cloud command's ``success`` or ``error``; ``topic`` must not be a name that the sender invented."""
        self._commands.labels(topic, outcome).observe(seconds)

    def cloud_connected(self, connected: bool) -> None:
        """Record that the cloud link came up or went down."""
        self._connected.set(connected)
        if connected:
            self._connects.inc()

    def heartbeat_sent(self, late: float) -> None:
        """Record a heartbeat sent ``late`` seconds after its scheduled time."""
        self._lateness.observe(max(0.0, late))

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class _States(Collector):
    """The gauges that are read at each scrape."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    def collect(self) -> Iterable[GaugeMetricFamily]:
        if self.sources.host is not None:
            yield from _host_families(self.sources.host())
        yield from _container_families(self.sources.containers())
        runtimes = GaugeMetricFamily("edge_runtimes", "Runtimes by condition", labels=["condition", "status"])
        for labels, count in self.sources.runtimes().items():
            runtimes.add_metric(labels, count)
        yield runtimes
        full = GaugeMetricFamily(
            "edge_disk_full", "1 while the disk of EDGE_STATE_DIR or Docker is full", labels=["disk"]
        )
        for disk, fault in self.sources.disks().items():
            full.add_metric([disk], 1.0 if fault else 0.0)
        yield full


def _host_families(host: HostReading) -> Iterable[GaugeMetricFamily]:
    yield GaugeMetricFamily("edge_host_cpu_percent", "Busy share of all cores, 0-100", host.cpu_percent)
    yield GaugeMetricFamily("edge_host_memory_used_bytes", "Memory in use", host.memory_used)
    yield GaugeMetricFamily("edge_host_memory_total_bytes", "Memory of the host", host.memory_total)
    yield GaugeMetricFamily("edge_host_disk_used_bytes", "Disk in use, all file systems", host.disk_used)
    yield GaugeMetricFamily("edge_host_disk_total_bytes", "Disk of the host, all file systems", host.disk_total)
    yield GaugeMetricFamily("edge_host_uptime_seconds", "Uptime of the host", host.uptime)


def _container_families(readings: Mapping[str, ContainerReading]) -> Iterable[GaugeMetricFamily]:
    cpu = GaugeMetricFamily("edge_runtime_cpu_percent", "CPU in percent of one core", labels=["runtime"])
    memory = GaugeMetricFamily("edge_runtime_memory_bytes", "Memory in use without cache", labels=["runtime"])
    for runtime, reading in readings.items():
        cpu.add_metric([runtime], reading.cpu_percent)
        memory.add_metric([runtime], reading.memory_used)
    yield cpu
    yield memory
