#!/usr/bin/env bash
# Audits the dependencies of every lock file: advisories, licences, banned crates and sources.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/lib/say.sh"

usage() {
    cat <<'END'
usage: scripts/audit.sh [--install]

Checks what deny.toml says, with cargo-deny and the RustSec database where they can be had. Prints NOT TESTED and the
reason for what cannot be checked. Exit code: 0 if all was checked and is good, 1 if something is not, 77 if
something could not be checked and the rest is good.

  --install   install cargo-deny with cargo if it is missing; that takes minutes
  --help      this text

cargo-deny fetches the database with git, so that git's url.*.insteadOf can name another copy of it.
END
}

may_install=''
case ${1:-} in
--help | -h)
    usage
    exit
    ;;
--install) may_install=yes ;;
'') ;;
*)
    usage >&2
    exit 2
    ;;
esac

cd "$root"
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
manifests=(Cargo.toml fuzz/Cargo.toml tests/models/Cargo.toml tests/loading/second/Cargo.toml)
bad=0 untested=0

main() {
    check_licences
    [ -z "$may_install" ] || cargo deny --version >/dev/null 2>&1 ||
        run_quietly "installing cargo-deny" "$work/log" cargo install --locked cargo-deny || true
    if cargo deny --version >/dev/null 2>&1; then
        deny "licences, bans and sources" licenses bans sources
        if run_deny Cargo.toml fetch db >"$work/log" 2>&1; then
            deny "advisories" advisories
        else
            not_tested "advisories: the database cannot be fetched: $(reason_in "$work/log")"
        fi
    else
        not_tested "advisories, bans and sources: cargo-deny is not installed (scripts/audit.sh --install does that)"
    fi
    [ "$bad" -eq 0 ] || exit 1
    [ "$untested" -eq 0 ] || exit 77
}

not_tested() {
    printf 'NOT TESTED: %s\n' "$*"
    untested=1
}

# Without cargo-deny and, if cargo has all packages already, without a network.
check_licences() {
    local manifest status
    for manifest in "${manifests[@]}"; do
        status=0
        if ! packages "$manifest" >"$work/packages" 2>"$work/log"; then
            not_tested "licences of $manifest: $(tail -n 1 "$work/log")"
            continue
        fi
        python3 "$root/scripts/lib/licences.py" deny.toml <"$work/packages" >"$work/log" || status=$?
        sed "s|^|  $manifest: |" "$work/log"
        case $status in
        0) ;;
        77) untested=1 ;;
        *) bad=1 ;;
        esac
    done
}

packages() {
    cargo metadata --locked --offline --format-version 1 --manifest-path "$1" ||
        cargo metadata --locked --format-version 1 --manifest-path "$1"
}

# run_deny MANIFEST ARGUMENT...: cargo-deny finds deny.toml above the manifest.
run_deny() {
    cargo deny --locked --manifest-path "$1" "${@:2}"
}

# deny NAME CHECK...: in each lock file.
deny() {
    local manifest
    for manifest in "${manifests[@]}"; do
        run_quietly "$1, $manifest" "$work/log" run_deny "$manifest" check "${@:2}" || bad=1
    done
}

# The line that says most, of what cargo-deny prints.
reason_in() {
    grep -im 1 -E 'resolve|connect|failed|error' "$1" | sed 's/^ *//' || tail -n 1 "$1"
}

main
