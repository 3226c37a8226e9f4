#!/usr/bin/env bash
# Checks schemas/ with tools that are not ours: the official AsyncAPI parser and Ajv, which `tests/tools/fetch.sh contract`
# puts into .tools/, and the types of Retell's SDK, which `tests/tools/fetch.sh sdks` fetches. (`cargo test` holds them to
# the code and to a validator in Rust.) One line a check; exit code 1 when one fails. An absent tool is a failure.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="$PWD/.tools"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

fetch="tests/tools/fetch.sh sdks contract"
source tests/tools/check.sh

check "tool: the AsyncAPI parser and Ajv" \
    runs asyncapi ls "$tools/contract/node_modules/@asyncapi/parser" "$tools/contract/node_modules/ajv"
check "tool: Retell's SDK for Python" runs retell "$tools/sdk-python/bin/python" -c 'import retell; print(retell.__name__)'
check "asyncapi.yaml: the official parser takes it, each message has its payload" \
    node tests/schemas/asyncapi.mjs "$tools/contract"
check "schemas: Ajv, strict: each takes its own samples and no others" node tests/schemas/ajv.mjs "$tools/contract"
check "schemas: every field of the SDK's types, and none beyond" "$tools/sdk-python/bin/python" tests/schemas/sdk.py

checked
