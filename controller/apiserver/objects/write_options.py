"""What a write asks for beside its object (API reference: CreateOptions, UpdateOptions, PatchOptions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.apiserver import failures

MANAGER_LENGTH = 128
VALIDATIONS = ("Strict", "Warn", "Ignore")


@dataclass(frozen=True)
class WriteOptions:
    """How to write."""

    manager: str = "unknown"
    dry: bool = False
    validation: str = "Warn"  # of unknown fields: Strict, Warn or Ignore
    force: bool = False
    subresource: str = ""
    necessary: bool = False  # also on a full disk
    duplicates: tuple[str, ...] = ()  # fields that the body has twice, in words


def of_write(query: Mapping[str, str], user_agent: str, subresource: str = "") -> WriteOptions:
    """From a query. Raises failures.Failure (400)."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in VALIDATIONS:
        raise failures.bad_request(f'fieldValidation: Unsupported value: "{validation}"')
    if query.get("dryRun", "All") not in ("All", ""):
        raise failures.bad_request(f'dryRun: Unsupported value: "{query["dryRun"]}": supported values: "All"')
    manager = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
    return WriteOptions(
        manager[:MANAGER_LENGTH], query.get("dryRun") == "All", validation, query.get("force") == "true", subresource
    )
