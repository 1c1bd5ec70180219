#!/usr/bin/env bash
# The linker that cargo calls for the instrumented library; see run.sh. It is given the whole of the
# library as machine code, and takes it as LLVM's bitcode instead: rustc's own LLVM, which is in the
# rust-lld that comes with it, instruments that, and the system's linker makes a library of it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${SANITIZERS:?}" "${BITCODE:?}" "${LIBRARIES:?}"
lld=$(rustc --print target-libdir)/../bin/gcc-ld/ld.lld

main() {
    local sanitizer pids=() pid
    for sanitizer in $SANITIZERS; do
        make_library "$sanitizer" "$@" &
        pids+=($!)
    done
    # For cargo, which wants to see what it asked for; and the header, which goes with the library.
    : >"$(output "$@")"
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
}

# output RUSTC'S ARGUMENTS...: what follows -o
output() {
    while [ "$1" != -o ]; do shift; done
    printf '%s' "$2"
}

# make_library SANITIZER RUSTC'S ARGUMENTS...
make_library() {
    local sanitizer=$1 directory=$LIBRARIES/$1 arguments=() argument passes object more=()
    shift
    mkdir -p "$directory/include"
    cp "$CERTRELOAD_GENERATED_INCLUDE/rustls.h" "$directory/include/"
    object=$directory/instrumented.o
    case $sanitizer in
    address) passes='forceattrs,asan' ;;
    thread)
        passes='forceattrs,tsan-module,function(tsan)'
        clang -O2 -fPIC -fno-builtin -c "$here/thread_runtime.c" -o "$directory/thread_runtime.o"
        more=("$directory/thread_runtime.o" -Xlinker --wrap=__tsan_atomic64_fetch_sub
            -Xlinker --wrap=__tsan_atomic_thread_fence)
        ;;
    esac
    "$lld" -r --lto-newpm-passes="$passes" -mllvm "-force-attribute=sanitize_$sanitizer" \
        "$BITCODE" -o "$object"
    for argument; do
        case $argument in
        *.rcgu.o) argument=$object ;;
        */libcertreload_sanitized.so) argument=$directory/libcertreload.so ;;
        esac
        arguments+=("$argument")
    done
    # The sanitizer's runtime is in the programs, not in the library.
    cc "${arguments[@]}" "${more[@]}" -Wl,-z,undefs -Wl,-Bsymbolic -Wl,-soname,libcertreload.so.0
}

main "$@"
