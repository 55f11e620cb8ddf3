"""URL and credentials of a Kubernetes API: embedded, from inside a pod, or from a kubeconfig.

This module only reads. Credential plugins (``exec``) are not supported: a service has a certificate or a token.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controller import errors
from controller.listening import https_url

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Endpoint:
    """A URL and credentials. ``token_file`` is read for every request because clusters rotate it.

    Certificates are files, or PEM text when embedded in a kubeconfig.
    """

    url: str
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_data: str | None = None
    client_data: str | None = field(default=None, repr=False)  # certificate and key

    def ssl_context(self) -> ssl.SSLContext:
        """Create a context from the current files. Raises OSError."""
        context = ssl.create_default_context(
            cafile=str(self.ca_file) if self.ca_file else None, cadata=self.ca_data or None
        )
        if self.client_data:
            _load_client_data(context, self.client_data)
        elif self.client_cert:
            context.load_cert_chain(str(self.client_cert), str(self.client_key) if self.client_key else None)
        return context

    def authorization(self) -> dict[str, str]:
        """Return the request header with the bearer token, if there is one. Raises OSError."""
        token = self.token_file.read_text().strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def from_cluster(environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Endpoint:
    """Return the endpoint of the cluster we run in, else of KUBECONFIG. Raises errors.SettingError."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if host and (service_account / "token").exists():
        return Endpoint(
            url=https_url(host, port),
            ca_file=service_account / "ca.crt",
            token_file=service_account / "token",
        )
    if kubeconfig := environment.get("KUBECONFIG"):
        return from_kubeconfig(Path(kubeconfig))
    raise errors.SettingError(
        "EDGE_API is cluster, but no cluster is configured: run in a pod with a service account or set KUBECONFIG"
    )


def from_kubeconfig(path: Path) -> Endpoint:
    """Return the endpoint of a kubeconfig's current context (client-go: api/v1 Config). Raises errors.SettingError."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        return _endpoint(cluster, user, path.parent)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise errors.SettingError(
            f"KUBECONFIG {path} cannot be used ({error}); use a single file with a current context that has a server "
            "and either a client certificate or a token"
        ) from error


def _endpoint(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> Endpoint:
    if "exec" in user or "auth-provider" in user:
        raise ValueError("credential plugins are not supported")
    certificate, key = _decoded(user, "client-certificate-data"), _decoded(user, "client-key-data")
    return Endpoint(
        url=str(cluster["server"]).rstrip("/"),
        ca_file=_path(cluster, "certificate-authority", folder),
        ca_data=_decoded(cluster, "certificate-authority-data"),
        client_cert=_path(user, "client-certificate", folder),
        client_key=_path(user, "client-key", folder),
        client_data=f"{certificate}\n{key}" if certificate and key else None,
        token=user.get("token"),
        token_file=_path(user, "tokenFile", folder),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in entries}[name]


def _path(entry: dict[str, Any], key: str, folder: Path) -> Path | None:
    return folder / entry[key] if entry.get(key) else None


def _decoded(entry: dict[str, Any], key: str) -> str | None:
    try:
        return base64.b64decode(entry[key], validate=True).decode() if entry.get(key) else None
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{key} is not base64-encoded PEM text") from error


def _load_client_data(context: ssl.SSLContext, pem: str) -> None:
    """Load a client certificate through a private temporary file, because ssl accepts nothing else."""
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
