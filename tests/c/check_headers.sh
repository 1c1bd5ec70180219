#!/bin/sh
# Each public header compiles alone, twice over, in every standard from C11 to C23 and from C++17 to C++23 that the
# compiler knows, with no warning; and the two C headers together, in both orders.
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
    c++*) compile="$cxx -x c++ -std=$language" ;;
    *) compile="$cc -x c -std=$language -Wc++-compat" ;;
    esac
    echo "$language: $*"
    {
        printf '#include <%s>\n' "$@"
        echo 'int main(void) { return 0; }'
    } | $compile -Wall -Wextra -Wpedantic -Wredundant-decls -Werror -fsyntax-only $includes - || status=1
}

# knows COMPILER STANDARD: C2x and C++2b are the names of C23 and C++23 in compilers of their time.
knows() {
    case $2 in
    c++*) input=c++ ;;
    *) input=c ;;
    esac
    "$1" -x $input -std="$2" -fsyntax-only - </dev/null 2>/dev/null
}

standards=
for standard in c11 c17 c2x c23; do
    if knows "$cc" $standard; then standards="$standards $standard"; fi
done
for standard in c++17 c++20 c++2b c++23; do
    if knows "$cxx" $standard; then standards="$standards $standard"; fi
done

# The headers of the adapters, where these are built.
adapters=
for directory in "$@"; do
    if [ -e "$directory/certreload_openssl.h" ]; then adapters=certreload_openssl.h; fi
done

for language in $standards; do
    for header in certreload.h rustls.h $adapters; do
        check $language $header
        check $language $header $header
    done
    check $language certreload.h rustls.h
    check $language rustls.h certreload.h
    case $language in
    c++*)
        check $language certreload.hpp
        check $language certreload.hpp certreload.hpp
        check $language certreload.hpp certreload.h rustls.h
        check $language rustls.h certreload.h certreload.hpp
        ;;
    esac
done
exit $status
