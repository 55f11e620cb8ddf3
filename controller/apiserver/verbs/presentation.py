"""How responses and watches show stored objects: in the requested version of the API, and in a view of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver import texts
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import admission
from controller.apiserver.texts import Json, Kept

Object = dict[str, Any]
View = Callable[[Resource, Object], Object]
"""Represents an object as a response shows it."""


def shown(resource: Resource, item: Object) -> Object:
    """The stored object in the requested API version, with defaults added to the schema since it was written."""
    item = resource.present(item)
    written = item["metadata"].get("resourceVersion")  # none yet in a dry run
    # Objects written since have the defaults already, and adapting one copies it.
    if written and int(written) < resource.defined_at:
        item = admission.adapted_to_schema(resource, item)
    return item if item.get("apiVersion") == resource.api_version else {**item, "apiVersion": resource.api_version}


def listed(resource: Resource, one: Kept, *, parse: bool) -> Object | Json:
    """A stored object as ``shown``, or its JSON if that needs no parsing and ``parse`` is False."""
    if not parse and resource.shows_what_is_stored and one.revision >= resource.defined_at:
        text = one.text
        # With its fields in another order, parsing it tells.
        if text.startswith(f'{{"apiVersion":"{resource.api_version}",'):
            return Json(text)
    return shown(resource, one.parsed())


def text(resource: Resource, stored: Object, view: View = lambda _, item: item) -> str:
    """The JSON of a stored object in the view. Raises failures.Failure (406)."""
    return texts.of(view(resource, shown(resource, stored)))
