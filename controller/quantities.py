"""Kubernetes' quantities (API reference: Quantity), and those of a Runtime as numbers."""

from __future__ import annotations

import re
from decimal import Context, Decimal

SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal("1e3"),
    "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18"),
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}  # fmt: skip
MAGNITUDE = 40  # digits before or after the point; Kubernetes accepts up to 2**63
EXACT = Context(prec=4 * MAGNITUDE)
# `1E` is a suffix (exa) and `1E3` an exponent. Three digits bound it: int() builds a number of that many digits.
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i|))")


def parse(text: str) -> Decimal | None:
    """The exact amount, None if the text is no quantity or unreasonably long."""
    found = _QUANTITY.fullmatch(text) if len(text) <= 2 * MAGNITUDE else None
    if not found:
        return None
    factor = Decimal(f"1e{found[2]}") if found[2] else SUFFIXES[found[3] or ""]
    # The default context rounds to 28 digits.
    return EXACT.multiply(Decimal(found[1]), factor)


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
