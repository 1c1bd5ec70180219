#!/usr/bin/env bash
# Builds the fuzz targets and runs each of them, and says how many inputs it was given.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../target}

usage() {
    cat <<'END'
usage: fuzz/run.sh [--runs N] [--seconds N] [--seed N] [--corpus DIRECTORY] [TARGET...]

Runs each target (by default all) on the committed seeds, and on what the fuzzer makes of them.

  --runs N            how many inputs at most; by default 20,000; -1 is no limit
  --seconds N         how long at most, each; by default 30
  --seed N            of the fuzzer's randomness; by default 1, so that a run can be repeated
  --corpus DIRECTORY  keep interesting inputs there, in a directory for each target
  --help              this text

What breaks a target is left in the working directory as TARGET-crash-...; run the target's program
with that file to see it again, and commit the file as a seed when it is mended.
END
}

targets=()
runs=20000 seconds=30 seed=1 corpus=''
while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    --corpus) corpus=$2 && shift ;;
    --help) usage && exit ;;
    --*) usage >&2 && exit 2 ;;
    *) targets+=("$1") ;;
    esac
    shift
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd "$here/targets" && printf '%s\n' *.rs | sed 's/\.rs$//')

# In memory where the system has that: the targets write files.
work=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$work"' EXIT
corpus=${corpus:-$work/corpus}

main() {
    RUSTC_WRAPPER=$here/instrument cargo build --locked --quiet --manifest-path "$here/Cargo.toml"
    local target
    for target in "${targets[@]}"; do
        run "$target"
    done
}

run() {
    local log=$work/log status=0 found=$corpus/$1 made_of=$here/seeds/$1
    # A pair is what an identity is made of.
    [ -d "$made_of" ] || made_of=$here/seeds/identity
    mkdir -p "$found"
    # libFuzzer writes what it finds into the first directory.
    TMPDIR=$work "$CARGO_TARGET_DIR/debug/fuzz_$1" -runs="$runs" -max_total_time="$seconds" -seed="$seed" \
        -dict="$here/pem.dict" -max_len=16384 -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$1-" "$found" "$made_of" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 60 "$log"
        exit "$status"
    fi
    sed -n -e 's/^#[0-9]*\tDONE *\(cov: [0-9]*\).*/\1/p' \
        -e 's/^stat::number_of_executed_units: *//p' "$log" |
        paste -s -d ' ' | while read -r _ covered executions; do
            printf 'fuzz %-10s %9d executions, %5d edges, seed %d\n' "$1" "$executions" "$covered" "$seed"
        done
}

main
