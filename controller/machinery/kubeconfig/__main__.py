"""Resolves KUBECONFIG, or a pod's service account: ``python -m controller.machinery.kubeconfig SECONDS SOURCE FOLDER``.

The only module that imports the ``kubernetes`` package, and a program of its own: the package takes 33 MB, and a
credential plugin takes its time. It prints the fields of an ``Endpoint`` as one JSON object, or ``error``. SECONDS
limit the whole. SOURCE is "pod" with the service account's FOLDER, or "kubeconfig" with a FOLDER for temporary files,
which the caller removes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import yaml
from kubernetes.config import exec_provider, incluster_config, kube_config
from kubernetes.config.config_exception import ConfigException

from controller.machinery.kubeconfig.entries import Entry, UnusableError, entry, persister, prepare
from controller.machinery.kubeconfig.plugin import Plugin

FILE_LIMIT = 1 << 20  # bytes
BAD_PEM = "certificate or key data is not base64-encoded PEM text: create it again"
PARSE_MEMORY = 128 << 20  # bytes: YAML aliases can make a small file enormous


def main() -> None:
    """Print the result for the caller's environment."""
    signal.signal(signal.SIGALRM, _time_out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a plugin does not outlive this process
    seconds, source, folder = sys.argv[1:]
    signal.alarm(int(seconds))
    try:
        result = _of_pod(Path(folder)) if source == "pod" else _of_kubeconfig(os.environ["KUBECONFIG"], Path(folder))
    except Exception as error:  # noqa: BLE001 - whatever a library makes of a malformed file becomes a sentence
        result = {"error": _sentence(error)}
    _print(result)


def _print(result: Entry) -> None:
    sys.stdout.write(f"{json.dumps(result)}\n")
    sys.stdout.flush()


def _time_out(*_: object) -> NoReturn:
    plugin = f"the credential plugin {Plugin.running}" if Plugin.running else "reading it"
    _print({"error": f"{plugin} did not finish within {sys.argv[1]} s: run it by hand to see what it waits for"})
    sys.exit()  # passes the handlers of Exception in the package


def _of_pod(folder: Path) -> Entry:
    token, certificate = folder / "token", folder / "ca.crt"
    loader = incluster_config.InClusterConfigLoader(token_filename=str(token), cert_filename=str(certificate))
    loader.load_and_set(SimpleNamespace(api_key={}))
    return {"url": loader.host, "ca_file": str(certificate), "token_file": str(token)}


def _of_kubeconfig(paths: str, folder: Path) -> Entry:
    """The endpoint of the current context; several files are merged as kubectl does."""
    with _bounded_memory():
        merger = _merged(paths)
    merged = merger.config
    context = entry(merged, "contexts", _current_context(merger), "context").value
    cluster = entry(merged, "clusters", context.get("cluster"), "cluster")
    user = entry(merged, "users", context["user"], "user") if context.get("user") else None
    token_file = prepare(cluster, user)
    loader = kube_config.KubeConfigLoader(
        merged,
        config_persister=persister(merger, context.get("user") or ""),
        temp_file_path=str(folder),
    )
    result = _loaded(loader, user.value if user else {}, folder)
    return result | {"token": None, "token_file": token_file} if token_file else result


def _merged(paths: str) -> Any:
    # Like kubectl, skip files that do not exist, and empty elements, which Path turns into ".".
    existing = [path for path in map(Path, paths.split(os.pathsep)) if str(path) != "." and path.exists()]
    if not existing:
        raise UnusableError("there is no such file: correct KUBECONFIG")
    for path in existing:
        # Before it is opened: reading a pipe or a device may never end.
        if not path.is_file() or path.stat().st_size > FILE_LIMIT:
            raise UnusableError(f"{path} is not a file of at most 1 MiB: correct KUBECONFIG")
    return kube_config.KubeConfigMerger(os.pathsep.join(map(str, existing)))


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Limit the memory while files are parsed; a plugin must not inherit the limit."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    # RLIMIT_AS counts the whole address space, which the imports fill already.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + PARSE_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _current_context(merger: Any) -> str:
    """The first file decides (client-go: loading rules); the package would take the last."""
    names = (each.get("current-context") for each in merger.config_files.values())
    name = next(filter(None, names), None)
    if name is None:
        raise UnusableError("there is no current context: choose one with `kubectl config use-context`")
    merger.config.value["current-context"] = name
    return str(name)


class _Complaints(logging.Handler):
    """The package logs what is wrong with a plugin and continues without credentials."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


def _loaded(loader: Any, user: Entry, folder: Path) -> Entry:
    """What the package makes of the current context."""
    complaints, read = _Complaints(), SimpleNamespace(api_key={}, host=None)
    logging.basicConfig(handlers=[complaints])
    # The package has no hook for the start of a plugin, and bounds neither its time nor its output.
    for module in (exec_provider, kube_config):
        vars(module)["subprocess"] = SimpleNamespace(Popen=Plugin, PIPE=subprocess.PIPE)
    try:
        loader.load_and_set(read)
    except ConfigException:
        raise
    except Exception as error:
        if "auth-provider" not in user:
            raise
        raise _without_token(user, type(error).__name__) from error
    header = str(read.api_key.get("BearerToken", ""))
    if complaints.found:
        raise UnusableError(f"the credential plugin {_plugin(user)} failed: {_without_prefix(complaints.found[0])}")
    if not read.host:
        raise UnusableError("its cluster has no server: complete it")
    if "auth-provider" in user and not header:
        raise _without_token(user, "unusable")
    scheme, token = _credential(header)
    return {
        "url": read.host,
        "scheme": scheme or "Bearer",
        "token": token or None,
        "expires_at": _expiry(loader, user, token),
        "insecure": getattr(read, "verify_ssl", True) is False,
        "server_name": getattr(read, "tls_server_name", None),
        "proxy": getattr(read, "proxy", None),
        **_certificates(read, folder),
    }


def _credential(header: str) -> tuple[str, str]:
    """Scheme and token of an Authorization header."""
    scheme, _, token = header.partition(" ")
    # No header can contain them: one error here instead of one in every request.
    if any(not 32 < ord(character) < 127 for character in token.strip()):
        raise UnusableError("its token has characters that no token has: create it again")
    return scheme, token.strip()


def _without_token(user: Entry, cause: str) -> UnusableError:
    name = (user.get("auth-provider") or {}).get("name")
    remedy = "check its provider and log in again, or use a credential plugin (exec)"
    return UnusableError(f"the auth-provider {name} gives no token ({cause}): {remedy}")


def _certificates(read: SimpleNamespace, folder: Path) -> Entry:
    """Certificates as files if the kubeconfig names files, else as PEM text, which is then below FOLDER."""
    ca, own, key = (getattr(read, name, None) for name in ("ssl_ca_cert", "cert_file", "key_file"))
    embedded = [path for path in (own, key) if path and Path(path).parent == folder]
    result: Entry = {"ca_data": _pem(ca)} if ca and Path(ca).parent == folder else {"ca_file": ca}
    if not embedded:
        return result | {"client_cert": own, "client_key": key}
    pem = "\n".join(_pem(path) for path in (own, key) if path)
    if "PRIVATE KEY-" not in pem or "BEGIN CERTIFICATE-" not in pem:
        raise UnusableError("a client certificate needs both the certificate and its key: complete the user")
    return result | {"client_data": pem}


def _pem(path: str) -> str:
    text = Path(path).read_text(errors="replace")
    if "-----BEGIN " not in text:
        raise UnusableError(BAD_PEM)
    return text


def _expiry(loader: Any, user: Entry, token: str) -> float | None:
    """The Unix time at which the credential ends. Raises UnusableError if that is past."""
    expiry = getattr(loader, "expiry", None)
    ends: float | None = expiry.timestamp() if expiry else None
    # The package keeps no expiry of an OIDC token: only the token itself, a JWT, says when it ends.
    if ends is None and "auth-provider" in user and token.count(".") == 2:
        payload = token.split(".")[1]
        # A JWT leaves out the padding that the decoder needs (RFC 7515, section 2).
        ends = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("exp")
    if ends is not None and ends <= time.time():
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        raise UnusableError(f"its credential expired at {since}: log in again, or correct this host's clock")
    return ends


def _plugin(user: Entry) -> str:
    return Path(str((user.get("exec") or {}).get("command") or "")).name


def _without_prefix(complaint: str) -> str:
    """What the package logged; other exceptions than its own come from output that is no ExecCredential."""
    prefix, _, reason = complaint.partition(": ")
    return " ".join(reason.split()) if prefix == "exec" else "it printed no valid ExecCredential: update it"


def _sentence(error: Exception) -> str:
    """The error without secrets: the package's own messages can contain whole users."""
    match error:
        case UnusableError():
            text = str(error)
        case ConfigException():
            text = str(error).removeprefix("Invalid kube-config file. ").split("{")[0].split(" in /")[0]
            text = f"{text[:1].lower()}{text[1:]}: correct it"
        case yaml.MarkedYAMLError():
            line = error.problem_mark.line + 1 if error.problem_mark else 0
            text = f"it is not YAML ({error.problem} in line {line}): correct it"
        case OSError():
            text = f"{error.filename}: {error.strerror}: give the controller permission to read it"
        case MemoryError() | RecursionError():
            text = "it is too large or too deeply nested: write it again with `kubectl config view --flatten`"
        case binascii.Error():
            text = BAD_PEM
        case _:
            text = f"it is not a valid kubeconfig ({type(error).__name__}): compare it with `kubectl config view`"
    return text


if __name__ == "__main__":
    main()
