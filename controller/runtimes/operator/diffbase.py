"""Stores a digest of the spec for kopf's change detection, instead of a copy.

A copy of the spec in an annotation could exceed the limit of all annotations together (262144 bytes), and would be
written to disk with every change. The old spec is never read: a pass compares with the container.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

import kopf

from controller import names


class SpecDigest(kopf.AnnotationsDiffBaseStorage):
    """Detects changes by a digest of the spec; ignores labels and annotations."""

    def __init__(self) -> None:
        super().__init__(prefix=names.GROUP, v1=False)

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """The essence of a body: equal for equal specs. ``extra_fields`` belongs to kopf's interface and is unused."""
        del extra_fields
        text = json.dumps(dict(body.get("spec") or {}), sort_keys=True)
        return cast("kopf.BodyEssence", {"spec": {"sha256": hashlib.sha256(text.encode()).hexdigest()}})
