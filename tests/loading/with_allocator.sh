#!/bin/sh
# Runs a test program with another allocator in the place of the C library's.
#
# usage: with_allocator.sh LIBRARY PROGRAM
set -eu

library=$1 program=$2
path=$(PATH=$PATH:/sbin ldconfig -p | sed -n "s|.*$library .*=> ||p" | head -n 1)
[ -n "$path" ] || { echo "NOT TESTED: $library: it is not installed"; exit 77; }
LD_PRELOAD=$path grep -q "$library" /proc/self/maps || { echo "FAILED: $path is not loaded"; exit 1; }
exec env LD_PRELOAD="$path" "$program"
