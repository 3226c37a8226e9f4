#!/usr/bin/env bash
# Fetches what tests/schemas.sh holds schemas/ to into .tools/contract/: the official AsyncAPI parser and a validator of JSON
# Schema, from npm, as the lock file in tests/tools/contract/ pins them. Does nothing for what is there.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$(cd "$here/../.." && pwd)/.tools/contract"

say() { echo "fetch-contract: $*" >&2; }
for tool in node npm; do
    command -v "$tool" >/dev/null 2>&1 && continue
    say "'$tool' is missing. Install it: apt-get install nodejs npm"
    exit 1
done
wanted="$(cat "$here"/contract/package*.json | sha256sum | cut -d ' ' -f 1)"
[ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$wanted" ] && exit 0

say "fetching the AsyncAPI parser and Ajv from npm into .tools/contract (once)"
rm -rf "$folder"
mkdir -p "$folder"
cp "$here"/contract/package*.json "$folder/"
if ! (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts) >&2; then
    say "npm could not fetch them. Is there a way to the npm registry?"
    exit 1
fi
echo "$wanted" >"$folder/stamp"
