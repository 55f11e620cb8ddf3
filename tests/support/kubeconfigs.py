"""Writes kubeconfigs and credential plugins, and reads a kubeconfig with embedded credentials without a process."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path
from typing import Any

import yaml

from controller.machinery.endpoint import Endpoint

API_VERSION = "client.authentication.k8s.io/v1"


def document(
    cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, name: str = "edge"
) -> dict[str, Any]:
    """A kubeconfig whose context, cluster and user all have this name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": "https://example.test:6443/", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    """Write it and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def plugin(path: Path, code: str) -> Path:
    """An executable credential plugin with this Python code, which has json, os, sys and time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def printing(**status: Any) -> str:
    """The code of a plugin that prints an ExecCredential with this status."""
    return f"print(json.dumps({{'apiVersion': '{API_VERSION}', 'kind': 'ExecCredential', 'status': {status!r}}}))"


def executing(command: Path | str, **options: Any) -> dict[str, Any]:
    """A user with this credential plugin."""
    return {"exec": {"apiVersion": API_VERSION, "command": str(command), "interactiveMode": "IfAvailable", **options}}


def encoded(path: Path) -> str:
    """Encode a file as in a kubeconfig."""
    return base64.b64encode(path.read_bytes()).decode()


def embedded(config: dict[str, Any]) -> Endpoint:
    """The endpoint of a kubeconfig that the embedded API wrote: everything is in it."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    data = {key: base64.b64decode(text).decode() for key, text in (cluster | user).items() if key.endswith("-data")}
    pair = data.get("client-certificate-data", ""), data.get("client-key-data", "")
    return Endpoint(
        cluster["server"],
        ca_data=data["certificate-authority-data"],
        client_data="\n".join(pair) if all(pair) else None,
        token=user.get("token"),
    )
