#!/usr/bin/env bash
# Builds the Docker engines that the suite runs on beside the one at hand: runc, dockerd28 and dockerd29, from the
# Go modules pinned in the mod-* folders. Prints the folder that holds the finished binaries; nothing is built twice.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
engine_tags="exclude_graphdriver_btrfs no_systemd"

say() { printf 'engines: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

cache_folder() {
    local sums
    sums=$(cat "$here"/mod-*/go.mod "$here"/mod-*/go.sum | sha256sum | cut -c1-16)
    printf '%s/edge-controller/engines/%s' "${XDG_CACHE_HOME:-$HOME/.cache}" "$sums"
}

require_tools() {
    command -v go >/dev/null || fail "Go 1.24 or newer is missing; install it and put 'go' on the PATH"
    "$here/../../scripts/apt.sh" gcc:gcc pkg-config:pkg-config /usr/include/seccomp.h:libseccomp-dev
}

# build NAME CGO TAGS PACKAGE
build() {
    [[ -x $bin/$1 ]] && return
    say "building $1 (minutes, once)"
    CGO_ENABLED=$2 go -C "$here/mod-$1" build -tags "$3" -o "$bin/$1.partial" "$4"
    mv "$bin/$1.partial" "$bin/$1"
}

bin=$(cache_folder)
mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9
if [[ ! -x $bin/runc || ! -x $bin/dockerd28 || ! -x $bin/dockerd29 ]]; then
    require_tools
    export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false -trimpath"
    build runc 1 seccomp github.com/opencontainers/runc
    build dockerd28 0 "$engine_tags" github.com/docker/docker/cmd/dockerd
    build dockerd29 0 "$engine_tags" github.com/moby/moby/v2/cmd/dockerd
fi
printf '%s\n' "$bin"
