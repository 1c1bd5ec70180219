#!/usr/bin/env bash
# Tests that arc-swap's instances do not exchange their values, with threads held inside of `load`.
#
# arc-swap before 1.9.5 is unsound: if a value of one instance is freed while a thread loads it, and another
# instance stores a value at the same address, the load may return that value (its issue 210). The windows
# are a few instructions long, so a test that waits for chance proves nothing. This script copies the source
# of arc-swap that cargo unpacked, inserts a call into each window, and runs the tests of this crate with it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/scripts/lib/say.sh"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
work=$CARGO_TARGET_DIR/arc_swap

usage() {
    cat <<'END'
usage: tests/arc_swap/run.sh [ARGUMENT...]

Runs arc-swap's copy with a call in each race window of `load`, and checks what the library relies on.
Passes each ARGUMENT to the test program, for instance the name of a test.

CERTRELOAD_ARC_SWAP_VERSION names another version of arc-swap to test, which cargo then downloads. The tests
fail with versions before 1.9.5.
END
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
esac

# .cargo/config.toml applies to the directory in which cargo runs.
cd "$root"
locked=$(sed -n '/^name = "arc-swap"$/ { n; s/^version = "\(.*\)"$/\1/p; }' Cargo.lock)
[ -n "$locked" ] || die "Cargo.lock names no arc-swap"
version=${CERTRELOAD_ARC_SWAP_VERSION:-$locked}

main() {
    local source
    # Neither command downloads anything if the library and its tests have been built: the versions are those of
    # Cargo.lock.
    source=$(source_of_arc_swap)
    copy_with_windows "$source" "$work/arc-swap"
    make_crate
    cargo test --quiet --offline --manifest-path "$work/crate/Cargo.toml" -- --nocapture "$@"
}

# Prints where cargo unpacked arc-swap. Only cargo knows, as the source may be vendored or replaced. A crate with
# that one dependency is asked, because `cargo metadata` of the library wants packages that no build downloads.
source_of_arc_swap() {
    local offline=(--offline) metadata
    [ "$version" = "$locked" ] || offline=()
    mkdir -p "$work/finder/src"
    : >"$work/finder/src/lib.rs"
    cp Cargo.lock "$work/finder/Cargo.lock"
    printf '%s\n' '[package]' 'name = "finder"' 'version = "0.0.0"' 'edition = "2024"' '[workspace]' \
        '[dependencies]' "arc-swap = \"=$version\"" >"$work/finder/Cargo.toml"
    metadata=$(cargo metadata --quiet --format-version 1 "${offline[@]}" \
        --manifest-path "$work/finder/Cargo.toml")
    python3 -c 'import json, os, sys
paths = [p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "arc-swap"]
print(os.path.dirname(paths[0]))' <<<"$metadata"
}

# copy_with_windows SOURCE COPY
copy_with_windows() {
    local hybrid=$2.new/src/strategy/hybrid.rs helping=$2.new/src/debt/helping.rs
    rm -rf "$2.new"
    mkdir -p "$2.new"
    cp -R "$1/src" "$2.new/"
    # Without tests and benchmarks, and with the version that Cargo.lock and the library's Cargo.toml name.
    sed -e '/^\[\[/,/^$/d' -e '/^\[dev-dependencies/,/^$/d' \
        -e "s/^version = \"${version//./\\.}\"$/version = \"$locked\"/" "$1/Cargo.toml" >"$2.new/Cargo.toml"
    cat "$here/race_window.rs" >>"$2.new/src/lib.rs"
    # The pointer was read: the debt is not yet written.
    insert_window 1 'let debt = node.new_fast(' "$hybrid"
    # The debt is written: the pointer is not yet confirmed.
    insert_window 2 'let confirm = storage.load(' "$hybrid"
    # The fallback, taken if the slots are full or the pointer changed: announced, and the pointer not yet read.
    insert_window 3 'let candidate = storage.load(' "$hybrid"
    # The pointer was read: the debt is not yet written.
    insert_window 4 'match node.confirm_helping(' "$hybrid"
    # The debt is written: the announcement is not yet withdrawn.
    insert_window 5 'let control = self.control.swap(IDLE' "$helping"
    replace_if_changed "$2"
}

# insert_window NUMBER STATEMENT FILE: a call in front of the statement, which has to be there once.
insert_window() {
    [ "$(grep -cF "$2" "$3")" = 1 ] || die "arc-swap $version: not once in ${3##*/}: $2 (this script has to follow)"
    sed -i "s/^\( *\)$(printf '%s' "$2" | sed 's/[.*[]/\\&/g')/\1crate::race_window::enter($1);\n&/" "$3"
    grep -qF "race_window::enter($1)" "$3" || die "window $1 was not inserted into $3"
}

make_crate() {
    mkdir -p "$work/crate.new"
    cp -R "$here/src" "$work/crate.new/"
    sed -e "s|@library@|$root|" -e "s|@arc_swap@|$work/arc-swap|" "$here/Cargo.toml" >"$work/crate.new/Cargo.toml"
    # cargo takes what it needs from the library's lock file, and drops the rest.
    cp Cargo.lock "$work/crate.new/library.lock"
    if ! cmp -s Cargo.lock "$work/crate/library.lock"; then
        cp Cargo.lock "$work/crate.new/Cargo.lock"
    else
        cp "$work/crate/Cargo.lock" "$work/crate.new/Cargo.lock"
    fi
    replace_if_changed "$work/crate"
}

# replace_if_changed DIRECTORY: with DIRECTORY.new. What stays the same keeps its times, and is not built again.
replace_if_changed() {
    if diff -r "$1.new" "$1" >/dev/null 2>&1; then
        rm -rf "$1.new"
    else
        rm -rf "$1"
        mv "$1.new" "$1"
    fi
}

main "$@"
