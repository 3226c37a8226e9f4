#!/usr/bin/env bash
# Fetches Retell's two official SDKs, the oracles for signatures: npm into .tools/sdk-node/, PyPI into a virtual
# environment .tools/sdk-python/. Does nothing when both are there in the wanted versions.
set -euo pipefail

node_version=5.66.1
python_version=6.2.13

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
node_dir="$root/.tools/sdk-node"
python_dir="$root/.tools/sdk-python"

need() { # need COMMAND WHAT-TO-INSTALL
    command -v "$1" >/dev/null 2>&1 && return
    echo "fetch-sdks: '$1' is missing. Install it: apt-get install $2" >&2
    exit 1
}
fetched() { [ -f "$1/stamp" ] && [ "$(cat "$1/stamp")" = "$2" ]; }

if ! fetched "$node_dir" "$node_version"; then
    need node nodejs
    need npm npm
    echo "fetch-sdks: fetching npm retell-sdk $node_version into .tools/sdk-node (once)" >&2
    rm -rf "$node_dir"
    mkdir -p "$node_dir"
    echo '{"private":true,"description":"an oracle for tests"}' >"$node_dir/package.json"
    if ! npm install --prefix "$node_dir" --silent --no-audit --no-fund --ignore-scripts "retell-sdk@$node_version" >&2; then
        echo "fetch-sdks: npm could not fetch retell-sdk $node_version. Is there a way to the npm registry?" >&2
        exit 1
    fi
    echo "$node_version" >"$node_dir/stamp"
fi

if ! fetched "$python_dir" "$python_version"; then
    need python3 "python3 python3-venv"
    echo "fetch-sdks: fetching PyPI retell-sdk $python_version into .tools/sdk-python (once)" >&2
    rm -rf "$python_dir"
    if ! python3 -m venv "$python_dir" >&2; then
        echo "fetch-sdks: Python cannot make a virtual environment. Install it: apt-get install python3-venv" >&2
        exit 1
    fi
    if ! "$python_dir/bin/pip" install --quiet --disable-pip-version-check "retell-sdk==$python_version" >&2; then
        echo "fetch-sdks: pip could not fetch retell-sdk $python_version. Is there a way to PyPI?" >&2
        exit 1
    fi
    echo "$python_version" >"$python_dir/stamp"
fi
