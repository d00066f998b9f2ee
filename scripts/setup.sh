#!/usr/bin/env bash
# setup.sh [build|tools|test]: brings a machine to where `make` can work; quick and silent when nothing is missing.
#   build  what compiling needs: the Rust toolchain and a C compiler
#   tools  what `make check` and `make generate` need besides: Node.js and Python tools, cargo-deny
#   test   what `make test` needs besides: cargo-nextest, PostgreSQL and Redis servers, and clocks that can be set
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CARGO_DENY_VERSION=0.20.2
CARGO_NEXTEST_VERSION=0.9.143

want=${1:-build}
case $want in build | tools | test) ;; *) die "usage: scripts/setup.sh [build|tools|test]" ;; esac

# One step or more below `want`?
reaches() {
    case $1:$want in tools:build | test:build | test:tools) return 1 ;; esac
}

rust() {
    has cargo || die "no Rust toolchain: install rustup (https://rustup.rs), then run this again"
    cargo --version >/dev/null 2>&1 || {
        cargo --version || true
        die "the toolchain named in rust-toolchain.toml is not there. Type: rustup toolchain install"
    }
}

# Servers are in the same list so that one refresh of the package list serves all.
packages() {
    local wanted=()
    has cc || wanted+=(gcc libc6-dev)
    if reaches tools; then
        has git || wanted+=(git)
        has node || wanted+=(nodejs)
        has npm || wanted+=(npm)
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || wanted+=(python3-venv)
    fi
    if reaches test; then
        has redis-server || wanted+=(redis-server)
        compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb || wanted+=(postgresql)
        has faketime || wanted+=(faketime)
    fi
    [ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
}

# A finished install leaves a copy of its lock behind; the next run compares.
node_tools() {
    cmp -s package-lock.json node_modules/.installed-lock && return
    say "installing the Node.js tools"
    npm ci --loglevel=error >/dev/null
    cp package-lock.json node_modules/.installed-lock
}

python_tools() {
    cmp -s scripts/requirements.txt .venv/installed-requirements.txt && return
    say "installing the Python tools"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r scripts/requirements.txt
    cp scripts/requirements.txt .venv/installed-requirements.txt
}

# Unoptimised: these run for seconds and compile three times quicker so.
cargo_tool() {
    local name=$1 version=$2
    has "$name" && return
    say "building $name $version (once, a few minutes)"
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_INCREMENTAL=false \
        cargo install --quiet --locked --debug "$name@$version"
    has "$name" || die "$name was built into ${CARGO_HOME:-$HOME/.cargo}/bin, which is not in PATH"
}

rust
packages
if reaches tools; then
    node_tools
    python_tools
    cargo_tool cargo-deny "$CARGO_DENY_VERSION"
fi
if reaches test; then
    cargo_tool cargo-nextest "$CARGO_NEXTEST_VERSION"
fi
