#!/bin/sh
# valgrind.sh LOGS PROGRAM: runs a C test under memcheck; prints how long it took, and whether that
# found something, which is in LOGS/valgrind-TEST.log then. The environment is that of ctest.
set -u
name=${2##*/}
log=$1/valgrind-$name.log
# In a forked child what the parent's threads owned is lost: they are not there to free it.
leaks=full
case $name in c_fork* | c_privileges_dropped | c_push | c_start | c_adapter | c_openssl_fork) leaks=no ;; esac
started=$(date +%s)
timeout 600 valgrind --quiet --error-exitcode=99 --leak-check=$leaks --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite "$2" >"$log" 2>&1
result=$?
echo "$name: $(($(date +%s) - started)) s"
[ $result -eq 0 ] || {
    echo "FAILED: $name ended with $result"
    exit 1
}
