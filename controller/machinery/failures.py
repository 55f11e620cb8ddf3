"""Maps a failure ``Status`` of the API to our errors (API reference: meta/v1 Status)."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from controller import errors, names

TEXT_LIMIT = 500  # characters of a response that is not a Status, such as a proxy's error page

_CLASSES = {
    400: errors.InvalidError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    410: errors.ExpiredError,
    422: errors.InvalidError,
    429: errors.ApiUnavailableError,
}


async def raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Raise the error for a response that is a failure."""
    if response.status < 400:
        return
    text = await response.text(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": f"{response.url.path}: {text[:TEXT_LIMIT].strip() or response.reason}"}
    # The status line decides: the body may come from a proxy, with another code or none.
    raise from_status({**status, "code": response.status})


def from_status(status: dict[str, Any]) -> errors.ApiError:
    """Return the error for a ``Status``, with its message unchanged."""
    code, reason = _code(status), str(status.get("reason") or "")
    message = str(status.get("message") or f"the Kubernetes API answered {code} {reason}".rstrip())
    kind = errors.NotServedError if code == 404 and not _names_object(status) else _class_of(code, reason)
    return kind(message, code=code, reason=reason)


def _names_object(status: dict[str, Any]) -> bool:
    """Whether the failure is about one object: the API names it (API reference: meta/v1 StatusDetails)."""
    details = status.get("details")
    return isinstance(details, dict) and bool(details.get("name"))


def _code(status: dict[str, Any]) -> int:
    code = status.get("code")
    return code if isinstance(code, int) and code >= 400 else 500


def _class_of(code: int, reason: str) -> type[errors.ApiError]:
    # Both are 409, but only a conflict is worth another try with what is read then.
    if reason == "AlreadyExists":
        return errors.AlreadyExistsError
    # Before the code, which is a 507: callers handle a full disk differently from other outages.
    if reason == names.DISK_FULL:
        return errors.DiskFullError
    return errors.ApiUnavailableError if code >= 500 else _CLASSES.get(code, errors.ApiError)
