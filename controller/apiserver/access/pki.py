"""The files of the embedded API's PKI: CA, server certificate, client certificates and bearer tokens.

Created at the first start, renewed before they expire; every file has mode 0600. Blocking.

Every certificate is valid from 1970 on: a host without a battery-backed clock starts there and must accept its users.
The CA is renewed with its existing key, so the certificates it issued and the clients that trust its former certificate
remain valid.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509

from controller import RELEASED, certificates, files
from controller.apiserver.access.credentials import USERS, CredentialFiles
from controller.apiserver.access.identities import MASTERS
from controller.certificates import BEGIN, Pair, Period

log = logging.getLogger(__name__)

AUTHORITY_NAME = "edge-controller-ca"
AUTHORITY_DAYS = 36500  # a clock that jumps by decades must not expire the CA that clients trust
LEAF_DAYS = 365
RENEW_DAYS = 60
# A certificate never outlives the CA that issued it.
RENEW_AUTHORITY_DAYS = LEAF_DAYS + RENEW_DAYS
# Users for whom kubeconfigs can be issued, and their group.
KUBECONFIG_USERS = {"admin": MASTERS, "viewer": ""}
REMEDY = "kubeconfigs issued so far are rejected; `edge-controller kubeconfig` prints new ones"
LOCAL_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "::1")


class Pki(CredentialFiles):
    """Creates and renews the files. ``names`` returns the host names and addresses that currently reach the server.

    The service does this through renewal.py, as the library that issues certificates takes 8 MB.
    """

    def __init__(self, directory: Path, names: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__(directory)
        self._names = names

    def ensure(self, clock: float) -> None:
        """Create what is missing, damaged, for other addresses, or about to expire."""
        self.make_directory()
        now = time_of(clock)
        authority = self._authority(now)
        self._ensure_server(authority, now)
        for user, group in USERS.items():
            self._ensure_user(authority, certificates.subject(user, group), user, now)
        self.ensure_tokens()

    def issue_client(self, user: str, seconds: float, clock: float) -> tuple[bytes, bytes]:
        """Issue a certificate and key, as PEM, for one of KUBECONFIG_USERS without storing them.

        Raises OSError and ValueError.
        """
        valid = Period(BEGIN, time_of(clock) + datetime.timedelta(seconds=seconds))
        return certificates.issue(self._read("ca"), certificates.subject(user, KUBECONFIG_USERS[user]), valid).pem()

    def is_named(self, host: str) -> bool:
        """Whether the server's certificate is valid for the host name. Raises OSError and ValueError."""
        return certificates.host_name(host) in certificates.names_of(self._read("server").certificate)

    def server_names(self) -> set[str]:
        """The names and addresses in the server's certificate. Raises OSError and ValueError."""
        return {str(name.value) for name in certificates.names_of(self._read("server").certificate)}

    def renewal_time(self) -> float:
        """When the first certificate is to be renewed, in seconds since the epoch. Raises OSError and ValueError."""
        days = {"ca": RENEW_AUTHORITY_DAYS, **dict.fromkeys(("server", *USERS), RENEW_DAYS)}
        ends = {name: self._read(name).certificate.not_valid_after_utc.timestamp() for name in days}
        return min(end - days[name] * 86400 for name, end in ends.items())

    def _authority(self, now: datetime.datetime) -> Pair:
        """Return the CA, after replacing or renewing it if needed. A renewal because of its age keeps the key."""
        found = self._sound("ca")
        if found and not _ends_within(found, now, RENEW_AUTHORITY_DAYS):
            return found
        if not found and self.path("ca", "crt").exists():
            log.warning("Replaced the damaged CA of the API: %s", REMEDY)
        made = certificates.authority(AUTHORITY_NAME, _from_1970(now, AUTHORITY_DAYS), found.key if found else None)
        self._store("ca", made)
        return made

    def _ensure_server(self, authority: Pair, now: datetime.datetime) -> None:
        names = [certificates.host_name(name) for name in dict.fromkeys((*LOCAL_NAMES, *self._names()))]
        found = self._usable("server", authority, now)
        # An address that has gone away is no reason for a new certificate.
        if found and set(names) <= certificates.names_of(found.certificate):
            return
        who, valid = certificates.subject("edge-api"), _from_1970(now, LEAF_DAYS)
        self._store("server", certificates.issue(authority, who, valid, names))

    def _ensure_user(self, authority: Pair, who: x509.Name, file: str, now: datetime.datetime) -> None:
        found = self._usable(file, authority, now)
        if not found or found.certificate.subject != who:
            self._store(file, certificates.issue(authority, who, _from_1970(now, LEAF_DAYS)))

    def _usable(self, name: str, authority: Pair, now: datetime.datetime) -> Pair | None:
        found = self._sound(name)
        return found if found and found.issued_by(authority) and not _ends_within(found, now, RENEW_DAYS) else None

    def _sound(self, name: str) -> Pair | None:
        """Read a pair; None if it is missing, damaged, or a power cut came between writing its two files."""
        try:
            return self._read(name)
        except (OSError, ValueError, TypeError):
            return None

    def _read(self, name: str) -> Pair:
        return certificates.read(self.path(name, "crt").read_bytes(), self.path(name, "key").read_bytes())

    def _store(self, name: str, pair: Pair) -> None:
        certificate, key = pair.pem()
        # The key first: a first start that ends in between leaves no certificate, so no CA is reported as damaged.
        files.write_secret(self.path(name, "key"), key)
        files.write_secret(self.path(name, "crt"), certificate)


def time_of(clock: float) -> datetime.datetime:
    """The time for issuing certificates, from seconds since the epoch.

    At least our release date: an earlier clock is wrong, and certificates must still be valid once it is corrected.
    """
    return max(RELEASED, datetime.datetime.fromtimestamp(clock, datetime.UTC))


def _ends_within(pair: Pair, now: datetime.datetime, days: int) -> bool:
    """Also true for certificates of earlier versions, whose validity starts when they were issued."""
    found = pair.certificate
    left = found.not_valid_after_utc - now
    return left < datetime.timedelta(days=days) or found.not_valid_before_utc > BEGIN


def _from_1970(now: datetime.datetime, days: int) -> Period:
    return Period(BEGIN, now + datetime.timedelta(days=days))
