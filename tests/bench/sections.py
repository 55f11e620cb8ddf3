"""All sections in the order of the table."""

from __future__ import annotations

from tests.bench import api, churn, create, devices, dhcp, failover, many, pods
from tests.bench.section import Section

SECTIONS = (
    Section("create", "Creating a runtime", create.measure),
    Section("many", "Many Runtimes on an in-memory backend", many.measure),
    Section("api", "The embedded API beside kube-apiserver on etcd", api.measure),
    Section("churn", "Runtimes that come and go", churn.measure),
    Section("devices", "Serial devices", devices.measure),
    Section("dhcp", "DHCP", dhcp.measure),
    Section("failover", "Failover in a cluster", failover.measure),
    Section("pods", "Pods in a cluster", pods.measure),
)
