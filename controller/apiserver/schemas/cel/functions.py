"""The functions of expressions by name; a method gets its target first, and all the meter that pays for them."""

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
