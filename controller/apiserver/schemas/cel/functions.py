"""All functions by name. Each takes the meter to charge, then its arguments; a method takes its target first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver.schemas.cel import addresses, conversions, formats, lists, quantities, texts, times

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **conversions.FUNCTIONS,
    **times.FUNCTIONS,
    **texts.FUNCTIONS,
    **lists.FUNCTIONS,
    **addresses.FUNCTIONS,
    **quantities.FUNCTIONS,
    **formats.FUNCTIONS,
}
