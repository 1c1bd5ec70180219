# shellcheck shell=bash disable=SC2154
# Sourced after say.sh, with $root set: makes sure that the tools are there. Silent where they are;
# installs what a Debian-like system can install; names what is missing where it cannot.

# ensure_commands COMMAND:PACKAGE...: each command, or the package that has it.
ensure_commands() {
    local missing=() packages=()
    find_missing "$@"
    # On a machine that lacks any of them, cargo may also lack what it checks its downloads with.
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[*]}" "${packages[@]}" ca-certificates
}

# want_commands COMMAND:PACKAGE...: the same, but only the tests that use a command need it.
want_commands() {
    local missing=() packages=() at
    find_missing "$@"
    [ ${#missing[@]} -eq 0 ] || { can_install && try_install "${missing[*]}" "${packages[@]}"; } || {
        # Most likely one of them has no package here.
        for at in "${!missing[@]}"; do
            want_packages "${missing[at]}" "${packages[at]}"
        done
    }
}

find_missing() {
    local entry
    for entry in "$@"; do
        if ! command -v "${entry%%:*}" >/dev/null; then
            missing+=("${entry%%:*}")
            packages+=("${entry#*:}")
        fi
    done
}

# What the demo needs: a C and C++ toolchain, CMake, and what makes certificates and connects.
ensure_build_tools() {
    ensure_commands gcc:build-essential g++:build-essential make:build-essential \
        cmake:cmake openssl:openssl python3:python3
    python3 -c 'import ssl, sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
        die "python3 is too old or lacks its ssl module; 3.8 or later is needed"
}

# What the tests cannot do without, and what single tests need: where the system has no package of the
# latter, those tests print NOT TESTED.
ensure_test_tools() {
    ensure_build_tools
    ensure_commands clang:clang clang-format:clang-format pkg-config:pkg-config curl:curl \
        objdump:binutils
    has_sanitizer_runtime ||
        want_packages "clang's sanitizer runtimes" libclang-rt-dev
    want_commands llvm-symbolizer:llvm valgrind:valgrind strace:strace pebble:pebble lego:lego \
        certbot:certbot dehydrated:dehydrated gnutls-cli:gnutls-bin unshare:util-linux ip:iproute2
    pkg-config --exists libevent_core libuv ||
        want_packages "event loops" libevent-dev libuv1-dev
    /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null ||
        want_packages "a parser of metrics" python3-prometheus-client
    pkg-config --exists openssl gnutls ||
        want_packages "other TLS libraries" libssl-dev libgnutls28-dev
    has_libraries libjemalloc.so.2 || want_packages "jemalloc" libjemalloc2
    has_libraries libtcmalloc_minimal.so.4 || want_packages "tcmalloc" libtcmalloc-minimal4
    has_libraries libmimalloc.so.2 || want_packages "mimalloc" libmimalloc2.0
    ensure_cargo_component fmt rustfmt rustfmt rustfmt-web
    ensure_cargo_component clippy clippy rust-clippy rust-web-clippy
}

# clang needs a part of its runtime even where the programs are linked with Rust's.
has_sanitizer_runtime() {
    compgen -G "$(clang --print-runtime-dir 2>/dev/null)/libclang_rt.asan_static*" >/dev/null
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
    local needed found flavour
    needed=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! command -v cargo >/dev/null; then
        flavour=$(packaged_rust "$needed") ||
            die "cargo is missing, and this system has no package of Rust $needed or later." \
                "Install Rust as https://rustup.rs describes, then run this again."
        install_packages "Rust" "cargo$flavour" "rustc$flavour"
    fi
    found=$(version_of cargo) || die "cargo is there but does not run"
    is_at_least "$needed" "$found" && return
    # Another one may come first in PATH.
    if is_at_least "$needed" "$(version_of /usr/bin/cargo 2>/dev/null || true)"; then
        PATH=/usr/bin:$PATH
        return
    fi
    flavour=$(packaged_rust "$needed") &&
        die "cargo is $found, and Rust $needed or later is needed. This system has packages that are new" \
            "enough: as root, run: apt-get install$(printf " %s$flavour" cargo rustc rustfmt)" \
            "rust${flavour}-clippy (they replace cargo and rustc); or run 'rustup update stable'."
    die "cargo is $found, and Rust $needed or later is needed." \
        "Run 'rustup update stable', or install Rust as https://rustup.rs describes."
}

version_of() {
    "$1" --version | cut -d ' ' -f 2
}

# packaged_rust NEEDED: which of the system's packages of Rust is new enough: those called cargo and rustc, or
# those that Debian keeps current for its browsers, cargo-web and rustc-web.
packaged_rust() {
    local flavour
    command -v apt-get >/dev/null || return 1
    for flavour in '' -web; do
        if is_at_least "$1" "$(candidate_of "cargo$flavour")"; then
            printf '%s' "$flavour"
            return
        fi
    done
    # The lists of a new system may be empty.
    [ -z "${fetched_lists:-}" ] && fetch_lists && packaged_rust "$1"
}

candidate_of() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9.]*\).*/\1/p'
}

# ensure_cargo_component SUBCOMMAND COMPONENT PACKAGES...: from rustup, or the package beside cargo's.
ensure_cargo_component() {
    local subcommand=$1 component=$2 owner package
    shift 2
    cargo "$subcommand" --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null && rustup component add "$component" >/dev/null 2>&1; then
        return
    fi
    owner=$({ dpkg -S "$(command -v cargo)" 2>/dev/null || true; } | cut -d : -f 1)
    for package in "$@"; do
        case $owner:$package in
        cargo:*web*) ;;
        cargo:* | cargo-web:*web*)
            install_packages "cargo $subcommand" "$package"
            return
            ;;
        esac
    done
    die "'cargo $subcommand' is missing: run 'rustup component add $component'," \
        "or install the package beside the system's cargo: $*"
}

# is_at_least NEEDED FOUND; an empty FOUND is not.
is_at_least() {
    [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

install_packages() {
    local what=$1
    shift
    try_install "$what" "$@" ||
        die "could not install: $what. As root, try: apt-get update && apt-get install $*"
}

# want_packages WHAT PACKAGES...: continues where they cannot be installed.
want_packages() {
    local what=$1
    shift
    { can_install && try_install "$what" "$@"; } ||
        echo "NOT TESTED: what needs $what: could not install $*" | tee -a "${not_installed:-/dev/null}"
}

can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }
}

# Ends the script where there is no way to install anything.
try_install() {
    local what=$1 log status=0
    shift
    command -v apt-get >/dev/null ||
        die "missing: $what. Install it with your system's package manager (Debian's packages: $*)"
    become_root "missing: $what. As root, run: apt-get install $*"
    log=$(mktemp)
    run_quietly "installing $what" "$log" apt_install "$@" || status=$?
    rm -f "$log"
    return "$status"
}

# become_root WHY_NOT: sets as_root to what has to stand before a command.
become_root() {
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "$1"
        as_root=(sudo)
        [ ! -t 0 ] || sudo --validate # asks for the password before the progress line is there
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
}

# The package lists are fetched only where the install does not work without.
apt_install() {
    local install=(apt-get install --yes --quiet --no-install-recommends "$@")
    "${as_root[@]}" "${install[@]}" || {
        [ -n "${fetched_lists:-}" ] || fetch_lists
        "${as_root[@]}" "${install[@]}"
    }
}

fetch_lists() {
    local said
    fetched_lists=yes
    become_root "the list of packages cannot be fetched: neither root nor sudo"
    said=$("${as_root[@]}" apt-get update --quiet 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}
