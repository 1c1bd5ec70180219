#!/bin/sh
# Every C and C++ example of a document compiles as it stands, warnings being errors.
#
# usage: check_readme.sh DOCUMENT CC CXX INCLUDE_DIR...
set -eu
readme=$1 cc=$2 cxx=$3
shift 3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

includes= openssl=/nonexistent
for directory; do
    includes="$includes -I$directory"
    [ ! -e "$directory/certreload_openssl.h" ] || openssl=$directory/certreload_openssl.h
done

awk -v scratch="$scratch" '
    /^```(c|cpp)$/ { file = scratch "/" ++count "." substr($0, 4); next }
    /^```/         { file = "" }
    file           { print > file }
' "$readme"

examples=0
for example in "$scratch"/*.c "$scratch"/*.cpp; do
    [ -e "$example" ] || continue
    case $example in
    *.c) compiler="$cc -std=c11" ;;
    *) compiler="$cxx -std=c++17" ;;
    esac
    # The headers of OpenSSL may be missing, and with them the adapter.
    if grep -q certreload_openssl "$example" && [ ! -e "$openssl" ]; then
        echo "NOT TESTED: $example: the adapter for OpenSSL is not built"
        continue
    fi
    # shellcheck disable=SC2086 # flags, and directories without spaces
    $compiler -Wall -Wextra -Wpedantic -Werror -fsyntax-only $includes "$example"
    examples=$((examples + 1))
done
expected=$(grep -cE '^```(c|cpp)$' "$readme")
[ "$examples" -ge 1 ] || {
    echo "none of $expected examples in $readme was compiled"
    exit 1
}
echo "$examples of $expected examples of $readme compile"
