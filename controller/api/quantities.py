"""Parse the Kubernetes quantities that a Runtime uses (API reference: Quantity)."""

from __future__ import annotations

from decimal import Decimal

_MEMORY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def nano_cpus(cpu: str | None) -> int:
    """Return ``"2"``, ``"0.5"`` or ``"500m"`` in billionths of a core; 0 for no limit."""
    if not cpu:
        return 0
    return int(cpu[:-1]) * 10**6 if cpu.endswith("m") else int(Decimal(cpu) * 10**9)


def memory_bytes(memory: str | None) -> int:
    """Return ``"512Mi"`` in bytes; 0 for no limit."""
    if not memory:
        return 0
    for unit, factor in _MEMORY_UNITS.items():
        if memory.endswith(unit):
            return int(memory.removesuffix(unit)) * factor
    return int(memory)
