"""Reads registry credentials from Secrets of type kubernetes.io/dockerconfigjson. Never logs or stores them."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable
from typing import Any

from controller import errors
from controller.api import runtimes
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

log = logging.getLogger(__name__)

SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type's name, not a secret
DOCUMENT = ".dockerconfigjson"


async def read(
    api: ApiClient, namespace: str, references: Iterable[runtimes.SecretReference]
) -> tuple[dict[str, str], ...]:
    """One entry (registry, username, password) per registry of each Secret.

    Skips a missing or malformed Secret, as Kubernetes does: the image may be public or already on the host, and
    otherwise the pull fails with the registry's own message. Raises errors.ApiUnavailableError.
    """
    found: list[dict[str, str]] = []
    for reference in references:
        try:
            found += _credentials(await api.get(core_kinds.SECRETS, reference.name, namespace))
        except (errors.NotFoundError, KeyError, ValueError, TypeError, AttributeError):
            log.warning("Secret %s/%s is missing or not of type %s", namespace, reference.name, SECRET_TYPE)
    return tuple(found)


def _credentials(secret: dict[str, Any]) -> list[dict[str, str]]:
    document = json.loads(base64.b64decode(secret["data"][DOCUMENT])) if secret.get("type") == SECRET_TYPE else {}
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
