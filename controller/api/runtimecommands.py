"""``RuntimeCommand``: one command of the cloud, written before it is acted on.

Its name is made from topic, correlation id, requested_at and payload, so creating it twice *is* the
de-duplication: the second attempt finds the first one and its answer. No I/O here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.api.fields import ShortText, Text
from controller.machinery import metadata
from controller.machinery.model import Model, Timestamp

Phase = Literal["Pending", "Succeeded", "Failed", "Unknown"]

Digest = Annotated[str, Field(max_length=64)]

ANSWER_LIMIT = 65536  # bytes of JSON


class RuntimeCommandSpec(Model):
    """What was asked, by whom and when; immutable."""

    topic: Annotated[str, Field(min_length=1, max_length=63)]
    device_id: ShortText | None = None
    correlation_id: ShortText = ""
    requested_at: ShortText = ""
    payload_hash: Digest = Field(default="", description="Keyed digest of topic and payload.")
    digest_key: ShortText = Field(default="", description="Tells which key digests and name were made with.")
    received_at: Timestamp
    sequence: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Order of arrival; a clock may jump, this does not."
    )
    changes: bool = Field(default=True, description="False for a request that is only passed on to the runtime.")


class RuntimeCommandStatus(Model):
    """How it ended; of what a runtime sent only facts, never a body, a header or a cookie."""

    outcome: Phase = "Pending"
    finished_at: Timestamp | None = None
    message: Text = ""
    answer: Annotated[str, Field(max_length=ANSWER_LIMIT)] | None = Field(
        default=None, description="The controller's own words in the answer, as JSON text."
    )
    status_code: Annotated[int, Field(ge=0, le=999)] | None = Field(
        default=None, description="HTTP status of the runtime's answer."
    )
    size: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Bytes of the body of the runtime's answer, as JSON text."
    )
    digest: Digest | None = Field(default=None, description="Keyed digest of the same text.")


class RuntimeCommand(Model):
    """The whole object as the API stores it."""

    metadata: metadata.ObjectMeta
    spec: RuntimeCommandSpec
    status: RuntimeCommandStatus = RuntimeCommandStatus()
