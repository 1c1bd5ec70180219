# shellcheck shell=bash disable=SC2034
# Sourced: what scripts print for the person who runs them. Colours only on a terminal.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m' erase_line=$'\r\e[K'
else
    bold='' green='' red='' plain='' erase_line=''
fi

die() {
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit 1
}

# run_quietly WHAT LOG COMMAND...: one line that ends in "ok" and the time; on failure, what the log says
# of it. On a terminal the line shows how far the command is; elsewhere, what is waited for.
run_quietly() {
    local what=$1 log=$2 started=$SECONDS status=0 ticker=''
    shift 2
    : >"$log"
    if [ -n "$erase_line" ]; then
        show_progress "$what" "$log" &
        ticker=$!
    else
        printf '  %-46s ' "$what"
    fi
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || true
        wait "$ticker" 2>/dev/null || true
        printf '%s  %-46s ' "$erase_line" "$what"
    fi
    if [ "$status" -ne 0 ]; then
        printf '%sFAILED%s\n\n' "$red" "$plain"
        show_failure "$log"
        printf '\n%sFAILED:%s %s (exit code %s of: %s). The whole log: %s\n' \
            "$red" "$plain" "$what" "$status" "$*" "$log" >&2
        return "$status"
    fi
    printf '%sok%s  %d s\n' "$green" "$plain" $((SECONDS - started))
}

# show_failure LOG: the output of the tests that failed, where a test runner wrote the log, and the end of
# the log. Tests that run side by side go on after one has failed, so the end alone does not show it.
show_failure() {
    local failed
    # ctest prints the output of a failed test between its line and the next test's.
    failed=$(awk '/^ *[0-9]+\/[0-9]+ Test +#|^ +Start +[0-9]+:|^[0-9]+% tests passed/ { inside = 0 }
        / Test +#.*\*\*\*/ && !/\*\*\*Skipped/ { inside = 1; lines = 0 }
        inside && lines++ < 300' "$1")
    # cargo test prints it after the line "failures:".
    [ -n "$failed" ] || failed=$(awk '/^failures:$/ { inside = 1 } inside && lines++ < 300' "$1")
    [ -z "$failed" ] || printf '%s\n\n' "$failed"
    tail -n "$([ -n "$failed" ] && echo 20 || echo 120)" "$1"
}

show_progress() {
    local started=$SECONDS room last
    room=$(($(tput cols 2>/dev/null || echo 80) - 60))
    while kill -0 $$ 2>/dev/null; do # Ctrl-C does not reach a background process
        last=$(tail -n 1 "$2" | tr -d '\r\033' | cut -c "1-$((room > 20 ? room : 20))")
        printf '%s  %-46s %d s  %s' "$erase_line" "$1" $((SECONDS - started)) "$last"
        sleep 0.5
    done
}
