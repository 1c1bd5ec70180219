#!/usr/bin/env bash
# From a bare machine to a running proof: certificates renew while a C server runs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/lib/say.sh"

usage() {
    cat <<'END'
usage: scripts/demo.sh [--serve] [--port N]
       scripts/demo.sh --renew DIRECTORY [METHOD]

Installs what is missing, builds, makes a throw-away CA, starts examples-c/https_server, holds one
TLS connection open, puts load on the server, renews its certificate in several ways, deploys a
broken pair and repairs it. Every promise is checked; exit code 0 says that all were kept.

  --serve      then leave the server running until Ctrl-C, and say how to play with it
  --port N     let the server listen on port N of 127.0.0.1; any free one otherwise
  --renew DIRECTORY [METHOD]
               renew the certificate of a demo that serves, whose files are in DIRECTORY;
               without METHOD: rename-key-first, with a wrong METHOD: the list
  --help       this text

CERTRELOAD_BUILD_DIR and CARGO_TARGET_DIR say where to build; build/ and target/ otherwise.
END
}

demo() {
    exec python3 "$root/scripts/demo.py" "$@"
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--renew) demo "$@" ;;
esac

. "$root/scripts/lib/setup.sh"
. "$root/scripts/lib/build.sh"
printf '%scertreload: certificates that renew while a C server runs%s\n\n' "$bold" "$plain"
ensure_build_tools
ensure_rust
configure
build https_server
demo --server "$build_dir/examples/https_server" "$@"
