"""Kubeconfigs: the one that is kept on the host, and those that are handed out (client-go: api/v1 Config)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from controller import errors
from controller.apiserver.access.pki import Pki

Object = dict[str, Any]
FOLDER = Path("api", "pki")  # below the state directory
CERTIFIED_NAME = "localhost"  # what the server's certificate always names


class KubeconfigIssuer:
    """Makes kubeconfigs from what a controller keeps in its state directory, whether it runs or not. Blocking."""

    def __init__(self, state_dir: Path, kept: Path, clock: Callable[[], float] = time.time) -> None:
        self._pki = Pki(state_dir / FOLDER)
        self._state_dir = state_dir
        self._kept = kept
        self._clock = clock

    def make(self, user: str, seconds: float, server: str = "") -> Object:
        """For a user of pki.PEOPLE, that many seconds; ``server`` is the URL from elsewhere.

        Raises errors.SettingError when there is nothing to make it from.
        """
        try:
            kept = yaml.safe_load(self._kept.read_text())
            cluster, context = kept["clusters"][0]["cluster"], kept["contexts"][0]["context"]
            certificate, key = self._pki.issue_client(user, seconds, self._clock())
            named = not server or self._pki.is_named(urlsplit(server).hostname or "")
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise errors.SettingError(
                f"{self._state_dir} does not hold what `edge-controller run` keeps there, or not for you ({error}): "
                "start it once, be root, or give --state-dir"
            ) from error
        # Clients from elsewhere may know this host by a name that it does not know itself.
        elsewhere = {"server": server or cluster["server"], **({} if named else {"tls-server-name": CERTIFIED_NAME})}
        return of({**cluster, **elsewhere}, user, (certificate, key), context["namespace"])


def of(cluster: Object, user: str, identity: tuple[bytes, bytes], namespace: str) -> Object:
    """A kubeconfig of one cluster and one user by certificate and key, whose default namespace is given."""
    certificate, key = (base64.b64encode(pem).decode() for pem in identity)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edge", "cluster": cluster}],
        "users": [{"name": user, "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "edge", "context": {"cluster": "edge", "user": user, "namespace": namespace}}],
        "current-context": "edge",
    }
