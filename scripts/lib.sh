# shellcheck shell=bash
# What the other scripts share: messages, and installing Debian packages without letting them start anything.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages. Servers are neither started nor given a default cluster: what the tests need, they start
# themselves on free ports. The package list is refreshed only when the first try fails.
apt_install() {
    has apt-get || die "missing: $*. Install them with your package manager and run this again."
    if [ "$(id -u)" -ne 0 ]; then
        die "missing Debian packages. Type: sudo apt-get update && sudo apt-get install --no-install-recommends $*"
    fi
    say "installing: $*"
    local log policy=/usr/sbin/policy-rc.d own_policy=no status=0
    log=$(mktemp)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        own_policy=yes
    fi
    if [ ! -e /etc/postgresql-common/createcluster.d ]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf
    fi
    apt_get_install "$@" >"$log" 2>&1 || { apt-get -qq update && apt_get_install "$@"; } >"$log" 2>&1 || status=$?
    [ "$own_policy" = no ] || rm -f "$policy"
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $*"
    fi
    rm -f "$log"
}

apt_get_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" </dev/null
}
