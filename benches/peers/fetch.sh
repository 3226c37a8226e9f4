#!/usr/bin/env bash
# Fetches and builds what the peers of `make bench-long` need, each in the versions that its own files name: PyPI into
# target/peers/fastapi/, npm into target/peers/express/ (node-rdkafka is built from source, which takes minutes and wants
# Node's headers and a C++ compiler), Go modules into target/peers/go/. The peer in Rust is built with the bench.
# They are built here, so they lie with what is built. Does nothing for what is there and unchanged.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
built="$(cd "$here/../.." && pwd)/target/peers"

need() { # need COMMAND WHAT-TO-INSTALL
    command -v "$1" >/dev/null 2>&1 && return
    echo "peers/fetch: '$1' is missing. Install it: apt-get install $2" >&2
    exit 1
}
sum() { cat "$@" | sha256sum | cut -d' ' -f1; }
fetched() { [ -f "$built/$1/stamp" ] && [ "$(cat "$built/$1/stamp")" = "$2" ]; }

fastapi=$(sum "$here/fastapi/requirements.txt")
if ! fetched fastapi "$fastapi"; then
    need python3 "python3 python3-venv"
    echo "peers/fetch: fetching FastAPI, uvicorn and confluent-kafka into target/peers/fastapi (once)" >&2
    rm -rf "$built/fastapi"
    python3 -m venv "$built/fastapi"
    "$built/fastapi/bin/pip" install --quiet --disable-pip-version-check -r "$here/fastapi/requirements.txt" >&2
    echo "$fastapi" >"$built/fastapi/stamp"
fi

express=$(sum "$here/express/"{package.json,package-lock.json,main.mjs})
if ! fetched express "$express"; then
    need npm "nodejs npm"
    need g++ build-essential
    echo "peers/fetch: fetching Express, Retell's SDK and node-rdkafka into target/peers/express (once, minutes)" >&2
    mkdir -p "$built/express"
    cp "$here/express/"{package.json,package-lock.json,main.mjs} "$built/express/"
    # The headers of the Node that is installed, so that none are fetched.
    headers="$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")"
    if [ -f "$headers/include/node/node.h" ]; then
        export npm_config_nodedir="$headers"
    fi
    npm ci --prefix "$built/express" --silent --no-audit --no-fund >&2
    echo "$express" >"$built/express/stamp"
fi

go=$(sum "$here/go/"{go.mod,go.sum,main.go})
if ! fetched go "$go"; then
    need go "golang-go (or https://go.dev/dl)"
    echo "peers/fetch: building the handler with franz-go into target/peers/go (once)" >&2
    mkdir -p "$built/go"
    (cd "$here/go" && go build -o "$built/go/peer-go" .)
    echo "$go" >"$built/go/stamp"
fi
