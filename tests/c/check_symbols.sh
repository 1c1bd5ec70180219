#!/bin/sh
# The shared library exports what tests/symbols.txt lists, and the headers declare the same; it is
# linked as promised; and test_null.c leaves no function of certreload.h out.
#
# usage: check_symbols.sh LIBRARY INCLUDE_DIRECTORY GENERATED_INCLUDE_DIRECTORY C_COMPILER
# To accept a change of the exported symbols: nm -D --defined-only LIBRARY, third column, sorted.
set -eu

library=$1 include=$2 generated=$3 cc=$4
tests=$(cd "$(dirname "$0")/.." && pwd)
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

fail() {
    echo "$*"
    status=1
}

# equal WHAT EXPECTED ACTUAL: two sorted lists in files are the same.
equal() {
    diff "$2" "$3" || fail "FAILED: $1 (< expected, > found)"
}

# What a header declares for the linker. The preprocessor takes the comments out, and what is
# behind feature guards that are off.
declared() {
    echo "#include <$1>" | "$cc" -std=c11 -E -P -I"$include" -I"$generated" - >"$work/declarations"
    {
        grep -oE "\b$2[a-z0-9_]+\(" "$work/declarations" | tr -d '('
        sed -nE 's/^extern const .*\b([A-Z_]+)(\[[0-9]+\])?;$/\1/p' "$work/declarations"
    } | sort -u
}

nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported"
equal "symbols.txt is what the library exports" "$tests/symbols.txt" "$work/exported"

declared certreload.h certreload_ >"$work/certreload.h"
grep '^certreload_' "$tests/symbols.txt" >"$work/certreload" || :
equal "certreload.h declares what is exported" "$work/certreload" "$work/certreload.h"

declared rustls.h rustls_ >"$work/rustls.h"
grep -v '^certreload_' "$tests/symbols.txt" >"$work/rustls" || :
equal "rustls.h declares what is exported" "$work/rustls" "$work/rustls.h"

while read -r function; do
    grep -qE "\b$function\(" "$tests/c/test_null.c" || fail "FAILED: test_null.c has no $function"
done <"$work/certreload"

readelf -dW "$library" >"$work/dynamic"
grep -q 'SONAME.*\[libcertreload\.so\.[0-9]*\]' "$work/dynamic" || fail "FAILED: no SONAME"
grep -q '(SYMBOLIC)\|(FLAGS).*SYMBOLIC' "$work/dynamic" || fail "FAILED: not bound symbolically"
grep -q '(FLAGS_1).*NODELETE' "$work/dynamic" || fail "FAILED: dlclose could unmap it"
if grep -q STATIC_TLS "$work/dynamic"; then
    fail "FAILED: dlopen could find no room for its thread-local values"
fi
# One is the C runtime's; see .cargo/config.toml for those of aws-lc.
[ "$(sed -n 's/.*(FINI_ARRAYSZ) *//p' "$work/dynamic")" = "8 (bytes)" ] ||
    fail "FAILED: it has destructors that run while threads go on"
if grep -q TEXTREL "$work/dynamic"; then
    fail "FAILED: relocations in its code"
fi
[ $status -ne 0 ] || echo "$(wc -l <"$work/exported") symbols, as listed and as declared"
exit $status
