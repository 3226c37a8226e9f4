#!/usr/bin/env bash
# usage: tests/tools/fetch.sh [PART...]
# Fetches what the tests need beyond a Rust tool chain into the ignored folder .tools/. A PART is one of the
# fetch-PART.sh beside this file; without one, all of them. What is already there is left as it is.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

parts=("$@")
if [ ${#parts[@]} -eq 0 ]; then
    for script in "$here"/fetch-*.sh; do
        part="${script##*/fetch-}"
        parts+=("${part%.sh}")
    done
fi

for part in "${parts[@]}"; do
    if [ ! -f "$here/fetch-$part.sh" ]; then
        echo "fetch: there is no part '$part'. Parts: $(cd "$here" && echo fetch-*.sh | sed -E 's/fetch-([^ ]*)\.sh/\1/g')" >&2
        exit 2
    fi
    bash "$here/fetch-$part.sh"
done
