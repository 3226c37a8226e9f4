#!/usr/bin/env bash
# Every promise of the README, tested: the one command behind `make test` and `.ci/run`.
#
# Runs each step to its end even when one before it failed, so that one run tells all; adds up the counts that the
# steps print; exits 1 where any step or test failed. A tool that is absent is a failure with the sentence that says
# what to install, never a skip.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed_steps=()

step() {
    local name=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@" 2>&1 | tee -a "$log"; then
        printf '== %s: done in %d s\n' "$name" $((SECONDS - began))
    else
        printf '== %s: FAILED after %d s\n' "$name" $((SECONDS - began))
        failed_steps+=("$name")
    fi
}

step "tools: Apache Kafka" tests/tools/fetch-kafka.sh
step "tools: the senders' SDKs" tests/tools/fetch-sdks.sh
step "tools: schemas" tests/tools/fetch.sh contract
step "tools: deploy" tests/tools/fetch.sh deploy
step "tools: valgrind" tests/tools/fetch-valgrind.sh
step "tools: PostgreSQL, Kafka Connect" tests/tools/fetch.sh postgres connect
step "formatting" cargo fmt --all --check
step "clippy" cargo clippy --all-targets -- -D warnings
step "clippy of the proofs and the bench" cargo clippy --profile proof --no-default-features -p proofs -p support -p bench --all-targets -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
step "cargo test" cargo test
step "tests of the proofs and the bench" cargo test --profile proof --no-default-features -p proofs -p support -p bench
step "build the proofs" cargo build --profile proof --no-default-features -p proofs -p retell-bridge
step "proofs" target/proof/proofs test
step "instructions of the hot path" cargo test --profile proof --no-default-features -p bench --test instructions
# Three of its rows, as short as they go, so that it does not rot until somebody measures; `make bench-quick` has all. Their figures are noise, and no goal is judged here.
step "build the bench" cargo build --profile proof --no-default-features -p bench --bins
step "rows of the bench" target/proof/bench run --quick --bridge target/proof/retell-bridge --out target/bench-test start readable cost
step "Apache Kafka" cargo test --test kafka -- --test-threads 4
step "schemas" tests/schemas.sh
step "consumers" tests/consumers.sh
step "deploy" tests/deploy.sh

# Cargo's closing lines and the plain ones of the scripts.
read -r passed failed < <(awk '
    /^test result: /                    { passed += $4; failed += $6 }
    /^[0-9]+ passed, [0-9]+ failed$/    { passed += $1; failed += $3 }
    END                                 { print passed + 0, failed + 0 }' "$log")

# What failed once more, so that the end of a long log tells it.
if [ "${#failed_steps[@]}" -gt 0 ]; then
    printf '\nwhat failed:\n'
    # A proof tells its story below its line.
    awk '/^[a-z ]+FAILED: / { story = 12 }
         story-- > 0 || /(^test .*FAILED|panicked at |^(error|warning)(\[|:)|^not ok|^FAIL)/' "$log" | cut -c1-400 | tail -n 60
fi

printf '\n'
for name in ${failed_steps[@]+"${failed_steps[@]}"}; do
    printf 'failed: %s\n' "$name"
done
if [ "${#failed_steps[@]}" -gt 0 ] && [ "$failed" -eq 0 ]; then
    failed=${#failed_steps[@]}
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "${#failed_steps[@]}" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
