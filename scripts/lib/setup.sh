# shellcheck shell=bash disable=SC2154
# Sourced after say.sh, with $root set: makes sure that the tools are there. Silent where they are;
# installs what a Debian-like system can install; says what is missing where it cannot.

# ensure_commands COMMAND:PACKAGE...: each command, or the package that has it.
ensure_commands() {
    local entry missing=() packages=()
    for entry in "$@"; do
        if ! command -v "${entry%%:*}" >/dev/null; then
            missing+=("${entry%%:*}")
            packages+=("${entry#*:}")
        fi
    done
    # On a machine that lacks any of them, cargo may also lack what it checks its downloads with.
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[*]}" "${packages[@]}" ca-certificates
}

# What the demo needs: a C and C++ toolchain, CMake, and what makes certificates and meets them.
ensure_build_tools() {
    ensure_commands gcc:build-essential g++:build-essential make:build-essential \
        cmake:cmake openssl:openssl python3:python3
    python3 -c 'import ssl, sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
        die "python3 is too old or lacks its ssl module; 3.8 or later is needed"
}

ensure_test_tools() {
    ensure_build_tools
    ensure_commands clang:clang clang-format:clang-format pkg-config:pkg-config curl:curl \
        llvm-symbolizer:llvm valgrind:valgrind strace:strace objdump:binutils \
        pebble:pebble lego:lego certbot:certbot dehydrated:dehydrated gnutls-cli:gnutls-bin
    pkg-config --exists libevent_core libuv ||
        install_packages "event loops" libevent-dev libuv1-dev
    /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null ||
        install_packages "a parser of metrics" python3-prometheus-client
    pkg-config --exists openssl gnutls ||
        install_packages "other TLS libraries" libssl-dev libgnutls28-dev
    has_libraries libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2 ||
        install_packages "other allocators" libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0
    ensure_cargo_component fmt rustfmt
    ensure_cargo_component clippy clippy
}

has_libraries() {
    local library found
    found=$(PATH=$PATH:/sbin ldconfig -p)
    for library in "$@"; do
        [[ $found == *"$library"* ]] || return 1
    done
}

# Finds a cargo that is new enough for Cargo.toml, or installs the system's if that one is.
ensure_rust() {
    local needed
    needed=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! command -v cargo >/dev/null && is_at_least "$needed" "$(packaged_rust_version)"; then
        install_packages cargo cargo rustc
    fi
    command -v cargo >/dev/null ||
        die "cargo is missing, and this system has no package of Rust $needed or later." \
            "Install Rust as https://rustup.rs tells, then run this again."
    local found
    found=$(cargo --version | cut -d ' ' -f 2) || die "cargo is there but does not run"
    is_at_least "$needed" "$found" ||
        die "cargo is $found, and Rust $needed or later is needed." \
            "Run 'rustup update stable', or install Rust as https://rustup.rs tells."
}

ensure_cargo_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null && rustup component add "$2" >/dev/null 2>&1; then
        return
    fi
    die "'cargo $1' is missing: run 'rustup component add $2'" \
        "(with the system's Rust: install its package for $2)"
}

packaged_rust_version() {
    apt-cache policy rustc 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9.]*\).*/\1/p'
}

# is_at_least NEEDED FOUND; an empty FOUND is not.
is_at_least() {
    [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

install_packages() {
    local what=$1 as_root=() log
    shift
    command -v apt-get >/dev/null ||
        die "missing: $what. Install it with your system's package manager (Debian's packages: $*)"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "missing: $what. As root, run: apt-get install $*"
        as_root=(sudo)
        [ ! -t 0 ] || sudo --validate # asks for the password before the progress line is there
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    log=$(mktemp)
    run_quietly "installing $what" "$log" apt_install "$@" ||
        die "could not install: $what. As root, try: apt-get update && apt-get install $*"
    rm -f "$log"
}

# The package lists are fetched only where the install does not work without.
apt_install() {
    local install=(apt-get install --yes --quiet --no-install-recommends "$@")
    "${as_root[@]}" "${install[@]}" || {
        "${as_root[@]}" apt-get update --quiet
        "${as_root[@]}" "${install[@]}"
    }
}
