"""Converts pydantic's validation errors to faults: the path of the field and a plain sentence."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from controller.errors import ContractError, Fault

MAX_FAULTS = 50

_SENTENCES = {
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def fault(sentence: str) -> PydanticCustomError:
    """The error for a validator to raise; ``sentence`` follows the field's name, as in "must be an IPv4 address"."""
    # A parameter rather than the template, which would take braces in the sentence for placeholders.
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


def of(error: ValidationError) -> list[Fault]:
    """The faults that pydantic found, at most 50, in the order of the contract's fields."""
    return [Fault(path(detail["loc"]), _sentence(detail)) for detail in error.errors()[:MAX_FAULTS]]


def path(location: tuple[int | str, ...]) -> str:
    """Format ``("vnic_configs", 0, "ip")`` as ``vnic_configs[0].ip``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")[:200]


def refusal(topic: str, found: list[Fault]) -> ContractError:
    """The error for a message with these faults; its text names the first and counts the others."""
    first = " ".join(part for part in found[0] if part)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ContractError(f"invalid {topic[:64]} message: {first}{more}", found)


def _sentence(detail: ErrorDetails) -> str:
    template = _SENTENCES.get(detail["type"])
    context: dict[str, Any] = detail.get("ctx", {})
    return template.format(**context) if template else detail["msg"]
