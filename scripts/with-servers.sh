#!/usr/bin/env bash
# with-servers.sh CMD…: runs CMD beside a throwaway PostgreSQL and Redis and gives back CMD's exit code.
#
# Both listen on free loopback ports, ask for a random password and live in one temporary folder. They end and the
# folder goes when CMD ends, however it ends. CMD finds them through POSTMESH_TEST_PG_URL and POSTMESH_TEST_REDIS_URL.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -gt 0 ] || die "usage: scripts/with-servers.sh CMD [ARG…]"

# Debian keeps the server programs of PostgreSQL out of PATH; the newest version wins.
postgres_bin() {
    local found
    found=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] || found=$(command -v initdb || true)
    [ -z "$found" ] || dirname "$(readlink -f "$found")"
}

missing=()
[ -n "$(postgres_bin)" ] || missing+=(postgresql)
has redis-server || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
pg_bin=$(postgres_bin)
[ -n "$pg_bin" ] || die "PostgreSQL is installed but its initdb is not under /usr/lib/postgresql"

dir=$(mktemp -d /tmp/postmesh-servers.XXXXXX)
redis_pid=
child=

# PostgreSQL refuses to run as root, so a root caller lends both servers another user.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
    server_user=nobody
    if id postgres >/dev/null 2>&1; then server_user=postgres; fi
    chown "$server_user" "$dir"
    as_server=(setpriv "--reuid=$server_user" "--regid=$(id -g "$server_user")" --init-groups --)
fi
in_dir() (cd "$dir" && exec "${as_server[@]}" "$@")

# shellcheck disable=SC2329 # the trap below calls them
last_words() {
    say "$1 was gone before the command ended; its last words:"
    tail -n 20 "$dir/$2" >&2 || true
}

# shellcheck disable=SC2329
cleanup() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$child" ] && kill -0 "$child" 2>/dev/null; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    if [ -f "$dir/pg/postmaster.pid" ]; then
        in_dir "$pg_bin/pg_ctl" -D "$dir/pg" -m immediate -w stop >/dev/null 2>&1 || last_words PostgreSQL postgres.log
    elif [ -f "$dir/ready" ]; then
        last_words PostgreSQL postgres.log
    fi
    if [ -n "$redis_pid" ]; then
        kill -TERM "$redis_pid" 2>/dev/null || last_words Redis redis.log
        wait "$redis_pid" 2>/dev/null || true
    fi
    rm -rf "$dir"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Below the range the kernel hands out to outgoing connections, so nothing takes the port between look and bind.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
password=$(random_word)

start_postgres() {
    # Random bytes guard the door; they are checked in plain text because a hash per connection would slow every test.
    (umask 077 && printf '%s\n' "$password" >"$dir/pg-password")
    [ ${#as_server[@]} -eq 0 ] || chown "$server_user" "$dir/pg-password"
    in_dir "$pg_bin/initdb" -D "$dir/pg" --username=postmesh --pwfile="$dir/pg-password" --auth=password \
        --encoding=UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 || {
        cat "$dir/initdb.log" >&2
        die "initdb failed"
    }
    local try
    for try in 1 2 3 4 5; do
        pg_port=$(free_port)
        if in_dir "$pg_bin/pg_ctl" -D "$dir/pg" -l "$dir/postgres.log" -w -t 60 start -o \
            "-c listen_addresses=127.0.0.1 -c port=$pg_port -c unix_socket_directories=$dir -c max_connections=300 -c fsync=on" \
            >/dev/null 2>&1; then
            return
        fi
        grep -q 'Address already in use' "$dir/postgres.log" || break
    done
    cat "$dir/postgres.log" >&2 || true
    die "PostgreSQL did not start (try $try)"
}

redis_answers() {
    exec 3<>"/dev/tcp/127.0.0.1/$redis_port" || return 1
    printf 'AUTH %s\r\nPING\r\n' "$password" >&3
    local line
    read -r -t 5 line <&3 && read -r -t 5 line <&3
    exec 3>&-
    [ "${line%$'\r'}" = +PONG ]
}

start_redis() {
    local try
    for try in 1 2 3 4 5; do
        redis_port=$(free_port)
        (umask 077 && printf '%s\n' "bind 127.0.0.1" "port $redis_port" "requirepass $password" 'save ""' \
            "appendonly no" "dir $dir" "daemonize no" "logfile $dir/redis.log" >"$dir/redis.conf")
        [ ${#as_server[@]} -eq 0 ] || chown "$server_user" "$dir/redis.conf"
        # A session of its own: Ctrl-C is for CMD; this script ends the servers once CMD is through.
        (cd "$dir" && exec setsid "${as_server[@]}" redis-server "$dir/redis.conf" </dev/null >/dev/null 2>&1) &
        redis_pid=$!
        while kill -0 "$redis_pid" 2>/dev/null; do
            if (redis_answers) 2>/dev/null; then return; fi
            sleep 0.05
        done
        wait "$redis_pid" 2>/dev/null || true
        redis_pid=
        grep -q 'Address already in use' "$dir/redis.log" || break
    done
    cat "$dir/redis.log" >&2 || true
    die "Redis did not start (try $try)"
}

start_postgres
start_redis
touch "$dir/ready"
export POSTMESH_TEST_PG_URL="postgres://postmesh:$password@127.0.0.1:$pg_port/postgres"
export POSTMESH_TEST_REDIS_URL="redis://:$password@127.0.0.1:$redis_port/0"

# In the background so that a TERM reaches us at once; with the terminal's input and an ordinary Ctrl-C all the same.
env --default-signal=INT,QUIT "$@" <&0 &
child=$!
interrupted=
trap 'interrupted=130' INT # CMD was told by the terminal as well; wait for it to finish its own way
while :; do
    status=0
    wait "$child" || status=$?
    kill -0 "$child" 2>/dev/null || break
done
child=
exit "${interrupted:-$status}"
