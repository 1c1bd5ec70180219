# shellcheck shell=bash disable=SC2154
# Sourced after say.sh, with $root set: where things are built, the same for every script, so that
# nothing is built twice.

build_dir=${CERTRELOAD_BUILD_DIR:-$root/build}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
logs=$build_dir/logs
mkdir -p "$logs"

configure() {
    run_quietly "configuring" "$logs/configure.log" \
        cmake -S "$root" -B "$build_dir" "-DCERTRELOAD_CARGO_TARGET_DIR=$CARGO_TARGET_DIR"
}

# build TARGET: the library, and what is named; the first time takes minutes.
build() {
    run_quietly "building (minutes, the first time)" "$logs/build.log" \
        cmake --build "$build_dir" --parallel --target "$1"
}
