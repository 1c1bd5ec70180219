#!/usr/bin/env bash
# Every gate that a change has to pass, from a fresh clone on; stops at the first that fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/lib/say.sh"

usage() {
    cat <<'END'
usage: scripts/test.sh [--quick | --soak]

Installs what is missing and runs: rustfmt, the list of words, clippy, cargo test, models of what threads do to each
other, arc-swap's race windows, the audit of dependencies, the fuzz targets for a moment,
clang-format, CMake build and ctest, scripts/demo.sh (once with an empty cargo cache), the C tests
under valgrind and under sanitizers, and renewals under load. Ends with what this machine could not
test, and the closing lines of cargo test and ctest.

  --quick   without the empty cargo cache, fuzzing, valgrind, sanitizers and load
  --soak    with 2,000 renewals under load, a torture of 10,000 changes, ten minutes of chaos, ten of
            fuzzing, 200 runs of each truncated chain, and the Rust tests driven by a host besides: an hour more
  --help    this text

Logs are in build/logs. CERTRELOAD_BUILD_DIR and CARGO_TARGET_DIR say where to build.
END
}

mode=full
case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--quick) mode=quick ;;
--soak) mode=soak ;;
'') ;;
*)
    usage >&2
    exit 2
    ;;
esac

. "$root/scripts/lib/setup.sh"
. "$root/scripts/lib/build.sh"
cd "$root"
# Most tests wait more than they compute.
at_once=$((2 * $(nproc)))
beside=''
ran=() # the logs of this run
not_installed=$logs/not-installed.log
: >"$not_installed"
trap stop_beside EXIT

main() {
    headline "tools"
    ensure_rust
    ensure_test_tools
    printf '  %s, %s\n' "$(cargo --version)" "$(cmake --version | head -n 1)"

    headline "Rust"
    gate "rustfmt" cargo fmt --check
    gate "words" scripts/words.sh
    # It waits for downloads, and clippy for one processor.
    [ "$mode" = quick ] || begin "demo on an empty cargo cache" cold_demo
    gate "clippy" cargo clippy --locked --all-targets -- -D warnings
    [ "$mode" = quick ] || finish "demo on an empty cargo cache"
    # Tests wait for most of their time, which is enough for the compilers.
    begin "release build, C and C++" build_all
    gate "cargo test" cargo test --locked
    gate "models" cargo test --locked --manifest-path tests/models/Cargo.toml
    gate "arc-swap" tests/arc_swap/run.sh
    gate "audit" may_skip scripts/audit.sh
    [ "$mode" = quick ] || fuzz_gate

    headline "C and C++"
    gate "clang-format" check_format
    finish "release build, C and C++"
    [ "$mode" = quick ] || begin "instrumented build" tests/sanitizers/run.sh build
    gate "ctest" ctest --test-dir "$build_dir" --parallel "$at_once" --output-on-failure
    ran+=("$build_dir/Testing/Temporary/LastTest.log")

    headline "together"
    gate "demo" scripts/demo.sh
    if [ "$mode" != quick ]; then
        finish "instrumented build"
        valgrind_gate
        sanitizer_gates
        load_gates
    fi
    if [ "$mode" = soak ]; then
        host_gate
        cut_short_gate
        torture_gate
        chaos_gate
    fi
    closing_lines
}

headline() {
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

# gate NAME COMMAND...
gate() {
    ran+=("$(log_of "$1")")
    run_quietly "$1" "$(log_of "$1")" "${@:2}"
}

# may_skip COMMAND...: one that ends with 77 where the machine lacks something.
may_skip() {
    local status=0
    "$@" || status=$?
    [ "$status" -eq 77 ] || return "$status"
}

log_of() {
    printf '%s' "$logs/${1//[^a-z0-9_]/-}.log"
}

# begin NAME COMMAND...: a gate beside others, which go first where processors are short; one at a time.
begin() {
    set -m # a group of processes of its own
    {
        erase_line='' # it shows no progress
        renice -n 10 -p "$BASHPID" >/dev/null
        "${@:2}"
    } >"$(log_of "$1").beside" 2>&1 </dev/null &
    beside=$!
    set +m
}

# finish NAME: waits for it.
finish() {
    gate "$1" outcome_of "$1"
}

outcome_of() {
    local status=0
    wait "$beside" || status=$?
    beside=''
    cat "$(log_of "$1").beside"
    return "$status"
}

stop_beside() {
    [ -z "$beside" ] || kill -- "-$beside" 2>/dev/null || true
}

build_all() {
    configure
    build all
}

# The demo as a new user runs it: no cargo cache, no build directory, nothing but the sources. What a
# warm cache hides, such as a build that wants packages it does not download, shows here.
cold_demo() {
    local cold=$build_dir/cold home=${CARGO_HOME:-$HOME/.cargo} status=0 config
    rm -rf "$cold"
    mkdir -p "$cold/project" "$cold/cargo"
    for config in "$home/config.toml" "$home/config"; do
        [ ! -f "$config" ] || cp "$config" "$cold/cargo/"
    done
    copy_sources "$cold/project"
    env -u CARGO_TARGET_DIR -u CERTRELOAD_BUILD_DIR "CARGO_HOME=$cold/cargo" \
        "$cold/project/scripts/demo.sh" || status=$?
    # The last lines hold the error that ended the build; a hiccup that cargo got over stands further up.
    if [ "$status" -ne 0 ] && tail -n 8 "$cold/project/build/logs/build.log" 2>/dev/null | grep -qE "$unreachable"; then
        echo "NOT TESTED: the demo on an empty cargo cache: the crate registry cannot be reached"
        status=0
    fi
    [ "$status" -ne 0 ] || rm -rf "$cold"
    return "$status"
}
unreachable="Could ?n[o']t (resolve host|connect to server)"

# copy_sources DIRECTORY: what git tracks, as it is in the working tree; without git, all that is not built.
copy_sources() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
            [ ! -e "$file" ] || printf '%s\0' "$file"
        done | tar --null --files-from - -c | tar -x -C "$1"
    else
        # No directories: another gate may create files in one while tar reads it, and that is an error of tar's.
        find . \( -path ./target -o -path ./build -o -path ./fuzz/target -o -path ./tests/models/target -o -path ./.git \) \
            -prune -o \( -type f -o -type l \) -print0 | tar --null --files-from - -c | tar -x -C "$1"
    fi
}

fuzz_gate() {
    gate "clippy, fuzzing" cargo clippy --locked -- --cfg fuzzing -D warnings
    if [ "$mode" = soak ]; then
        gate "fuzzing" fuzz/run.sh --runs -1 --seconds 100 --seed "$RANDOM"
    else
        gate "fuzzing" fuzz/run.sh
    fi
    sed 's/^/    /' "$logs/fuzzing.log"
}

# The generated header is cbindgen's affair.
check_format() {
    find adapters examples-c include tests benches -name '*.[ch]' -o -name '*.[ch]pp' |
        grep -v '^include/certreload\.h$' | xargs clang-format --dry-run --Werror
}

# Memory errors, and memory that nothing points to any more.
valgrind_gate() {
    gate "valgrind" run_under_valgrind
}

run_under_valgrind() {
    local status=0 name
    if ! command -v valgrind >/dev/null; then
        echo "NOT TESTED: the C tests under valgrind: it is not installed"
        return
    fi
    export CERTRELOAD_EXAMPLES_DIR="$build_dir/examples" CERTRELOAD_TESTS_DIR="$root/tests"
    find "$build_dir/tests" -maxdepth 1 -type f -name 'c_*' -print0 |
        xargs -0 -P "$at_once" -n 1 tests/c/valgrind.sh "$logs" | tee "$logs/valgrind-results.log" || status=$?
    sed -n 's/^FAILED: \([^ ]*\) .*/\1/p' "$logs/valgrind-results.log" | while read -r name; do
        printf '\n%s:\n' "$name"
        tail -n 60 "$logs/valgrind-$name.log"
    done
    return "$status"
}

# Memory errors, leaks, undefined behaviour and data races, in C and in Rust.
sanitizer_gates() {
    local sanitizer
    gate "AddressSanitizer and UBSan" tests/sanitizers/run.sh address
    gate "ThreadSanitizer" tests/sanitizers/run.sh thread
    for sanitizer in address thread; do
        ran+=("$build_dir/sanitizers/$sanitizer/Testing/Temporary/LastTest.log")
    done
}

# ctest has put the first of them under load already.
load_gates() {
    local server
    for server in epoll_server cpp_server libevent_server; do
        gate "load $server" load "$server" --renewals 60
    done
    [ "$mode" != soak ] ||
        gate "soak of 2,000 renewals" load https_server --renewals 2000
}

# The Rust tests once more, their handles driven by a host in its own loop.
host_gate() {
    gate "cargo test, driven by a host" env CERTRELOAD_TEST_DRIVER=host cargo test --locked
}

# The short form of it runs with cargo test: 20 runs of each scenario.
cut_short_gate() {
    gate "chains cut short, 200 runs" env CERTRELOAD_SOAK_RUNS=200 cargo test --locked --test chains_cut_short
}

# The short form of it runs with cargo test. CERTRELOAD_TORTURE_SEED replays what a run has printed.
torture_gate() {
    gate "torture of 10,000 changes" env CERTRELOAD_TORTURE_CHANGES=10000 \
        cargo test --locked --release --test torture
    grep '^torture: ' "$logs/torture-of-10-000-changes.log"
}

# The short form of it runs with ctest. CERTRELOAD_CHAOS_SEED replays what a run has printed, nearly.
chaos_gate() {
    gate "chaos of 10 minutes" env CERTRELOAD_CHAOS_SECONDS=600 "$build_dir/tests/chaos"
    grep '^chaos: ' "$logs/chaos-of-10-minutes.log" | tail -n 1
}

load() {
    python3 tests/load/load.py --server "$build_dir/examples/$1" "${@:2}"
}

closing_lines() {
    local untested
    # A gate that was not run for want of a tool has left no log.
    untested=$({ sed -ns 's/.*\(NOT TESTED: .*\)/\1/p' "${ran[@]}" "$not_installed" 2>/dev/null || true; } | sort -u)
    [ -z "$untested" ] || printf '\n%sNot tested on this machine: %d.%s\n%s\n' \
        "$bold" "$(wc -l <<<"$untested")" "$plain" "$untested"
    printf '\n%sAll gates passed in %d min %d s%s, %d left untested. The test runners close with:\n' \
        "$green" $((SECONDS / 60)) $((SECONDS % 60)) "$plain" "$(grep -c . <<<"$untested" || true)"
    grep -E '^test result:|^torture: ' "$logs/cargo-test.log"
    grep -E '^[0-9]+% tests passed|^Total Test time' "$logs/ctest.log"
}

main
