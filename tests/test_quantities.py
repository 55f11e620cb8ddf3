"""Quantities of Kubernetes and of Runtimes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from controller import quantities
from controller.quantities import memory_bytes, nano_cpus


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0), ("-1.5", Decimal("-1.5")), (".5", Decimal("0.5")), ("5.", 5), ("500m", Decimal("0.5")),
        ("1n", Decimal("1e-9")),
        ("1Ki", 1024), ("1.5Gi", 3 << 29), ("2k", 2000), ("1e3", 1000), ("1E-3", Decimal("0.001")), ("1E", 10**18),
        ("1Ei", 1 << 60),
    ],
)  # fmt: skip
def test_a_quantity_is_exact(text: str, amount: Decimal) -> None:
    assert quantities.parse(text) == amount


@pytest.mark.parametrize("text", ["", "x", "1 Ki", "1K", "1ki", "1e", "--1", "1mm", "NaN", "²", "1" * 81])
def test_other_texts_are_no_quantities(text: str) -> None:
    assert quantities.parse(text) is None


@pytest.mark.parametrize(
    ("cpu", "nano"), [(None, 0), ("", 0), ("2", 2 * 10**9), ("0.5", 5 * 10**8), ("250m", 25 * 10**7)]
)
def test_cores(cpu: str | None, nano: int) -> None:
    assert nano_cpus(cpu) == nano


@pytest.mark.parametrize(("memory", "amount"), [(None, 0), ("512Mi", 512 << 20), ("1G", 10**9), ("4096", 4096)])
def test_memory(memory: str | None, amount: int) -> None:
    assert memory_bytes(memory) == amount


def test_what_is_no_quantity_is_an_error() -> None:
    for convert in (nano_cpus, memory_bytes):
        with pytest.raises(ValueError, match="no quantity"):
            convert("much")
