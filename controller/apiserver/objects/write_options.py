"""Options of a write (API reference: CreateOptions, UpdateOptions, PatchOptions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.apiserver import failures
from controller.apiserver.schemas.causes import Cause

MANAGER_LENGTH = 128
VALIDATIONS = ("Strict", "Warn", "Ignore")


@dataclass(frozen=True)
class WriteOptions:
    """How to write."""

    manager: str = "unknown"
    dry: bool = False
    validation: str = "Warn"  # of unknown and duplicate fields: Strict, Warn or Ignore
    force: bool = False
    subresource: str = ""
    necessary: bool = False  # write even on a full disk
    duplicates: tuple[str, ...] = ()  # messages about duplicate fields of the body


def of_write(query: Mapping[str, str], user_agent: str, subresource: str = "") -> WriteOptions:
    """Read the options from a query. Raises failures.Failure (400, 422)."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in VALIDATIONS:
        raise failures.bad_request(f'fieldValidation: Unsupported value: "{validation}"')
    if query.get("dryRun", "All") not in ("All", ""):
        raise failures.bad_request(f'dryRun: Unsupported value: "{query["dryRun"]}": supported values: "All"')
    return WriteOptions(
        _manager(query, user_agent), query.get("dryRun") == "All", validation, query.get("force") == "true", subresource
    )


def _manager(query: Mapping[str, str], user_agent: str) -> str:
    """The field manager: the given name, or the first part of the User-Agent."""
    given = query.get("fieldManager", "")
    if len(given) > MANAGER_LENGTH:
        why = f"Too long: may not be more than {MANAGER_LENGTH} bytes"
        raise failures.invalid_options("PatchOptions", [Cause("FieldValueTooLong", why, "fieldManager")])
    if not given.isprintable():
        why = "Invalid value: should only contain printable characters"
        raise failures.invalid_options("PatchOptions", [Cause("FieldValueInvalid", why, "fieldManager")])
    named = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return given or named[:MANAGER_LENGTH] or "unknown"
