"""The base message, the base device message, and the validation of payloads against a contract.

In strict mode ``action`` and ``requested_at`` are required; lenient mode is for newer clouds, which omit them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from controller.cloud.contracts import bounds, faults
from controller.cloud.contracts.fields import DateTime, Number, Text
from controller.errors import Fault

Mode = Literal["strict", "lenient"]
ORCHESTRATOR = "__orchestrator__"  # used in place of a device id to address the agent itself


class Message(BaseModel):
    """The fields of every message. Unknown fields are ignored."""

    # Unknown fields come from newer clouds. Inputs are hidden because they may be passwords.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    correlation_id: Number
    # Defaults are validated too: an absent field must reach _required_when_strict.
    action: Annotated[str | None, Field(validate_default=True)] = None
    requested_at: Annotated[DateTime | None, Field(validate_default=True)] = None

    @field_validator("action", "requested_at", mode="before")
    @classmethod
    def _required_when_strict(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and _context(info).get("mode") == "strict":
            raise faults.fault("is required")
        return value

    @field_validator("action")
    @classmethod
    def _is_the_topic(cls, value: str | None, info: ValidationInfo) -> str | None:
        topic = _context(info).get("topic", value)
        if value is not None and value != topic:
            raise faults.fault(f"must be {topic}, the topic")
        return value

    @property
    def device(self) -> str:
        """The device id that the message is about, or ORCHESTRATOR."""
        return ORCHESTRATOR


class DeviceMessage(Message):
    """The fields of every message about one device."""

    device_id: Text

    @property
    def device(self) -> str:
        return self.device_id


AnyMessage = TypeVar("AnyMessage", bound=Message)


def validate(contract: type[AnyMessage], topic: str, payload: Any, mode: Mode, limit: int) -> AnyMessage:
    """Parse the payload; ``limit`` is the maximum number of characters of text in it.

    Raises errors.ContractError with every fault.
    """
    if not isinstance(payload, dict):
        raise faults.refusal(topic, [Fault("", "the payload must be an object")])
    if unfit := bounds.fault_of(payload, limit):
        raise faults.refusal(topic, [unfit])
    try:
        return contract.model_validate(payload, context={"topic": topic, "mode": mode})
    except ValidationError as error:
        raise faults.refusal(topic, faults.of(error)) from None


def _context(info: ValidationInfo) -> dict[str, str]:
    """The topic and mode passed by ``validate``."""
    return info.context or {}
