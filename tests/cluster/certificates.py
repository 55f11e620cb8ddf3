"""Issues keys, certificates and kubeconfigs for a real control plane; CN is the user, O the group."""

from __future__ import annotations

import base64
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificates:
    """A certificate authority with its own folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.crt"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, name: str, user: str, group: str | None = None, hosts: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        # Without a name, the certificate would have an empty, critical subjectAltName, which Go rejects.
        leaf = self._authority.issue_cert(*(hosts or [f"{name}.test"]), common_name=user, organization_name=group)
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        leaf.cert_chain_pems[0].write_to_path(str(certificate))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def account_keys(self) -> tuple[Path, Path]:
        """The private and the public key for the tokens of ServiceAccounts."""
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = self._folder / "accounts.key", self._folder / "accounts.pub"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return private, public

    def kubeconfig(self, path: Path, server: str, user: str, group: str) -> Path:
        """Write a self-contained kubeconfig for that user."""
        certificate, key = self.issue(path.stem, user, group)
        cluster = {"server": server, "certificate-authority-data": _encoded(self.ca)}
        identity = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": user, "user": identity}],
            "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": user}}],
            "current-context": "cluster",
        }
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
        return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
