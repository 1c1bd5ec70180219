#!/usr/bin/env bash
# Every benchmark, with one command: the hot path, handshakes, the latency of a change and the cost of a
# poll against their peers, and what a big trust, many handles and an idle server cost.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/lib/say.sh"
. "$root/scripts/lib/setup.sh"
. "$root/scripts/lib/build.sh"
cd "$root"

main() {
    ensure_build_tools
    ensure_rust
    configure
    build https_server
    for bench in hot_path big_trust latency polling handles; do
        build "$bench"
    done
    scratch=$(mktemp -d)
    trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
    make_pair one
    make_pair two

    printf '\n%sHot path%s\n' "$bold" "$plain"
    "$build_dir/benches/hot_path" "$scratch/one.pem" "$scratch/one.key"
    printf '\n%sHandshakes%s\n' "$bold" "$plain"
    cargo bench --quiet --locked --bench handshakes
    if pkg-config --exists openssl; then
        build openssl_adapter
        printf '\n%sThe adapter for OpenSSL%s\n' "$bold" "$plain"
        "$build_dir/benches/openssl_adapter" "$scratch/one.pem" "$scratch/one.key"
    fi
    printf '\n%sA big trust%s\n' "$bold" "$plain"
    make_authority_and_leaves
    make_big_trust
    "$build_dir/benches/big_trust" "$scratch"
    printf '\n%sChange to live%s\n' "$bold" "$plain"
    "$build_dir/benches/latency" "$scratch" "$scratch/one" "$scratch/two"
    printf '\n%sPoll%s\n' "$bold" "$plain"
    "$build_dir/benches/polling" "$scratch" "$scratch/one.pem" "$scratch/one.key"
    printf '\n%sMany handles%s\n' "$bold" "$plain"
    many_handles
    printf '\n%sIdle%s\n' "$bold" "$plain"
    idle
}

# make_pair NAME [OPTION...]: self-signed, if the options name nobody else.
make_pair() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
        -keyout "$scratch/$1.key" -out "$scratch/$1.pem" -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost "${@:2}" 2>/dev/null
}

make_authority_and_leaves() {
    local leaf=(-CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -addext "basicConstraints=critical,CA:false")
    make_pair ca -subj /CN=ca
    make_pair server "${leaf[@]}" -addext extendedKeyUsage=serverAuth
    make_pair client "${leaf[@]}" -addext extendedKeyUsage=clientAuth
}

# The roots of the platform and ours, with one more and without; and a list of 100,000 entries.
make_big_trust() (
    cd "$scratch"
    make_pair other -subj /CN=other
    cat /etc/ssl/certs/ca-certificates.crt ca.pem >fewer.pem
    cat fewer.pem other.pem >roots.pem
    seq 1 100000 | awk '{ printf "R\t401231000000Z\t260101000000Z\t%08X\tunknown\t/CN=%d\n", 2^28 + $1, $1 }' >index
    : >index.attr
    echo 01 >number
    printf '%s\n' '[ca]' default_ca=x '[x]' database=index crlnumber=number default_md=sha256 \
        default_crl_days=30 >ca.cnf
    openssl ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -out ca.crl 2>/dev/null
    printf '%d roots of %d KiB, %d revoked certificates in %d KiB\n' \
        "$(grep -c BEGIN roots.pem)" $(($(stat -c %s roots.pem) / 1024)) \
        "$(wc -l <index)" $(($(stat -c %s ca.crl) / 1024))
)

# Each row is of a process of its own, so that none uses memory again that another gave back.
many_handles() {
    local row number=0
    printf '%5s %-5s %-7s %9s %9s %10s %10s %8s %12s %8s\n' n pairs runtime 'open, s' 'close, s' \
        'heap, KiB' 'PSS, KiB' '+threads' '+descriptors' 'idle, %'
    for row in 'same THREAD 1000' 'same HOST 100' 'own THREAD 250 30' 'own THREAD 1000 30' 'own THREAD 4000 30'; do
        mkdir "$scratch/handles$((++number))"
        # shellcheck disable=SC2086 # words
        "$build_dir/benches/handles" "$scratch/handles$number" "$scratch/one.pem" "$scratch/one.key" $row
    done
}

# Between two polls nothing may happen at all: the switches are counted from after the start until
# well before the first poll, which comes after a minute.
idle() {
    "$build_dir/examples/https_server" --cert "$scratch/one.pem" --key "$scratch/one.key" \
        --port 0 --poll 60000 >"$scratch/out" &
    local pid=$! seconds=20
    until grep -q '^listening' "$scratch/out"; do
        kill -0 "$pid"
        sleep 0.05
    done
    local before after
    sleep 1 # for what is still on its way from the start
    before=$(switches "$pid")
    sleep "$seconds"
    after=$(switches "$pid")
    printf 'threads of https_server, and context switches of each in %s idle seconds:\n' "$seconds"
    join <(printf '%s\n' "$before") <(printf '%s\n' "$after") |
        while read -r thread first second; do
            printf '  %-16s %d\n' "$(cat "/proc/$pid/task/$thread/comm")" $((second - first))
        done
    awk '/^VmRSS/ { printf "resident memory of https_server: %d KiB\n", $2 }' "/proc/$pid/status"
    kill "$pid"
    wait "$pid"
}

switches() {
    local task
    for task in /proc/"$1"/task/*; do
        printf '%s %s\n' "${task##*/}" "$(awk '/ctxt_switches/ { n += $2 } END { print n }' "$task/status")"
    done | sort
}

main
