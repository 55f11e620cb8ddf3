#!/usr/bin/env bash
# Runs the Docker tests on every engine: the one at hand, 28.5 and 29. Arguments go to pytest.
# Reports go to build/reports; the last line counts the tests of all engines.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

bin=$(tests/engines/build.sh) || exit 1
reports=build/reports/engines
rm -rf "$reports"
mkdir -p "$reports"
failed=0
for engine in dockerd "$bin/dockerd28" "$bin/dockerd29"; do
    name=$(basename "$engine")
    printf '\n=== Docker tests on %s\n' "$engine"
    EDGE_TEST_DOCKERD=$engine .venv/bin/pytest -m docker --junitxml="$reports/$name.xml" "$@" || failed=1
done
printf '\nall engines: '
.venv/bin/python scripts/tally.py "$reports" || failed=1
exit "$failed"
