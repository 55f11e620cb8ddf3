"""Processes that stand for containers."""

from __future__ import annotations

from controller.container_root import Process


def bare(pid: int) -> Process:
    """A process of no engine: what every line of a cgroup file has (cgroups(7)) stands for the container's id."""
    return Process(pid, ":")
