"""The entries of a merged kubeconfig, changed to what the ``kubernetes`` package handles as kubectl does."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from controller import files

HINT_LIMIT = 300  # characters
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")

Entry = dict[str, Any]


class UnusableError(Exception):
    """The configuration cannot be used; the message is one sentence that names the remedy, and has no secrets."""


def entry(merged: Any, section: str, name: str | None, key: str) -> Any:
    """The named entry's node, whose ``path`` is the file it is in."""
    entries = merged.value[section]
    node = next((each for each in entries if each.value["name"] == name), None)
    if node is None:
        known = ", ".join(sorted(str(each.value["name"]) for each in entries)) or "none"
        raise UnusableError(f"it has no {key} {name} (there are: {known}): correct the current context")
    if not isinstance(node.value.get(key), dict):
        raise UnusableError(f"its {key} {name} is empty: complete it")
    return node[key]


def prepare(cluster: Any, user: Any) -> str:
    """Change the entries to what the package handles correctly; return the path of the token file, or ""."""
    _make_absolute(cluster, "certificate-authority")
    proxy = cluster.value.get("proxy-url")
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise UnusableError("proxy-url is neither http:// nor https://: use such a proxy")
    if user is None:
        return ""
    if impersonated := [key for key in _IMPERSONATION if user.value.get(key)]:
        raise UnusableError(f"impersonation ({impersonated[0]}) is not supported: use credentials of the user itself")
    # The package takes these relative to the cluster's file, and prefers a token to a token file.
    for key in ("client-certificate", "client-key", "tokenFile"):
        _make_absolute(user, key)
    if user.value.get("tokenFile"):
        user.value.pop("token", None)
    if user.value.get("exec"):
        _prepare_plugin(user)
    provider = (user.value.get("auth-provider") or {}).get("config") or {}
    if not any(key.startswith("idp-certificate-authority") for key in provider):
        # Without a CA the package would send the refresh token and client secret unverified.
        provider["idp-certificate-authority"] = ssl.get_default_verify_paths().cafile
    return str(user.value.get("tokenFile") or "")


def _make_absolute(node: Any, key: str) -> None:
    if node.value.get(key):
        node.value[key] = str(Path(node.path).absolute().parent / node.value[key])


def _prepare_plugin(user: Any) -> None:
    given = user.value["exec"]
    name = str(given["command"])
    # The service has no terminal; IfAvailable and Never work without one.
    if given.get("interactiveMode") == "Always":
        raise UnusableError(f"the credential plugin {name} needs a terminal: use one that does not")
    if os.sep in name:
        _make_absolute(user["exec"], "command")
    # Found here, as the package runs it in the folder of the kubeconfig: "." in PATH must not mean that.
    path = shutil.which(given["command"])
    if path is None:
        hint = " ".join(str(given.get("installHint") or "install it or correct PATH").split())[:HINT_LIMIT]
        raise UnusableError(f"there is no credential plugin {name} that can be executed: {hint}")
    given["command"] = str(Path(path).absolute())


def persister(merger: Any, user: str) -> Callable[[], None]:
    """Store the tokens that a provider replaced, as kubectl does: a refresh token may be valid only once."""

    def users(document: Entry) -> Entry:
        return {each["name"]: each["user"] for each in document.get("users") or ()}

    def persist() -> None:
        path = next(path for path, document in merger.config_files.items() if user in users(document))
        # The file as it was read: what was changed for the package must not be written into it.
        original = merger.config_saved[path]
        new = users(merger.config_files[path])[user]["auth-provider"]["config"]
        tokens = {key: new[key] for key in ("id-token", "refresh-token", "access-token", "expiry") if key in new}
        users(original)[user]["auth-provider"]["config"].update(tokens)
        with contextlib.suppress(OSError):  # the token is usable also where the file is read-only
            files.write_secret(Path(path), yaml.safe_dump(original).encode())

    return persist
