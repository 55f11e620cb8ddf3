"""The quantities of a Runtime as numbers."""

from __future__ import annotations

from decimal import Decimal

from controller.quantities import parse


def nano_cpus(cpu: str | None) -> int:
    """Return ``"2"``, ``"0.5"`` or ``"500m"`` in billionths of a core; 0 for no limit. Raises ValueError."""
    return int(_amount(cpu) * 10**9)


def memory_bytes(memory: str | None) -> int:
    """Return ``"512Mi"`` in bytes; 0 for no limit. Raises ValueError."""
    return int(_amount(memory))


def _amount(quantity: str | None) -> Decimal:
    found = parse(quantity or "0")
    if found is None:
        raise ValueError(f"{quantity} is no quantity")
    return found
