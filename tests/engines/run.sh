#!/usr/bin/env bash
# Runs the Docker tests that depend on the engine on each of them: the installed one, 28.5 and 29. Passes its arguments
# to pytest; ENGINES in the environment selects engines (dockerd, dockerd28, dockerd29).
# Reports go to build/reports; the last line counts the tests of all engines.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

bin=$(tests/engines/build.sh) || exit 1
reports=build/reports/engines
rm -rf "$reports"
mkdir -p "$reports"
failed=0
for name in ${ENGINES:-dockerd dockerd28 dockerd29}; do
    engine=$name
    [[ -x $bin/$name ]] && engine=$bin/$name
    printf '\n=== Docker tests on %s\n' "$engine"
    EDGE_TEST_DOCKERD=$engine .venv/bin/pytest -m "docker and not any_engine" --junitxml="$reports/$name.xml" "$@" ||
        failed=1
done
printf '\nall engines: '
.venv/bin/python scripts/tally.py "$reports" || failed=1
exit "$failed"
