"""What a request asks for beside its object (API reference: CreateOptions, ListOptions, ...)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from controller.apiserver import failures

MANAGER_LENGTH = 128
VALIDATIONS = ("Strict", "Warn", "Ignore")
WATCH_SECONDS = 1800.0
LONGEST_WATCH_SECONDS = 3600.0  # who may watch is looked at when a watch begins


@dataclass(frozen=True)
class WriteOptions:
    """How to write."""

    manager: str = "unknown"
    dry: bool = False
    validation: str = "Warn"  # of unknown fields: Strict, Warn or Ignore
    force: bool = False
    subresource: str = ""
    duplicates: tuple[str, ...] = ()  # fields that the body has twice, in words


class Continue(NamedTuple):
    """Where a list goes on: as of which revision, after which namespace and name."""

    revision: int
    namespace: str
    name: str

    def encode(self) -> str:
        """As ``metadata.continue``; clients take it as opaque."""
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode()


@dataclass(frozen=True)
class ListOptions:
    """What to list, and how much at a time. ``at`` is the revision of an exact list, 0 for now."""

    label: str
    field: str
    limit: int
    start: Continue | None
    at: int


@dataclass(frozen=True)
class WatchOptions:
    """What to watch, and how long."""

    label: str
    field: str
    since: str
    seconds: float
    bookmarks: bool
    initial: bool


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


def of_list(query: Mapping[str, str]) -> ListOptions:
    """From a query. Raises failures.Failure (400)."""
    exact = query.get("resourceVersionMatch") == "Exact"
    return ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        _number(query, "limit"),
        _continue(query.get("continue", "")),
        _number(query, "resourceVersion") if exact else 0,
    )


def of_watch(query: Mapping[str, str]) -> WatchOptions:
    """From a query. Raises failures.Failure (400)."""
    return WatchOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        query.get("resourceVersion", ""),
        min(float(_number(query, "timeoutSeconds")) or WATCH_SECONDS, LONGEST_WATCH_SECONDS),
        query.get("allowWatchBookmarks") in ("true", "1"),
        query.get("sendInitialEvents") in ("true", "1"),
    )


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdecimal() or len(text) > 18:
        raise failures.bad_request(f'{name}: Invalid value: "{text}": must be a whole number')
    return int(text)


def _continue(token: str) -> Continue | None:
    if not token:
        return None
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return Continue(int(revision), str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise failures.bad_request("continue: Invalid value: the token is not one of this server's") from error
