"""``run_command``: one HTTP request to a runtime.

Rejects anything that could redirect the request to another host or smuggle a header.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from controller.cloud.contracts import base
from controller.cloud.contracts.faults import fault
from controller.cloud.contracts.fields import Text
from controller.cloud.contracts.runtimes import Part

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_FIELDS = 64
MAX_FILES = 8

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")  # RFC 9110 section 5.6.2: a token
# A value may contain a tab, but no line break, which would begin another header (RFC 9110 section 5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _method(value: str) -> str:
    if value.upper() not in METHODS:
        raise fault(f"must be one of {', '.join(METHODS)}")
    return value.upper()


def _path(value: str) -> str:
    """A path with an optional query, normalised to start with exactly one slash."""
    # Two slashes at the beginning would be followed by another host (RFC 3986 section 4.2).
    path = "/" + value.strip().lstrip("/")
    if re.match(r"/[A-Za-z][A-Za-z0-9+.-]*:", path) or re.search(r"[\x00-\x20\x7f\\#]", path):
        raise fault("must be a path on the runtime such as /api/status")
    return path


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise fault("must have header names of letters, digits and '-'")
        if _CONTROL.search(text) or len(text) > 4096:
            raise fault("must have header values of one line, at most 4096 characters")
    return value


def _scalars(value: Any) -> dict[str, list[str]]:
    """Query parameters: each is a text, a number, a boolean, or a list of these."""
    if not isinstance(value, dict) or len(value) > MAX_FIELDS:
        raise fault(f"must be an object with at most {MAX_FIELDS} fields")
    return {str(name): [_scalar(v) for v in (vs if isinstance(vs, list) else [vs])] for name, vs in value.items()}


def _scalar(value: Any) -> str:
    # A bool is an int, and its str() is "True".
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise fault("must have texts, numbers, booleans or lists of them as values")


def _content(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise fault("must be base64 text") from None


def _none_as_empty(value: Any) -> Any:
    return {} if value is None else value


def _one_line(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise fault("must be one line of text")
    return value


Line = Annotated[Text, AfterValidator(_one_line)]


class File(Part):
    """One file of a multipart form."""

    filename: Line
    content_base64: Annotated[bytes, PlainValidator(_content)]
    content_type: Line = "application/octet-stream"


class RunCommand(base.DeviceMessage):
    """One request; ``params`` are query parameters, ``files`` make it a multipart form with ``data`` as its fields."""

    method: Annotated[Text, AfterValidator(_method)]
    # No repr, which may reach a log, shows what can hold a login: path, headers and bodies (decision 137).
    api: Annotated[Text, Field(max_length=2048, repr=False), AfterValidator(_path)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    headers: Annotated[
        dict[str, str], BeforeValidator(_none_as_empty), Field(max_length=MAX_FIELDS), AfterValidator(_headers)
    ] = Field(default_factory=dict, repr=False)
    params: Annotated[dict[str, list[str]], BeforeValidator(_none_as_empty), PlainValidator(_scalars)] = Field(
        default_factory=dict, repr=False
    )
    files: Annotated[dict[str, File], BeforeValidator(_none_as_empty), Field(max_length=MAX_FILES)] = Field(
        default_factory=dict, repr=False
    )
    data: Any = Field(default=None, repr=False)

    @field_validator("files")
    @classmethod
    def _plain_field_names(cls, value: dict[str, File]) -> dict[str, File]:
        for name in value:
            _one_line(name)
        return value

    @field_validator("data")
    @classmethod
    def _form_is_an_object(cls, value: Any, info: ValidationInfo) -> Any:
        # files is declared before data, so it has already been validated.
        if info.data.get("files") and value is not None and not isinstance(value, dict):
            raise fault("must be an object when files are sent")
        return value
