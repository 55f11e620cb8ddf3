"""``RuntimeCommand``: one command of the cloud, stored before it is executed.

Its name is derived from topic, correlation id, requested_at and payload. Creating it a second time fails and leads to
the first one and its answer: this is how repeated commands are detected.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.api.fields import ShortText, Text
from controller.machinery import model
from controller.machinery.model import Model, Timestamp

Phase = Literal["Pending", "Succeeded", "Failed", "Unknown"]

Digest = Annotated[str, Field(max_length=64)]

ANSWER_LIMIT = 65536  # bytes of JSON


class RuntimeCommandSpec(Model):
    """The command as it was received; immutable."""

    topic: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Topic of the command.")
    device_id: ShortText | None = Field(default=None, description="Device id of the runtime that it is for.")
    correlation_id: ShortText = Field(default="", description="Correlation id given by the cloud.")
    requested_at: ShortText = Field(default="", description="Time of the request given by the cloud.")
    payload_hash: Digest = Field(default="", description="Keyed digest of topic and payload.")
    digest_key: ShortText = Field(default="", description="Id of the key used for the name and the digests.")
    received_at: Timestamp = Field(description="Time of arrival at the controller.")
    sequence: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Order of arrival; unlike receivedAt, it does not depend on the clock."
    )
    changes: bool = Field(
        default=True, description="Whether the command changes a Runtime; false for requests forwarded to the runtime."
    )


class RuntimeCommandStatus(Model):
    """Outcome of the command; the body, headers and cookies of a runtime's response are never stored."""

    outcome: Phase = Field(default="Pending", description="Outcome of the command.")
    finished_at: Timestamp | None = Field(default=None, description="Time at which the outcome was known.")
    message: Text = Field(default="", description="Error or message of the answer.")
    answer: Annotated[str, Field(max_length=ANSWER_LIMIT)] | None = Field(
        default=None, description="The controller's part of the answer, as JSON text."
    )
    status_code: Annotated[int, Field(ge=0, le=999)] | None = Field(
        default=None, description="HTTP status of the runtime's response."
    )
    size: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Size of the runtime's response body in bytes, as JSON text."
    )
    digest: Digest | None = Field(
        default=None, description="Keyed digest of the runtime's response body, as JSON text."
    )


class RuntimeCommand(Model):
    """One command of the cloud and its outcome."""

    metadata: model.ObjectMeta
    spec: RuntimeCommandSpec
    status: RuntimeCommandStatus = RuntimeCommandStatus()
