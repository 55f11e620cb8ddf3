"""Reads the Secrets of a Runtime: registry credentials, and the values of ``spec.env[].valueFrom``.

Values are never logged, labelled or stored. A changed Secret restarts nothing: it takes effect in the next container.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from controller import errors
from controller.api import reasons, runtimes
from controller.backends import base
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

log = logging.getLogger(__name__)

PULL_SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type's name, not a secret
DOCUMENT = ".dockerconfigjson"
VALUE_LIMIT = 120_000  # bytes; Linux takes 128 KiB with the name (execve(2): MAX_ARG_STRLEN)
_CREATING_STEPS = {base.Step.CREATE_CONTAINER, base.Step.REPLACE_CONTAINER}


async def pull_credentials(
    api: ApiClient, namespace: str, references: Iterable[runtimes.SecretReference]
) -> tuple[dict[str, str], ...]:
    """One entry (registry, username, password) per registry of each Secret.

    Skips a Secret that is missing, malformed or may not be read, as Kubernetes does: the image may be public or already
    on the host, and otherwise the pull fails with the registry's own message. Raises errors.ApiUnavailableError.
    """
    found: list[dict[str, str]] = []
    for reference in references:
        try:
            found += _credentials(await api.get(core_kinds.SECRETS, reference.name, namespace))
        except errors.ApiUnavailableError:
            raise
        except errors.ApiError as error:
            log.warning("Cannot read the Secret %s/%s: %s%s", namespace, reference.name, error, _remedy(error))
        # The content of a Secret is free text: each of these is a malformed document.
        except (KeyError, ValueError, TypeError, AttributeError):
            log.warning("Secret %s/%s is not of type %s", namespace, reference.name, PULL_SECRET_TYPE)
    return tuple(found)


def _credentials(secret: dict[str, Any]) -> list[dict[str, str]]:
    document = json.loads(base64.b64decode(secret["data"][DOCUMENT])) if secret.get("type") == PULL_SECRET_TYPE else {}
    if "auths" not in document:
        raise ValueError("no auths")
    return [_entry(registry, auth) for registry, auth in document["auths"].items()]


def _entry(registry: str, auth: dict[str, str]) -> dict[str, str]:
    """``auth`` is base64 of user:password; the fields username and password override it (Docker's config.json)."""
    user, _, password = base64.b64decode(auth.get("auth", "")).decode().partition(":")
    return {
        "registry": registry,
        "username": auth.get("username") or user,
        "password": auth.get("password") or password,
    }


async def with_secret_env(api: ApiClient, steps: Iterable[base.Step], target: base.Target) -> base.Target:
    """The target with the values that the steps need.

    Call it before the first step, so that a missing Secret does not stop a running container. Raises
    errors.Waiting(SECRET_MISSING) that names the Secret or key, and errors.ApiError.
    """
    references = {
        variable.name: variable.value_from.secret_key_ref for variable in target.spec.env if variable.value_from
    }
    if not references or not set(steps) & _CREATING_STEPS:
        return target
    return replace(target, secret_env=await _read_values(api, target.identity.namespace, references))


async def _read_values(
    api: ApiClient, namespace: str, references: Mapping[str, runtimes.SecretKeySelector]
) -> dict[str, str]:
    secrets: dict[str, dict[str, Any] | None] = {}
    values: dict[str, str] = {}
    for variable, reference in references.items():
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
    except errors.ApiError as error:
        if remedy := _remedy(error):
            message = f"The controller may not read the Secret {namespace}/{name}{remedy}"
            raise errors.Waiting(reasons.SECRET_MISSING, message) from error
        raise


def _remedy(error: errors.ApiError) -> str:
    """What to do about a Secret that a node of a cluster may not read; it may read those that the chart names."""
    return ": add its name to runtimeSecrets of the chart" if error.code == HTTPStatus.FORBIDDEN else ""


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
        # Refused like a null character, which no variable can contain (execve(2)).
        text = "\0"
    if "\0" in text or len(text.encode()) > VALUE_LIMIT:
        raise errors.Waiting(
            reasons.SECRET_MISSING,
            f"The {what} cannot be an environment variable: give text of at most {VALUE_LIMIT} bytes",
        ) from None
    return text
