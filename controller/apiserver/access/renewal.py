"""Checks the certificates of the embedded API, and renews them in a short process of its own.

``python -m controller.apiserver.access.renewal DIRECTORY CLOCK NAME...`` is that process. The library that issues
certificates takes 8 MB and 50 ms, for work of a few milliseconds a year. What was checked once is checked again only if
a file, an address of the host or the version of the controller has changed, or a certificate is about to expire.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from controller import __version__, files
from controller.apiserver.access.credentials import USERS, CredentialFiles

LIBRARY = "cryptography"
SECONDS = 30.0
DONE = b"done\n"  # the output of that process

log = logging.getLogger(__name__)


class CertificateRenewal(CredentialFiles):
    """The files in one directory. ``names`` returns the host names and addresses that currently reach the server."""

    def __init__(self, directory: Path, names: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__(directory)
        self._names = names

    def ensure(self, clock: float) -> bool:
        """Create what is missing, damaged, for other addresses, or about to expire. Returns whether it created any."""
        self.make_directory()
        names = tuple(dict.fromkeys(self._names()))
        if self._was_checked(names, clock):
            self.ensure_tokens()
            return False
        before = _digest_or_none(self)
        # Where the library is loaded, a process of its own would save nothing.
        if LIBRARY in sys.modules or not self._renew_in_child(names, clock):
            renew(self._directory, names, clock)
        # Compared, as a process that failed may have renewed them before.
        return before is None or digest(self) != before

    def _was_checked(self, names: Iterable[str], clock: float) -> bool:
        try:
            checked = json.loads(self.path("checked", "json").read_bytes())
            is_same = checked["digest"] == digest(self)
            return is_same and set(names) <= set(checked["names"]) and clock < checked["renewal_time"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _renew_in_child(self, names: Sequence[str], clock: float) -> bool:
        """Return whether the process succeeded."""
        command = (sys.executable, "-P", "-m", __name__, str(self._directory), repr(clock), *names)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            # Such as a full disk, which is reported better by the same in this process.
            log.debug("The certificates are checked in this process: %s", error)
            return False
        for line in done.stderr.decode(errors="replace").splitlines():
            log.warning("%s", line)
        return done.stdout == DONE


def renew(directory: Path, names: Sequence[str], clock: float) -> None:
    """Create or renew what is needed, and store that all was checked."""
    from controller.apiserver.access.pki import Pki  # noqa: PLC0415 - loads the library

    pki = Pki(directory, lambda: names)
    pki.ensure(clock)
    checked = {
        "digest": digest(pki),
        "names": sorted({*pki.server_names(), *names}),
        "renewal_time": pki.renewal_time(),
    }
    # On a full disk everything is only checked again the next time.
    with contextlib.suppress(OSError):
        files.write_secret(pki.path("checked", "json"), json.dumps(checked).encode())


def digest(found: CredentialFiles) -> str:
    """Return a digest of certificates and keys and of the version that checked them. Raises OSError."""
    result = hashlib.sha256(__version__.encode())
    for name in ("ca", "server", *USERS):
        for kind in ("crt", "key"):
            result.update(hashlib.sha256(found.path(name, kind).read_bytes()).digest())
    return result.hexdigest()


def _digest_or_none(found: CredentialFiles) -> str | None:
    try:
        return digest(found)
    except OSError:
        return None


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    renew(Path(sys.argv[1]), sys.argv[3:], float(sys.argv[2]))
    sys.stdout.buffer.write(DONE)
