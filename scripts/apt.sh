#!/usr/bin/env bash
# Installs missing Debian packages.
# usage: apt.sh [NEED:]PACKAGE...   installs PACKAGE if NEED is missing: a command, or a file if it starts with a slash;
#                                   without NEED the package is always installed
set -euo pipefail

present() { if [[ $1 == /* ]]; then [[ -e $1 ]]; else PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; fi; }

missing=()
for pair in "$@"; do
    if [[ $pair != *:* ]] || ! present "${pair%%:*}"; then missing+=("${pair##*:}"); fi
done
((${#missing[@]})) || exit 0

say() { printf 'setup: %s\n' "$*" >&2; }
remedy="run as root on a machine that reaches Debian's packages: apt-get install ${missing[*]}"
command -v apt-get >/dev/null || { say "missing: ${missing[*]}; install them with this system's package manager"; exit 1; }
[[ $(id -u) == 0 ]] || { say "missing: ${missing[*]}; $remedy"; exit 1; }

say "installing with apt: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Do not start services of packages (Docker's would change the firewall): policy-rc.d, see invoke-rc.d(8).
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null; }
install 2>/dev/null || { apt-get update -qq </dev/null && install; } || { say "apt-get failed; $remedy"; exit 1; }
