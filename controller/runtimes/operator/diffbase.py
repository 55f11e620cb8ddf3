"""What kopf remembers of a Runtime to see that its spec changed: a digest instead of a copy.

A copy of the spec in an annotation may be larger than all annotations together may be (262144 bytes), and would be
written to the disk with every change. Nobody reads the old spec: a pass compares with the container.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

import kopf

from controller import names


class SpecDigest(kopf.AnnotationsDiffBaseStorage):
    """Keeps the digest of the spec; labels and annotations are not looked at."""

    def __init__(self) -> None:
        super().__init__(prefix=names.GROUP, v1=False)

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """The essence of a body: equal for equal specs. (The other parameter is kopf's, and means nothing here.)"""
        del extra_fields
        text = json.dumps(dict(body.get("spec") or {}), sort_keys=True)
        return cast("kopf.BodyEssence", {"spec": {"sha256": hashlib.sha256(text.encode()).hexdigest()}})
