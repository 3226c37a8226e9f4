#!/usr/bin/env bash
# Builds Prometheus 3 into .tools/prometheus/: it refuses a scrape whose content type it does not know, which Debian's 2 of
# tests/tools/fetch-deploy.sh does not. Without the discovery of targets in clouds, which is most of it, this takes some 5
# minutes on two cores, once. prometheus/go.mod beside this script pins it; it is not in go/, whose files decide whether the
# control plane is built again. Nothing is installed outside .tools/ and Go's caches, nothing needs root.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$(cd "$here/../.." && pwd)/.tools/prometheus"
# v0.313.5 of the module is this one.
version=3.13.5

say() { echo "fetch-prometheus: $*" >&2; }
wanted="$(cat "$here/prometheus/go.mod" "${BASH_SOURCE[0]}" | sha256sum | cut -d ' ' -f 1)"
if [ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$wanted" ]; then exit; fi
if ! command -v go >/dev/null 2>&1; then
    say "'go' is missing. Install Go 1.21 or newer: apt-get install -t bookworm-backports golang-go, or https://go.dev/dl"
    exit 1
fi
say "building Prometheus $version (once)"
rm -rf "$folder" && mkdir -p "$folder"
if ! (cd "$here/prometheus" && CGO_ENABLED=0 go build -mod=mod -trimpath -tags remove_all_sd \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
    -o "$folder/prometheus" github.com/prometheus/prometheus/cmd/prometheus) >"$folder/log" 2>&1; then
    tail -n 20 "$folder/log" >&2
    say "Go could not build Prometheus. Is there a way to the Go module proxy, and 2 GB of room for Go's caches?"
    exit 1
fi
echo "$wanted" >"$folder/stamp"
