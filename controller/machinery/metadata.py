"""The part of an object's ``metadata`` that we read (API reference: meta/v1 ObjectMeta)."""

from __future__ import annotations

from pydantic import Field

from controller.machinery.model import Model


class ObjectMeta(Model):
    """Identity and bookkeeping of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
