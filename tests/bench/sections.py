"""All sections in the order of the table."""

from __future__ import annotations

from tests.bench import (
    api,
    churn,
    cluster,
    create,
    devices,
    dhcp,
    failover,
    forward,
    hundreds,
    idle,
    lifecycle,
    many,
    pods,
    recovery,
    slow,
    start,
)
from tests.bench.section import Section

SECTIONS = (
    Section("create", "Creating a runtime", create.measure),
    Section("lifecycle", "Stop, start and restart", lifecycle.measure),
    Section("forward", "Requests to a runtime", forward.measure),
    Section("idle", "An idle controller", idle.measure),
    Section("cluster", "Processes of a cluster", cluster.measure),
    Section("start", "Start of the controller", start.measure),
    Section("recovery", "Recovery of many runtimes", recovery.measure),
    Section("hundreds", "Hundreds of runtimes on one host", hundreds.measure),
    Section("many", "Many Runtimes on an in-memory backend", many.measure),
    Section("api", "The embedded API beside kube-apiserver on etcd", api.measure),
    Section("churn", "Runtimes that come and go", churn.measure),
    Section("devices", "Serial devices", devices.measure),
    Section("dhcp", "DHCP", dhcp.measure),
    Section("failover", "Failover in a cluster", failover.measure),
    Section("pods", "Pods in a cluster", pods.measure),
    Section("slow", "A quarter of a core, and fsyncs of 20 ms", slow.measure),
)
