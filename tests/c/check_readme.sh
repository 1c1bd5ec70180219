#!/bin/sh
# Every C and C++ example of the README compiles as it stands, warnings being errors.
#
# usage: check_readme.sh README CC CXX INCLUDE_DIR...
set -eu
readme=$1 cc=$2 cxx=$3
shift 3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

includes=
for directory; do
    includes="$includes -I$directory"
done

awk -v scratch="$scratch" '
    /^```(c|cpp)$/ { file = scratch "/" ++count "." substr($0, 4); next }
    /^```/         { file = "" }
    file           { print > file }
' "$readme"

examples=0
for example in "$scratch"/*.c "$scratch"/*.cpp; do
    case $example in
    *.c) compiler="$cc -std=c11" ;;
    *) compiler="$cxx -std=c++17" ;;
    esac
    # shellcheck disable=SC2086 # flags, and directories without spaces
    $compiler -Wall -Wextra -Wpedantic -Werror -fsyntax-only $includes "$example"
    examples=$((examples + 1))
done
[ "$examples" -ge 4 ] || {
    echo "only $examples examples in $readme"
    exit 1
}
echo "$examples examples of the README compile"
