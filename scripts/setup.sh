#!/usr/bin/env bash
# Installs what the project needs on Debian 12 with Python 3.11 or newer: system packages, a virtual environment in
# .venv, the package with its development tools. Installs only what is missing; quick when nothing is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local candidate
    for candidate in python3.11 python3 python3.13 python3.12 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is missing; on Debian 12: apt-get install python3"
}

system_packages() {
    scripts/apt.sh \
        dockerd:docker.io containerd:containerd runc:runc ip:iproute2 ping:iputils-ping arping:iputils-arping \
        /bin/busybox:busybox-static dnsmasq:dnsmasq-base nft:nftables faketime:faketime
    # The tests' runtime image contains the system's Python.
    /usr/bin/python3 -c 'import http.server, ssl' 2>/dev/null || scripts/apt.sh python3
}

make_environment() {
    local python
    python=$(find_python)
    # Debian packages venv separately; other builds of Python include it.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || scripts/apt.sh python3-venv
    say "creating the virtual environment .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_package() {
    say "installing the package and its development tools into .venv"
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    if ! "${pip[@]}" --require-hashes -r requirements-dev.lock -r requirements-build.lock ||
        ! "${pip[@]}" --no-deps --no-build-isolation --editable .; then
        fail "pip failed: it needs access to the Python package index, or to another one set as PIP_INDEX_URL"
    fi
}

system_packages
stamp=.venv/.installed
wanted=$(sha256sum pyproject.toml requirements-dev.lock requirements-build.lock)
if [[ ! -f $stamp || $(<"$stamp") != "$wanted" || ! -x .venv/bin/python ]]; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || make_environment
    install_package
    printf '%s\n' "$wanted" >"$stamp"
fi
