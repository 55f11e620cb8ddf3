"""Issues kubeconfigs to users, from the state directory of a controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from controller import errors
from controller.apiserver.access import kubeconfigs
from controller.apiserver.access.pki import Pki

Object = dict[str, Any]
FOLDER = Path("api", "pki")  # below the state directory
CERTIFIED_NAME = "localhost"  # always in the server's certificate


class KubeconfigIssuer:
    """Issues kubeconfigs from a controller's state directory, whether it runs or not. Blocking."""

    def __init__(self, state_dir: Path, kept: Path, clock: Callable[[], float] = time.time) -> None:
        self._pki = Pki(state_dir / FOLDER)
        self._state_dir = state_dir
        self._kept = kept
        self._clock = clock

    def make(self, user: str, seconds: float, server: str = "") -> Object:
        """Issue one for a user of pki.KUBECONFIG_USERS, valid for ``seconds``; ``server`` is the URL for other hosts.

        Raises errors.SettingError if the state directory lacks the files for it.
        """
        try:
            kept = yaml.safe_load(self._kept.read_text())
            cluster, context = kept["clusters"][0]["cluster"], kept["contexts"][0]["context"]
            certificate, key = self._pki.issue_client(user, seconds, self._clock())
            named = not server or self._pki.is_named(urlsplit(server).hostname or "")
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise errors.SettingError(
                f"cannot read the files of `edge-controller run` in {self._state_dir} ({error}): "
                "start it once, run this as root, or set --state-dir"
            ) from error
        # Other hosts may reach this one by a name that is not in its certificate.
        elsewhere = {"server": server or cluster["server"], **({} if named else {"tls-server-name": CERTIFIED_NAME})}
        return kubeconfigs.of({**cluster, **elsewhere}, user, (certificate, key), context["namespace"])
