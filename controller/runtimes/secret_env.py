"""Reads the values of ``spec.env[].valueFrom`` before a container is created. Never logs, labels or stores them.

A changed Secret restarts nothing: its value takes effect in the next container.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from controller import errors
from controller.api import reasons, runtimes
from controller.backends import base
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

LIMIT = 120_000  # bytes of a value; Linux takes 128 KiB with the name (execve(2): MAX_ARG_STRLEN)
_MAKE_A_CONTAINER = {base.Step.CREATE_CONTAINER, base.Step.REPLACE_CONTAINER}


async def provide(api: ApiClient, steps: Iterable[base.Step], target: base.Target) -> base.Target:
    """The target with the values that the steps need.

    Call it before the first step, so that a missing Secret does not stop a running container. Raises
    errors.Waiting(SECRET_MISSING) that names the Secret or key, and errors.ApiError.
    """
    wanted = {variable.name: variable.value_from.secret_key_ref for variable in target.spec.env if variable.value_from}
    if not wanted or not set(steps) & _MAKE_A_CONTAINER:
        return target
    return replace(target, secret_env=await _read(api, target.identity.namespace, wanted))


async def _read(api: ApiClient, namespace: str, wanted: Mapping[str, runtimes.SecretKeySelector]) -> dict[str, str]:
    secrets: dict[str, dict[str, Any] | None] = {}
    values: dict[str, str] = {}
    for variable, reference in wanted.items():
        if reference.name not in secrets:
            secrets[reference.name] = await _find(api, namespace, reference.name)
        encoded = _encoded(secrets[reference.name], reference, f"{namespace}/{reference.name}")
        if encoded is not None:
            values[variable] = _text(encoded, f"key {reference.key} of the Secret {namespace}/{reference.name}")
    return values


async def _find(api: ApiClient, namespace: str, name: str) -> dict[str, Any] | None:
    try:
        return (await api.get(core_kinds.SECRETS, name, namespace)).get("data") or {}
    except errors.NotFoundError:
        return None


def _encoded(data: dict[str, Any] | None, reference: runtimes.SecretKeySelector, secret: str) -> str | None:
    """The value in base64; None if it is optional and missing."""
    if data is not None and reference.key in data:
        return str(data[reference.key])
    if reference.optional:
        return None
    missing = f"There is no Secret {secret}" if data is None else f"The Secret {secret} has no key {reference.key}"
    raise errors.Waiting(reasons.SECRET_MISSING, f"{missing}, which spec.env refers to: create it")


def _text(encoded: str, what: str) -> str:
    try:
        text = base64.b64decode(encoded).decode()
    except ValueError:
        text = "\0"
    if "\0" in text or len(text.encode()) > LIMIT:
        raise errors.Waiting(
            reasons.SECRET_MISSING, f"The {what} cannot be an environment variable: give text of at most {LIMIT} bytes"
        ) from None
    return text
