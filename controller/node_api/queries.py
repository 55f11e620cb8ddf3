"""The queries a leader sends to a node over HTTPS: one POST per query, JSON in both directions. No I/O.

The table is derived from node.Node: client and server read it, so a method there is all that a new query needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from controller.node_api.node import Node

PATH = "/v1/"
LIMIT = 16 << 20  # bytes of a query: run_command carries up to 8 MiB of text, and files as base64
ANSWER_LIMIT = 4 << 20  # bytes of an answer: the body of a response is at most 0.7 MB, each curve of a usage 0.1 MB
REFUSED = 422  # the query was understood, and its result is an error

# An older node must refuse a parameter that it does not know, not ignore it.
_AS_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Query:
    """One method of Node: its parameters as a model, and its result. ``name`` is the name of the method."""

    name: str
    signature: inspect.Signature
    parameters: type[BaseModel]
    result: TypeAdapter[Any]

    @classmethod
    def of(cls, method: Callable[..., Any]) -> Query:
        """Derive the query from the annotations of a method; a parameter without a default is required."""
        # The annotations are texts (PEP 563), which get_type_hints resolves.
        signature, types = inspect.signature(method), get_type_hints(method)
        fields: dict[str, Any] = {
            name: (types[name], ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in signature.parameters.items()
            if name != "self"
        }
        model = create_model(method.__name__, __config__=_AS_BASE64, **fields)
        return cls(method.__name__, signature, model, TypeAdapter(types["return"]))

    def bind(self, *positional: Any, **named: Any) -> BaseModel:
        """The parameters of one call. Raises TypeError as the method itself would."""
        arguments = self.signature.bind(None, *positional, **named).arguments
        return self.parameters(**{name: value for name, value in arguments.items() if name != "self"})


TABLE = {
    name: Query.of(method)
    for name, method in vars(Node).items()
    if inspect.iscoroutinefunction(method) and not name.startswith("_")
}
