#!/usr/bin/env bash
# Refreshes the lock files, and what is made from them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/lib/say.sh"

usage() {
    cat <<'END'
usage: scripts/refresh-locks.sh [--keep]

Updates Cargo.lock and tests/models/Cargo.lock to the newest versions that the manifests allow, makes the lock files
of fuzz and tests/loading/second follow Cargo.lock, and rewrites LICENSE-THIRD-PARTY. The result is to be committed.

  --keep   keep the versions of Cargo.lock and tests/models/Cargo.lock: only make the others follow
  --help   this text
END
}

case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--keep | '') ;;
*)
    usage >&2
    exit 2
    ;;
esac

cd "$root"
if [ "${1:-}" != --keep ]; then
    cargo update
    cargo update --manifest-path tests/models/Cargo.toml
fi
for crate in fuzz tests/loading/second; do
    cp Cargo.lock "$crate/Cargo.lock"
    # cargo keeps the versions that are there, drops what the crate does not need, and adds what is missing.
    cargo metadata --quiet --format-version 1 --manifest-path "$crate/Cargo.toml" >/dev/null ||
        die "cargo could not complete $crate/Cargo.lock"
done
scripts/notices.py
