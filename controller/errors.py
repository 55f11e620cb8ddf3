"""The error tree. Libraries' errors are wrapped into these at the edge where the library is called.

    EdgeError
    ├── SettingError            a setting is malformed: the start ends with this sentence
    ├── IdentityError           certificate or key missing, damaged, expired: the link waits
    ├── LinkError               the cloud cannot be reached, or refuses us
    ├── CommandError            a cloud command is refused: becomes its error answer
    │   └── ContractError       ... because its message breaks the contract (lists every fault)
    ├── ApiError                the Kubernetes API answered with a failure Status
    │   ├── NotFoundError  ├── ConflictError  ├── AlreadyExistsError  ├── InvalidError
    │   ├── ExpiredError (410)
    │   └── ApiUnavailableError (no answer, 429, 5xx: try again)
    │       └── DiskFullError   ... because the disk of the API is full (507)
    └── ReconcileError          a pass ended without the desired state; carries a reason of api/reasons.py
        ├── Waiting             something is missing that will come: Reconciling=True, counted as waiting
        ├── Retry               a step failed: Reconciling=True, own backoff
        └── Stalled             a person is needed: Stalled=True, still tried by the slow timer

Every message is one sentence that a person can act on. No error carries a secret.
"""

from __future__ import annotations

from typing import NamedTuple


class EdgeError(Exception):
    """Root of all errors of this project; ``str()`` is the sentence for a person."""


class SettingError(EdgeError):
    """A setting is malformed; names the setting and the remedy."""


class IdentityError(EdgeError):
    """The client certificate or key cannot be used; says why."""


class LinkError(EdgeError):
    """The link to the cloud could not be made or was lost."""


class CommandError(EdgeError):
    """A cloud command is refused; the text is the ``error`` of its answer."""


class Fault(NamedTuple):
    """One fault of a message: the path of the field (``vnic_configs[0].ip``) and what is wrong with it."""

    field: str
    error: str


class ContractError(CommandError):
    """A message breaks its contract.

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
    """409 Conflict: the resourceVersion or uid is not the current one; read again and retry."""


class AlreadyExistsError(ApiError):
    """409 AlreadyExists."""


class InvalidError(ApiError):
    """400 or 422: the object breaks the schema or a rule."""


class ExpiredError(ApiError):
    """410: the revision asked for is compacted; list again."""


class ApiUnavailableError(ApiError):
    """No answer, 429 or 5xx; try again later."""


class DiskFullError(ApiUnavailableError):
    """507 DiskFull: the disk under the API has no room for this write; reads, statuses and deletes go on."""


class ReconcileError(EdgeError):
    """A reconcile pass ended before the desired state; ``reason`` is one of api/reasons.py."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Waiting(ReconcileError):  # noqa: N818 - an outcome, named as the conditions name it
    """Something is missing that will come (parent interface, image pull, daemon)."""


class Retry(ReconcileError):  # noqa: N818
    """A step failed and may work when tried again."""


class Stalled(ReconcileError):  # noqa: N818
    """A person is needed; the slow timer still tries again."""
