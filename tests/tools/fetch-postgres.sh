#!/usr/bin/env bash
# Unpacks PostgreSQL from Debian's packages into .tools/postgres/ where the system has none, with the libraries that it
# lacks. Does nothing where there is one. `fetch-postgres.sh --bin` prints the folder of its programs instead.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
folder="$root/.tools/postgres"

# Debian keeps the server's programs off PATH, in a folder for each version. The newest is the last.
programs() { ls -d "$1"/usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true; }

found="$(programs "")"
[ -n "$found" ] && [ -x "$found/initdb" ] || found=""
if [ -z "$found" ] && [ ! -f "$folder/stamp" ] && [ "${1:-}" != --bin ]; then
    echo "fetch-postgres: unpacking Debian's package postgresql (once)" >&2
    rm -rf "$folder" && mkdir -p "$folder"
    # What apt would install is what is not there: the server, its client library, and so on.
    lacking() { apt-get install --simulate --no-install-recommends postgresql 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p' || true; }
    packages="$(lacking)"
    if [ -z "$packages" ] && [ "$(id -u)" -eq 0 ]; then # nobody has asked for the lists of packages yet
        apt-get update >&2 && packages="$(lacking)"
    fi
    if [ -z "$packages" ] || ! (cd "$folder" && apt-get download $packages >/dev/null &&
        for package in ./*.deb; do dpkg -x "$package" .; done && rm ./*.deb) >&2; then
        rm -rf "$folder"
        echo "fetch-postgres: PostgreSQL could not be had from Debian's packages. Install it: apt-get install postgresql (after apt-get update)" >&2
        exit 1
    fi
    touch "$folder/stamp"
fi
if [ "${1:-}" = --bin ]; then
    [ -n "$found" ] || found="$(programs "$folder")"
    [ -n "$found" ] || { echo "fetch-postgres: there is no PostgreSQL: run tests/tools/fetch-postgres.sh first" >&2 && exit 1; }
    echo "$found"
fi
