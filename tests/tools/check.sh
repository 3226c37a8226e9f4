# For scripts that check much and print one line a check: source it, call `check`, end with `checked`.
# Needs $scratch, a folder for what the commands print.

passed=0
failed=0
check() { # check WHAT COMMAND...: runs it, silent when it passes; a function fails at its first failing line
    local what="$1" code=0
    shift
    # Beside, not in an `if` or before a `||`: there Bash forgets -e, and a function would pass by its last line alone.
    (
        set -e
        "$@"
    ) >"$scratch/output" 2>&1 &
    wait $! || code=$?
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok    $what"
    else
        failed=$((failed + 1))
        echo "FAIL  $what"
        sed 's/^/      /' "$scratch/output"
    fi
}

runs() { # runs WORD COMMAND...: the tool is there, starts, and its version holds the word
    local word="$1" output
    shift
    if ! output="$("$@" 2>&1)" || [[ "$output" != *"$word"* ]]; then
        echo "$output"
        echo "$1 is absent or not the one wanted ($word): run ${fetch:?}"
        return 1
    fi
}

checked() { # the closing line; fails where a check has
    echo
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
