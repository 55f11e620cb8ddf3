"""The exception hierarchy. Exceptions of libraries are wrapped into these where the library is called.

    EdgeError
    ├── SettingError            a setting is malformed: the start fails with this message
    ├── IdentityError           certificate or key missing, damaged or expired: the cloud link waits
    ├── LinkError               the cloud is unreachable or refuses the connection
    ├── CleanupError            an uninstallation left something behind
    ├── CommandError            a cloud command is refused: becomes its error answer
    │   └── ContractError       ... because its message violates the contract (lists every fault)
    ├── ApiError                the Kubernetes API answered with a failure Status
    │   ├── NotFoundError  ├── ConflictError  ├── AlreadyExistsError  ├── InvalidError
    │   ├── ExpiredError (410)
    │   └── ApiUnavailableError (no answer, 429, 5xx: retry)
    │       ├── DiskFullError   ... because the disk of the API is full (507)
    │       └── NotServedError  ... because the API does not serve the kind at present (404)
    └── ReconcileError          a reconcile pass ended before the desired state; has a reason of api/reasons.py
        ├── Waiting             something is missing that will appear: Reconciling=True, counted as waiting
        ├── Retry               a step failed: Reconciling=True, own backoff
        └── Stalled             a person must act: Stalled=True, still retried by the resync

Every message is one sentence that a person can act on. No message contains a secret.
"""

from __future__ import annotations

from typing import NamedTuple


class EdgeError(Exception):
    """Base class of all errors of this project; ``str()`` is the message for a person."""


class SettingError(EdgeError):
    """A setting is malformed; the message names the setting and the remedy."""


class IdentityError(EdgeError):
    """The client certificate or key cannot be used."""


class LinkError(EdgeError):
    """The link to the cloud cannot be established or was lost."""


class CleanupError(EdgeError):
    """An uninstallation left something behind, which the message names."""


class CommandError(EdgeError):
    """A cloud command is refused; the message is the ``error`` of its answer."""


class Fault(NamedTuple):
    """One fault of a message: the path of the field (``vnic_configs[0].ip``) and what is wrong with it."""

    field: str
    error: str


class ContractError(CommandError):
    """A message violates its contract.

    ``faults`` lists every fault, in the order of the message's fields.
    """

    def __init__(self, message: str, faults: list[Fault]) -> None:
        super().__init__(message)
        self.faults = faults


class ApiError(EdgeError):
    """The Kubernetes API answered with a failure ``Status`` (API reference: meta/v1 Status)."""

    def __init__(self, message: str, *, code: int = 500, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NotFoundError(ApiError):
    """404."""


class ConflictError(ApiError):
    """409 Conflict: resourceVersion or uid is outdated; read again and retry."""


class AlreadyExistsError(ApiError):
    """409 AlreadyExists."""


class InvalidError(ApiError):
    """400 or 422: the object violates the schema or a validation rule."""


class ExpiredError(ApiError):
    """410: the requested revision was compacted; list again."""


class ApiUnavailableError(ApiError):
    """No answer, 429 or 5xx; try again later."""


class DiskFullError(ApiUnavailableError):
    """507 DiskFull: the API's disk has no room for this write; reads, status updates and deletes still work."""


class NotServedError(ApiUnavailableError):
    """404 for a whole kind, or from something else than the API, such as a proxy: it says nothing about an object.

    While a CustomResourceDefinition is missing, every Runtime would otherwise seem to be gone.
    """


class ReconcileError(EdgeError):
    """A reconcile pass ended before the desired state was reached; ``reason`` is one of api/reasons.py."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Waiting(ReconcileError):  # noqa: N818 - an outcome, named as the conditions name it
    """Something is missing that will appear without a change of the spec (parent interface, image, engine)."""


class Retry(ReconcileError):  # noqa: N818
    """A step failed and may succeed when retried."""


class Stalled(ReconcileError):  # noqa: N818
    """A person must act; the resync still retries."""
