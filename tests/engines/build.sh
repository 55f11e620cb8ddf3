#!/usr/bin/env bash
# Builds the Docker engines that the suite runs on besides the installed one: runc, dockerd28 and dockerd29, from the
# Go modules pinned in the mod-* folders. Prints the folder with the binaries; builds nothing twice.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/go.sh
source "$here/../support/go.sh"
project=$here/../..
engine_tags="exclude_graphdriver_btrfs no_systemd"

# build NAME CGO TAGS PACKAGE
build() {
    [[ -x $bin/$1 ]] && return
    say "building $1 (minutes, once)"
    CGO_ENABLED=$2 "$go" -C "$here/mod-$1" build -tags "$3" -o "$bin/$1.partial" "$4"
    mv "$bin/$1.partial" "$bin/$1"
}

bin=$(cache_folder engines "$here")
mkdir -p "$bin"
# Concurrent runs share one build.
exec 9>"$bin/.lock"
flock 9
if [[ ! -x $bin/runc || ! -x $bin/dockerd28 || ! -x $bin/dockerd29 ]]; then
    "$project/scripts/apt.sh" gcc:gcc pkg-config:pkg-config /usr/include/seccomp.h:libseccomp-dev \
        /usr/include/stdlib.h:libc6-dev
    go=$(find_go "$here/mod-dockerd29")
    export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false -trimpath"
    build runc 1 seccomp github.com/opencontainers/runc
    build dockerd28 0 "$engine_tags" github.com/docker/docker/cmd/dockerd
    build dockerd29 0 "$engine_tags" github.com/moby/moby/v2/cmd/dockerd
fi
printf '%s\n' "$bin"
