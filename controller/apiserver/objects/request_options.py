"""Options of lists, watches and writes, from the query of a request (API reference: ListOptions, PatchOptions, ...)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from controller.apiserver import failures
from controller.apiserver.flags import flag
from controller.apiserver.schemas.causes import Cause

WATCH_SECONDS = 1800.0
LONGEST_WATCH_SECONDS = 3600.0  # permissions are checked only when a watch begins
NOW = -1  # a continued list at the current revision, not at that of its first page
# SQLite's integers have 64 bits; a larger revision would be an error in the query instead of a bad request.
LAST = 1 << 63
EXACT, NOT_OLDER = "Exact", "NotOlderThan"


class Continue(NamedTuple):
    """Where a list continues: at which revision, after which namespace and name."""

    revision: int
    namespace: str
    name: str

    def encode(self) -> str:
        """Encode as ``metadata.continue``, which is opaque to clients."""
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode()


@dataclass(frozen=True)
class ListOptions:
    """What to list, and the page size."""

    label: str
    field: str
    limit: int  # 0: unlimited
    start: Continue | None
    at: int  # revision of an exact list; 0: current
    least: int  # minimum revision of the answer


@dataclass(frozen=True)
class WatchOptions:
    """What to watch, from which revision, and how long."""

    label: str
    field: str
    since: int  # 0: from now, with existing objects first unless ``initial`` is False
    seconds: float
    bookmarks: bool
    initial: bool | None  # send existing objects first, also with ``since``


def of_list(query: Mapping[str, str]) -> ListOptions:
    """Read the options from a query. Raises failures.Failure (400, 422)."""
    _check(query, watch=False)
    version, limit = _revision(query), max(0, _number(query, "limit"))
    _number(query, "timeoutSeconds")
    start = _continue(query.get("continue", ""))
    # A token already contains its revision.
    if start and version:
        raise failures.bad_request("specifying resource version is not allowed when using continue")
    match = query.get("resourceVersionMatch", "")
    # With a limit, Kubernetes reads an unqualified resourceVersion as an exact one: pages need one revision.
    exact = match == EXACT or (not match and limit > 0 and version > 0)
    if query.get("resourceVersion") == "0" and not start:
        limit = 0  # Kubernetes serves these from its watch cache, unpaged
    least = 0 if exact else version
    return ListOptions(
        query.get("labelSelector", ""), query.get("fieldSelector", ""), limit, start, version if exact else 0, least
    )


def of_watch(query: Mapping[str, str]) -> WatchOptions:
    """Read the options from a query. Raises failures.Failure (400, 422)."""
    _check(query, watch=True)
    return WatchOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        _revision(query),
        min(float(_number(query, "timeoutSeconds")) or WATCH_SECONDS, LONGEST_WATCH_SECONDS),
        flag(query, "allowWatchBookmarks"),
        flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
    )


def revision_of(query: Mapping[str, str]) -> int:
    """The minimum revision of a get. Raises failures.Failure (400)."""
    return _revision(query)


def _check(query: Mapping[str, str], *, watch: bool) -> None:
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    initial, follows = "sendInitialEvents" in query, bool(query.get("continue"))
    rules = (_watch_rules if watch else _list_rules)(version, match, initial, follows)
    if causes := [Cause(reason, message, field) for broken, reason, field, message in rules if broken]:
        raise failures.invalid_options("ListOptions", causes)


Rules = tuple[tuple[bool, str, str, str], ...]
FORBIDDEN, UNSUPPORTED, MATCH = "FieldValueForbidden", "FieldValueNotSupported", "resourceVersionMatch"


def _list_rules(version: str, match: str, initial: bool, follows: bool) -> Rules:
    known = (EXACT, NOT_OLDER, "")
    return (
        (initial, FORBIDDEN, "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list"),
        (bool(match) and not version, FORBIDDEN, MATCH,
         "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (bool(match) and follows, FORBIDDEN, MATCH,
         "Forbidden: resourceVersionMatch is forbidden when continue is provided"),
        (match not in known, UNSUPPORTED, MATCH,
         f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'),
        (match == EXACT and version == "0", FORBIDDEN, MATCH,
         'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    )  # fmt: skip


def _watch_rules(_: str, match: str, initial: bool, follows: bool) -> Rules:
    return (
        (initial and match != NOT_OLDER, FORBIDDEN, MATCH,
         "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (bool(match) and not initial, FORBIDDEN, MATCH,
         "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
        (match not in (NOT_OLDER, ""), UNSUPPORTED, MATCH,
         f'Unsupported value: "{match}": supported values: "NotOlderThan"'),
        (follows, FORBIDDEN, MATCH, "Forbidden: resourceVersionMatch is forbidden when continue is provided"),
    )  # fmt: skip


def _revision(query: Mapping[str, str]) -> int:
    text = query.get("resourceVersion") or "0"
    # A bound on the length, because int() takes quadratic time; 18 digits fit into SQLite's 64 bits.
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise failures.bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}"')
    return int(text)


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not (text.isascii() and text.removeprefix("-").isdecimal()) or len(text) > 18:
        raise failures.bad_request(f'{name}: Invalid value: "{text}": must be a whole number')
    return int(text)


def _continue(token: str) -> Continue | None:
    if not token:
        return None
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
    # The token comes back from the client, who may have written it.
    except (ValueError, TypeError, RecursionError) as error:
        raise failures.bad_request("invalid continue token: continue key is not valid") from error
    # type(), because True is an int to isinstance.
    if type(revision) is not int or not NOW <= revision < LAST or not {type(namespace), type(name)} == {str}:
        raise failures.bad_request("invalid continue token: continue key is not valid")
    return Continue(revision, namespace, name)


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
    keeps_status: bool = False  # of a new object, instead of removing it
    duplicates: tuple[str, ...] = ()  # messages about duplicate fields of the body


def of_write(query: Mapping[str, str], user_agent: str, subresource: str = "") -> WriteOptions:
    """Read the options from a query. Raises failures.Failure (400, 422)."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in VALIDATIONS:
        raise failures.bad_request(f'fieldValidation: Unsupported value: "{validation}"')
    if query.get("dryRun", "All") not in ("All", ""):
        raise failures.bad_request(f'dryRun: Unsupported value: "{query["dryRun"]}": supported values: "All"')
    dry, force = query.get("dryRun") == "All", flag(query, "force")
    return WriteOptions(_field_manager(query, user_agent), dry, validation, force, subresource)


def _field_manager(query: Mapping[str, str], user_agent: str) -> str:
    """The field manager: the given name, or the first part of the User-Agent."""
    given = query.get("fieldManager", "")
    if len(given) > MANAGER_LENGTH:
        why = f"Too long: may not be more than {MANAGER_LENGTH} bytes"
        raise failures.invalid_options("PatchOptions", [Cause("FieldValueTooLong", why, "fieldManager")])
    # The manager becomes a part of messages and log lines.
    if not given.isprintable():
        why = "Invalid value: should only contain printable characters"
        raise failures.invalid_options("PatchOptions", [Cause("FieldValueInvalid", why, "fieldManager")])
    named = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return given or named[:MANAGER_LENGTH] or "unknown"
