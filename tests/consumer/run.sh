#!/bin/sh
# Builds and runs programs that use the library the way other projects do.
#
# usage: run.sh find_package|add_subdirectory|pkg_config CMAKE SOURCE BUILD CARGO_TARGET_DIRECTORY
set -eu

way=$1 cmake=$2 source=$3 build=$4 cargo_target=$5
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is configured here shall not be found by way of the caller's settings.
unset PKG_CONFIG_PATH PKG_CONFIG_LIBDIR LD_LIBRARY_PATH CMAKE_PREFIX_PATH

fail() {
    echo "FAILED: $*"
    exit 1
}

openssl=$(sed -n 's/^CERTRELOAD_BUILD_OPENSSL:BOOL=//p' "$build/CMakeCache.txt")
case $openssl in 1 | ON | TRUE) openssl=ON ;; esac
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source/Cargo.toml" | head -n 1)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=consumer \
    -addext subjectAltName=DNS:consumer.test -keyout "$work/key.pem" -out "$work/chain.pem" \
    2>"$work/openssl.log" || fail "$(cat "$work/openssl.log")"

# run PROGRAM shared|static: it works, and is linked as it says.
run() {
    said=$("$1" "$work/chain.pem" "$work/key.pem") || fail "$1 ended with $?"
    [ "$said" = "certreload $version consumer.test" ] || fail "$1 said: $said"
    needed=$(readelf -d "$1" | grep NEEDED)
    case "$2 $needed" in
    shared*libcertreload.so.${version%%.*}]*) ;;
    shared*) fail "$1 does not need libcertreload.so.${version%%.*}: $needed" ;;
    static*libcertreload*) fail "$1 needs the shared library: $needed" ;;
    esac
    echo "$2: $(basename "$1"): $said"
}

run_all() {
    for language in c cpp; do
        for kind in shared static; do
            run "$1/programs/${language}_$kind" $kind
        done
    done
    if [ "$openssl" = ON ]; then
        run "$1/programs/openssl_shared" shared
        run "$1/programs/openssl_static" static
    fi
}

# Installs, and moves what was installed: nothing in it may point to where it was, or was built.
install_and_move() {
    "$cmake" --install "$build" --prefix "$work/before" >"$work/install.log"
    mv "$work/before" "$work/after"
    prefix=$work/after
    for file in $(find "$prefix" -name '*.cmake' -o -name '*.pc' -o -name '*.h' -o -name '*.hpp'); do
        ! grep -nF -e "$work" -e "$source" -e "$build" "$file" || fail "$file is not relocatable"
    done
    libdir=$(dirname "$(find "$prefix" -name libcertreload.so)")
    [ -L "$libdir/libcertreload.so" ] && [ -L "$libdir/libcertreload.so.${version%%.*}" ] ||
        fail "the links to the shared library are missing"
    [ -f "$libdir/libcertreload.so.$version" ] && [ ! -L "$libdir/libcertreload.so.$version" ] ||
        fail "libcertreload.so.$version is missing"
    notices=$(find "$prefix" -name LICENSE-THIRD-PARTY)
    [ -n "$notices" ] && grep -q '^- rustls ' "$notices" && grep -q 'AWS Libcrypto (AWS-LC)' "$notices" ||
        fail "the licences of third-party software are not installed"
}

case $way in
find_package)
    install_and_move
    "$cmake" -S "$here/find_package" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log"
    "$cmake" --build "$work/build" >"$work/log" || fail "$(cat "$work/log")"
    run_all "$work/build"
    ;;
add_subdirectory)
    "$cmake" -S "$here/add_subdirectory" -B "$work/build" -DCERTRELOAD_SOURCE_DIR="$source" \
        -DCERTRELOAD_CARGO_TARGET_DIR="$cargo_target" >"$work/log"
    "$cmake" --build "$work/build" >"$work/log" || fail "$(cat "$work/log")"
    run_all "$work/build"
    ;;
pkg_config)
    command -v pkg-config >/dev/null || { echo "NOT TESTED: pkg-config: it is not installed"; exit 77; }
    install_and_move
    export PKG_CONFIG_PATH="$libdir/pkgconfig"
    [ "$(pkg-config --modversion certreload)" = "$version" ] || fail "certreload.pc has another version"
    flags=$(pkg-config --cflags --libs certreload)
    cc -std=c11 -o "$work/c_shared" "$here/consumer.c" $flags -Wl,-rpath,"$libdir"
    c++ -std=c++17 -o "$work/cpp_shared" "$here/consumer.cpp" $flags -Wl,-rpath,"$libdir"
    run "$work/c_shared" shared
    run "$work/cpp_shared" shared
    if [ "$openssl" = ON ]; then
        flags=$(pkg-config --cflags --libs certreload-openssl)
        cc -std=c11 -o "$work/openssl_shared" "$here/consumer_openssl.c" $flags -Wl,-rpath,"$libdir"
        run "$work/openssl_shared" shared
    fi
    # The linker takes the shared library where both are there.
    rm "$libdir"/libcertreload.so*
    flags=$(pkg-config --static --cflags --libs certreload)
    cc -std=c11 -o "$work/c_static" "$here/consumer.c" $flags
    c++ -std=c++17 -o "$work/cpp_static" "$here/consumer.cpp" $flags
    run "$work/c_static" static
    run "$work/cpp_static" static
    ;;
*)
    fail "unknown way: $way"
    ;;
esac
