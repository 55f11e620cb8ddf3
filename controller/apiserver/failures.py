"""Failure responses in Kubernetes' own words (API reference: meta/v1 Status)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.apiserver.kinds.resources import Resource
from controller.apiserver.schemas.causes import Cause


class Failure(Exception):  # noqa: N818 - a response, raised to end a request
    """Ends a request with a failure Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: int = 0,
        continue_: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details
        self.retry_after = retry_after  # seconds; 0 sends no Retry-After
        self.continue_ = continue_  # token with which the client may continue an expired list

    def status(self) -> dict[str, Any]:
        """The Status object."""
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_} if self.continue_ else {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }
        advice = {"retryAfterSeconds": self.retry_after} if self.retry_after else {}
        details = {**(self.details or {}), **advice}
        return {**body, "details": details} if details else body


class NotFound(Failure):
    """The object does not exist."""


class AlreadyExists(Failure):
    """The object to create exists already."""


def _details(resource: Resource, name: str) -> dict[str, Any]:
    # Kubernetes, too, puts the plural into this field, whatever its name says.
    details = {"name": name, "kind": resource.plural}
    return {**details, "group": resource.group} if resource.group else details


def not_found(resource: Resource, name: str) -> Failure:
    """404 for one object."""
    return NotFound(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def already_exists(resource: Resource, name: str) -> Failure:
    """409 for a create."""
    message = f'{resource.qualified} "{name}" already exists'
    return AlreadyExists(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> Failure:
    """409 for a write based on a stale version."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return Failure(409, "Conflict", message, _details(resource, name))


def conflict_of_kind(resource: Resource, name: str, why: str) -> Failure:
    """409 for a delete whose preconditions match another object; names the kind."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _details(resource, name) | {"kind": resource.kind}
    return Failure(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": {why}', details)


def precondition(resource: Resource, name: str, field: str, expected: str, actual: str) -> Failure:
    """409 for a write whose uid or resourceVersion precondition fails."""
    label, guess = {
        "uid": ("UID", "deleted and then recreated"),
        "resourceVersion": ("ResourceVersion", "modified"),
    }[field]
    why = (
        f"the {label} in the precondition ({expected}) does not match the {label} in record ({actual}). "
        f"The object might have been {guess}"
    )
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _details(resource, name) | {"kind": resource.kind}
    return Failure(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": {why}', details)


def invalid(resource: Resource, name: str, causes: list[Cause]) -> Failure:
    """422 listing every cause."""
    lines = [f"{cause.field}: {cause.message}" for cause in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = _details(resource, name) | {
        "kind": resource.kind,
        "causes": [cause._asdict() for cause in causes],
    }
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return Failure(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def version_required(resource: Resource, name: str) -> Failure:
    """422 for an update without a resourceVersion."""
    cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")
    details = {**_details(resource, name), "causes": [cause._asdict()]}
    message = f'{resource.qualified} "{name}" is invalid: {cause.field}: {cause.message}'
    return Failure(422, "Invalid", message, details)


def invalid_options(kind: str, causes: list[Cause]) -> Failure:
    """422 for options that contradict each other."""
    lines = [f"{cause.field}: {cause.message}" for cause in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = {"group": "meta.k8s.io", "kind": kind, "causes": [cause._asdict() for cause in causes]}
    return Failure(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {text}', details)


def bad_request(message: str) -> Failure:
    """400."""
    return Failure(400, "BadRequest", message)


def internal(message: str) -> Failure:
    """500: a bug, or a disk error."""
    return Failure(500, "InternalError", f"Internal error occurred: {message}")


def apply_conflict(resource: Resource, name: str, message: str, causes: list[dict[str, Any]]) -> Failure:
    """409 for a server-side apply that conflicts with other field managers."""
    return Failure(409, "Conflict", message, {**_details(resource, name), "causes": causes})


def forbidden(resource: Resource, name: str, why: str, cause: Cause | None = None) -> Failure:
    """403."""
    details = _details(resource, name)
    if cause:
        details["causes"] = [cause._asdict()]
    return Failure(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details)


def method_not_allowed() -> Failure:
    """405."""
    return Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_for_this_api(resource: Resource) -> Failure:
    """405 for writing kinds that have no effect on a host without pods, Services and the like."""
    return Failure(
        405,
        "MethodNotAllowed",
        f"{resource.qualified} are read-only here: this API serves a single host and runs Runtimes, not pods; "
        "for anything else use a Kubernetes cluster",
    )


def not_acceptable(why: str) -> Failure:
    """406: the client accepts none of the available media types."""
    return Failure(406, "NotAcceptable", why)


def unsupported_media(accepted: Iterable[str]) -> Failure:
    """415."""
    message = "the body of the request was in an unknown format - accepted media types include: "
    return Failure(415, "UnsupportedMediaType", message + ", ".join(accepted))


def unsupported_encoding() -> Failure:
    """415 for a compressed body, which Kubernetes does not accept either."""
    return Failure(415, "UnsupportedMediaType", "the body of the request is compressed; send it uncompressed")


def unknown_path() -> Failure:
    """404 for an unknown path."""
    return NotFound(404, "NotFound", "the server could not find the requested resource")


def unusable_patch(code: int, error: ValueError) -> Failure:
    """400, 413 or 422 for a patch that cannot be applied."""
    reason = {400: "BadRequest", 413: "RequestEntityTooLarge"}.get(code, "Invalid")
    return Failure(code, reason, f"the server rejected our request due to an error in our request: {error}")


def unbounded(error: ValueError) -> Failure:
    """413 for an object that grew too large, e.g. through defaults."""
    return Failure(413, "RequestEntityTooLarge", f"the object is too large: {error}")


def expired(revision: int, oldest: int) -> Failure:
    """410: the client must list again."""
    return Failure(410, "Expired", f"too old resource version: {revision} ({oldest})")


def list_expired() -> Failure:
    """410 for a list at an exact revision."""
    return Failure(410, "Expired", "The resourceVersion for the provided list is too old.")


def too_large_version(revision: int, current: int) -> Failure:
    """504: the revision does not exist yet."""
    # client-go's reflector recognizes this cause and then lists without a resourceVersion.
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {revision}, current: {current}"
    return Failure(504, "Timeout", message, {"causes": [cause]}, retry_after=1)


def continue_expired(inconsistent: str) -> Failure:
    """410: the client restarts the list, or continues with this token at the current revision."""
    return Failure(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. Start a new list without it, "
        "or continue with the token in this response to get the rest at the current revision.",
        continue_=inconsistent,
    )


def undeclared(resource: Resource, metadata: dict[str, Any], fields: list[str]) -> Failure:
    """400: an applied configuration has fields that are not in the schema. Kubernetes responds with 500 here."""
    causes = [f".{field}: field not declared in schema" for field in fields]
    listed = causes[0] if len(causes) == 1 else "errors:" + "".join(f"\n  {line}" for line in causes)
    named = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    kind = f"{resource.api_version}, Kind={resource.kind}"
    return bad_request(f"failed to create typed patch object ({named}; {kind}): {listed}")


def manager_required() -> Failure:
    """422 for an apply without a field manager."""
    cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
    return invalid_options("PatchOptions", [cause])


def too_large(limit: int) -> Failure:
    """413."""
    return Failure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def timed_out() -> Failure:
    """504: the request timed out; a write that it started may still succeed."""
    return Failure(504, "Timeout", "Timeout: request did not complete within the allotted timeout")


def too_many_requests(retry_after: int) -> Failure:
    """429."""
    message = "too many requests, please try again later"
    return Failure(429, "TooManyRequests", message, retry_after=retry_after)


def stopping(retry_after: int) -> Failure:
    """503: the server is shutting down."""
    message = "the server is shutting down, please try again later"
    return Failure(503, "ServiceUnavailable", message, retry_after=retry_after)


def success(resource: Resource, item: dict[str, Any]) -> dict[str, Any]:
    """The success Status for a deleted object."""
    details = _details(resource, item["metadata"]["name"]) | {"uid": item["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
