#!/usr/bin/env bash
# Finds words that docs/style.md replaces; the CHANGELOG keeps the words of its time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly words='wish(es|ed)?|hindrances?|doings|furnish(es|ed|ings?)?|anew|for ever|shall|stirred|heed(s|ed)?|soundings?|told|mend(s|ed|ing)?|asked for|looks? around'

if git grep -nwiIE "$words" -- . ':!CHANGELOG.md' ':!docs/style.md' ':!scripts/words.sh' ':!tests/upgrades/releases' ':!LICENSE' ':!*.lock'; then
    echo "words: use the words of docs/style.md instead" >&2
    exit 1
fi
