#!/usr/bin/env bash
# Every check that needs no test run; goes through all of them, then fails if one did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failed=()
check() {
    local name=$1
    shift
    printf '%s\n' "--- $name"
    "$@" || failed+=("$name")
}

shell_scripts() { grep -rlI --exclude-dir=.git --exclude-dir=.venv --exclude-dir=build '^#!/usr/bin/env bash' .; }

check "ruff check" .venv/bin/ruff check .
check "ruff format" .venv/bin/ruff format --check --diff --quiet .
check "mypy" .venv/bin/mypy
check "words" scripts/words.sh
check "import contracts" .venv/bin/lint-imports --no-cache
mapfile -t scripts < <(shell_scripts)
check "shellcheck" .venv/bin/shellcheck "${scripts[@]}"
for folder in crds helm/edge-controller/files/crds; do
    check "generated CRDs in $folder" .venv/bin/edge-controller crds --check "$folder"
done
check "packaged CRDs" .venv/bin/python -m scripts.packaged_crds --check

if ((${#failed[@]})); then
    printf 'lint: failed: %s\n' "$(IFS=,; printf '%s' "${failed[*]}")"
    exit 1
fi
printf 'lint: clean\n'
