#!/usr/bin/env bash
# Finds words that docs/style.md replaces; CHANGELOG.md and the decisions keep the words of their time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly words='wish(es|ed)?|hindrances?|doings|furnish(es|ed|ings?)?|anew|for ever|shall|stirred|heed(s|ed)?|soundings?'

if git grep -nwiIE "$words" -- . ':!CHANGELOG.md' ':!docs/decisions' ':!docs/style.md' ':!scripts/words.sh' ':!tests/upgrades/releases' ':!LICENSE' ':!*.lock'; then
    echo "words: use the words of docs/style.md instead" >&2
    exit 1
fi
