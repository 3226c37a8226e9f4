#!/usr/bin/env bash
# Unpacks valgrind from Debian's package into .tools/valgrind/ where the system has none. Does nothing where there is one.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
folder="$root/.tools/valgrind"

command -v valgrind >/dev/null 2>&1 && exit 0
[ -f "$folder/stamp" ] && exit 0
echo "fetch-valgrind: unpacking Debian's package valgrind (once)" >&2
rm -rf "$folder" && mkdir -p "$folder"
if ! (cd "$folder" && apt-get download valgrind >/dev/null && dpkg -x ./valgrind_*.deb . && rm ./*.deb) >&2; then
    rm -rf "$folder"
    echo "fetch-valgrind: valgrind could not be had from Debian's package. Install it: apt-get install valgrind (after apt-get update)" >&2
    exit 1
fi
touch "$folder/stamp"
