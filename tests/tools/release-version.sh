#!/usr/bin/env bash
# usage: release-version.sh TAG: prints `version=1.2.3` where the tag v1.2.3, Cargo.toml and the chart's version and
# appVersion agree; else says who does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tag="${1:?usage: release-version.sh TAG}"
version="${tag#v}"
cargo="$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
chart="$(sed -n 's/^version: //p' helm/retell-bridge/Chart.yaml)"
app="$(sed -n 's/^appVersion: //p' helm/retell-bridge/Chart.yaml)"
for each in "Cargo.toml:$cargo" "Chart.yaml's version:$chart" "Chart.yaml's appVersion:$app"; do
    if [ "${each#*:}" != "$version" ]; then
        echo "the tag is $tag, and ${each%%:*} says ${each#*:}" >&2
        exit 1
    fi
done
echo "version=$version"
