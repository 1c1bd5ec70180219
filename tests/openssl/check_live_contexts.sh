#!/bin/sh
# An SSL_CTX that serves is never changed: OpenSSL takes no lock for that. So only the functions that set an SSL_CTX up
# call what changes one.
#
# usage: check_live_contexts.sh DIRECTORY OF THE ADAPTER
set -eu

found=$(awk '
    BEGIN {
        count = split("cro_install_hooks install_status load_current check_context own_client cro_keep_attachment", names)
        for (i = 1; i <= count; i++) allowed[names[i]] = 1
    }
    /^[a-z].*\(/ { # the beginning of a function
        name = $0
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
    }
    /cro_libssl\.SSL_CTX_(use|set|sess_set|add|load|clear|ctrl|callback_ctrl)/ {
        calls++
        if (!(name in allowed)) print FILENAME ":" FNR ": " name "() changes an SSL_CTX:" $0
    }
    END { if (calls < 10) print "only " calls + 0 " calls were found: the pattern is wrong" }
' "$1"/*.c)
[ -z "$found" ] || { echo "$found"; exit 1; }
