#!/bin/sh
# Each public header compiles alone, twice over, as C11 and as C++17, with no warning; and the two C
# headers together, in both orders.
#
# usage: check_headers.sh C_COMPILER C++_COMPILER INCLUDE_DIRECTORY...
set -eu

cc=$1 cxx=$2
shift 2
for compiler in "$cc" "$cxx"; do
    if ! command -v "$compiler" >/dev/null; then
        echo "NOT TESTED: headers with $compiler: it is not installed"
        exit 77
    fi
done

includes=
for directory in "$@"; do
    includes="$includes -I$directory"
done
status=0

# check LANGUAGE HEADER...: one translation unit that includes these headers in this order.
check() {
    language=$1
    shift
    case $language in
    c11) compile="$cc -x c -std=c11" ;;
    c++17) compile="$cxx -x c++ -std=c++17" ;;
    esac
    echo "$language: $*"
    {
        printf '#include <%s>\n' "$@"
        echo 'int main(void) { return 0; }'
    } | $compile -Wall -Wextra -Wpedantic -Werror -fsyntax-only $includes - || status=1
}

for header in certreload.h rustls.h; do
    for language in c11 c++17; do
        check $language $header
        check $language $header $header
    done
done
for language in c11 c++17; do
    check $language certreload.h rustls.h
    check $language rustls.h certreload.h
done
check c++17 certreload.hpp
check c++17 certreload.hpp certreload.hpp
check c++17 certreload.hpp certreload.h rustls.h
check c++17 rustls.h certreload.h certreload.hpp
exit $status
