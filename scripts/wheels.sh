#!/usr/bin/env bash
# Downloads the wheels in the lock files into a cache folder, once, and prints its path: with it the image is built
# without a package index. usage: wheels.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sums=$(cat requirements.lock requirements-build.lock | sha256sum | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/edge-controller/wheels/$sums
mkdir -p "$(dirname "$folder")"
# The lock makes concurrent runs download only once.
exec 9>"$folder.lock"
flock 9
if [[ ! -d $folder ]]; then
    rm -rf "$folder.partial"
    for lock in requirements.lock requirements-build.lock; do
        .venv/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
            --only-binary :all: --dest "$folder.partial" -r "$lock" >&2
    done
    mv "$folder.partial" "$folder"
fi
printf '%s\n' "$folder"
