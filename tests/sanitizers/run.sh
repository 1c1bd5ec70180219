#!/usr/bin/env bash
# Builds the library and the C and C++ tests with a sanitizer in them, and runs the tests.
#
# The stable toolchain has no option for that, and its standard library comes without sanitizers. But
# what it comes with is enough: all of the library's Rust code, the dependencies' and the standard
# library's too, is merged into one module of LLVM's bitcode (fat LTO does that), and link.sh
# has rustc's own LLVM instrument it. AWS-LC's C and assembly are left as they are: what they do
# with memory is seen where they call malloc, free, memcpy and the like, and under valgrind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/scripts/lib/say.sh"
. "$root/scripts/lib/build.sh"

usage() {
    cat <<'END'
usage: tests/sanitizers/run.sh build | address | thread [TEST...]

  build     both instrumented libraries, and the tests
  address   runs the tests under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
  thread    runs them under ThreadSanitizer
  TEST      a regular expression of ctest's that says which; by default all in C and C++

Before the tests, bugs that were planted in the library have to be found.
END
}

rust=$(rustc --print target-libdir)
work=$build_dir/sanitizers
export LIBRARIES=$work/lib BITCODE=$work/certreload.bc
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
# Programs that end with threads running do so on purpose; and children of a fork start some.
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0:report_thread_leaks=0

main() {
    local what=${1:-}
    [ $# -eq 0 ] || shift
    if [ ! -x "$rust/../bin/gcc-ld/ld.lld" ] || [ ! -e "$rust/librustc-stable_rt.tsan.a" ]; then
        echo "NOT TESTED: sanitizers: this Rust comes without rust-lld and the sanitizers' runtimes"
        exit
    fi
    case $what in
    build)
        build_libraries
        build_tests address
        build_tests thread
        ;;
    address | thread)
        find_planted "$what"
        build_tests "$what"
        run_tests "$what" "${@:-^c(pp)?_}"
        ;;
    --help) usage ;;
    *) usage >&2 && exit 2 ;;
    esac
}

build_libraries() {
    make_crate "$work/crate"
    SANITIZERS='address thread' cargo rustc --locked --release --lib --manifest-path "$work/crate/Cargo.toml" \
        -- -Cstrip=none -Copt-level=1 -Cdebuginfo=line-tables-only -Cdebug-assertions=on -Coverflow-checks=on \
        "--emit=link,llvm-bc=$BITCODE" "-Clinker=$here/link.sh" -Clinker-flavor=gcc
}

# The library's own manifest and sources, but that it is a cdylib only (of others rustc makes no one
# module), has another name, so that it is not taken for the real one, no benchmarks, and the planted bugs.
make_crate() {
    local source
    mkdir -p "$1/src"
    sed -e '/^\[\[bench\]\]/,/^$/d' \
        -e 's/^crate-type = .*/crate-type = ["cdylib"]\nname = "certreload_sanitized"/' "$root/Cargo.toml" |
        write "$1/Cargo.toml"
    printf '\n[workspace]\n' >>"$1/Cargo.toml"
    ln -sf "$root"/{Cargo.lock,build.rs,build_header.rs,cbindgen.toml} "$1/"
    for source in "$root"/src/*; do
        [ "${source##*/}" = lib.rs ] || ln -sfn "$source" "$1/src/${source##*/}"
    done
    ln -sf "$here/planted.rs" "$1/src/planted.rs"
    { cat "$root/src/lib.rs" && printf '\npub mod planted;\n'; } | write "$1/src/lib.rs"
}

# A file that stays as it is keeps its time.
write() {
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# find_planted SANITIZER
find_planted() {
    local program=$work/planted.$1
    # shellcheck disable=SC2046 # several words
    clang -g "-fsanitize=$1" "$here/planted.c" -o "$program" $(runtime "$1") \
        "-L$LIBRARIES/$1" -lcertreload "-Wl,-rpath,$LIBRARIES/$1"
    ln -sf libcertreload.so "$LIBRARIES/$1/libcertreload.so.0"
    case $1 in
    address)
        found "$program" use-after-free 'heap-use-after-free|planted_use_after_free '
        found "$program" use-after-free-in-std 'heap-use-after-free|Parser'
        found "$program" leak 'detected memory leaks|planted.rs'
        ;;
    thread)
        found "$program" race 'data race|planted_race'
        found "$program" release-without-acquire 'data race|planted_release_without_acquire'
        found "$program" use-after-free 'heap-use-after-free|planted_use_after_free'
        ;;
    esac
    "$program" nothing || die "reported what is no bug"
}

# found PROGRAM BUG WHAT|WHERE: both are in the report of the bug.
found() {
    local said
    ! said=$("$1" "$2" 2>&1) || die "the planted $2 was not found"
    if ! grep -Eq "${3%|*}" <<<"$said" || ! grep -Eq "${3#*|}" <<<"$said"; then
        die "the planted $2 was reported as something else: $said"
    fi
    printf 'planted: %s: found\n' "$2"
}

# build_tests SANITIZER
build_tests() {
    local build=$work/$1
    clang -c "$here/manners.c" -o "$work/manners.o"
    cmake -S "$root" -B "$build" "-DCERTRELOAD_PREBUILT=$LIBRARIES/$1" -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        "-DCMAKE_C_FLAGS=$(flags "$1")" "-DCMAKE_CXX_FLAGS=$(flags "$1")" \
        "-DCMAKE_EXE_LINKER_FLAGS=$work/manners.o $(runtime "$1")"
    cmake --build "$build" --parallel
}

# run_tests SANITIZER TESTS: two for each processor at a time, for they wait more than they compute.
run_tests() {
    # c_stacks measures stacks, which AddressSanitizer makes larger.
    local left_out='^c_stacks$'
    # OpenSSL's own atomics are not instrumented, so ThreadSanitizer would report them.
    [ "$1" = address ] || left_out+='|^c_openssl_'
    ctest --test-dir "$work/$1" --exclude-regex "$left_out" --parallel $((2 * $(nproc))) \
        --output-on-failure --no-tests=error --tests-regex "$2"
}

# runtime SANITIZER: how a program is linked with it. Rust's own: of the LLVM that instrumented the
# library. Of the system's, older ones leave a forked child with their locks taken.
runtime() {
    local library
    case $1 in
    address) library=asan ;;
    thread) library=tsan ;;
    esac
    library=$rust/librustc-stable_rt.$library.a
    printf -- '-fno-sanitize-link-runtime -Wl,--whole-archive %s -Wl,--no-whole-archive -rdynamic -lm -ldl' "$library"
}

flags() {
    local sanitizers=$1
    [ "$1" != address ] || sanitizers=address,undefined
    printf -- '-g -O1 -fno-omit-frame-pointer -fsanitize=%s -fno-sanitize-recover=all -fno-sanitize=vptr,function' \
        "$sanitizers"
}

main "$@"
