#!/usr/bin/env bash
# A private PostgreSQL cluster in a directory, for development and tests. It touches no system service and no other
# cluster, listens on 127.0.0.1 and on a socket of its own, and lets every local user in as its superuser `shelly`.
#
#   postgres.sh start   [DIR]                        make it if need be, start it, print its URL on standard output
#   postgres.sh standby [DIR] PRIMARY                make it, or make it anew, as a streaming standby of the server in the
#                                                    directory PRIMARY; start it, print its URL
#   postgres.sh stop    [DIR] [fast|immediate|smart] stop it; the data stay
#   postgres.sh restart [DIR] [fast|immediate|smart]
#   postgres.sh status  [DIR]                        exit 0 when it runs, 3 when it does not
#   postgres.sh url     [DIR]                        print its URL, running or not
#   postgres.sh psql    [DIR] [ARGUMENTS...]         psql in its database `shelly`; without DIR, ARGUMENTS begin with a `-`
#   postgres.sh destroy [DIR]                        stop it and delete its data
#
# DIR is .local/postgres by default. The port is chosen at the first start and kept, so that the URL stays the same.
# The server's log is DIR/server.log. With SHELLY_POSTGRES_TEMPLATE, the data directory of a server that is stopped, a new
# cluster is a copy of that one.
set -euo pipefail

readonly user=shelly database=shelly

# Seconds. A step longer than this counts as hung; a machine under load needs far less.
readonly patience=600

# Settings for another server in the caller's environment must not affect this one.
for name in "${!PG@}"; do unset "$name"; done

main() {
    local verb=${1:-help}
    case $verb in
        start | standby | stop | restart | status | url | psql | destroy) ;;
        *)
            sed -n '2,/^set /{ /^set /d; s/^# \{0,1\}//; p; }' "$0" >&2
            exit 64
            ;;
    esac
    if [[ $verb == psql && ${2:-} == -* ]]; then set -- psql .local/postgres "${@:2}"; fi
    locate "${2:-.local/postgres}"
    "$verb" "${@:3}"
}

start() {
    lock
    choose_binaries
    if running; then
        # It may still be recovering, started by a caller that was killed.
        wait_until_ready
    else
        [[ -e $directory/data/PG_VERSION ]] || initialise
        start_server
    fi
    url
}

# A stopped standby keeps only its port.
standby() {
    primary=$("${BASH_SOURCE[0]}" url "${1:?standby needs the directory of the primary}")
    lock
    choose_binaries
    running && fail "the cluster in $directory runs: stop it first"
    initialise
    start_server
    url
}

stop() {
    local mode=${1:-fast}
    case $mode in
        fast | immediate | smart) ;;
        *) fail "unknown stop mode $mode: use fast, immediate or smart" ;;
    esac
    [[ -d $directory ]] || return 0
    lock
    if running; then
        choose_binaries
        as_server "$binaries/pg_ctl" stop -D "$(data)" -m "$mode" -w -t "$patience" >>"$log" 2>&1 ||
            fail_with_log "did not stop within $patience s ($mode)"
    fi
    remove_sockets
}

restart() {
    stop "$@"
    start
}

status() {
    if running; then
        echo "running, process $(server_process), $(url)"
    else
        echo "not running"
        return 3
    fi
}

url() {
    [[ -s $directory/port ]] || fail "there is no cluster in $directory: start it first"
    echo "postgresql://$user@127.0.0.1:$(<"$directory/port")/$database"
}

psql() {
    local url
    url=$(url)
    choose_binaries
    exec "$binaries/psql" "$url" "$@"
}

destroy() {
    [[ -d $directory ]] || return 0
    stop immediate
    discard_elsewhere
    # Only the files of this script, because DIR may contain others.
    rm -rf "$directory"/{data,data.new,port,server.log,lock}
    rmdir --ignore-fail-on-non-empty "$directory"
}

# Everything that belongs to a cluster is found from its directory's path alone.
locate() {
    directory=$(realpath -m -- "$1")
    log=$directory/server.log
    local hash
    hash=$(sha256sum <<<"$directory")
    number=$((16#${hash:0:6}))
    # A socket's path may be 107 bytes long at most, and DIR may be longer by itself.
    sockets=/tmp/shelly-postgres-${hash:0:12}
    # Only for a server that cannot reach DIR, see initialise.
    elsewhere=/var/tmp/shelly-postgres-${hash:0:12}.data

    # PostgreSQL refuses to run as root.
    server_user=$(id -un)
    if ((EUID == 0)); then
        server_user=postgres
        id -u "$server_user" >/dev/null 2>&1 || server_user=nobody
    fi
}

# The data directory proper: DIR/data may be a symbolic link that the server's user cannot follow.
data() {
    realpath -m -- "$directory/data"
}

# Runs a command as the server's user, in a directory that it can be in, in English (messages are compared below).
as_server() {
    if ((EUID == 0)); then
        (cd / && exec setpriv --reuid "$server_user" --regid "$(id -g "$server_user")" --init-groups \
            env HOME=/ LC_ALL=C "$@")
    else
        (cd / && exec env LC_ALL=C "$@")
    fi
}

# The newest server there is; for a cluster that exists, the version that made it.
choose_binaries() {
    local version='*' candidate
    if [[ -e $directory/data/PG_VERSION ]]; then version=$(<"$directory/data/PG_VERSION"); fi
    candidate=$(compgen -G "/usr/lib/postgresql/$version/bin/initdb" | sort -V | tail -n 1) || true
    if [[ -z $candidate ]] && command -v pg_config >/dev/null; then candidate=$(pg_config --bindir)/initdb; fi
    [[ -x $candidate ]] || fail "no PostgreSQL server (version $version) in /usr/lib/postgresql: run ops/dev/packages.sh run"
    binaries=${candidate%/initdb}
}

# One caller at a time per cluster. The descriptor stays open until the script ends.
lock() {
    [[ -z ${locked:-} ]] || return 0
    mkdir -p "$directory"
    exec {locked}>"$directory/lock"
    flock -w "$patience" "$locked" || fail "another start or stop of $directory has been busy for $patience s"
}

initialise() {
    # A data directory elsewhere that DIR does not lead to belonged to a DIR that was deleted under it.
    discard_elsewhere
    rm -rf "$directory/data" "$directory/data.new"

    local home=$directory
    if ! as_server test -x "$directory"; then
        # For example a checkout below /root, when root runs this: the server's own user cannot get in there.
        home=$elsewhere
        mkdir -m 711 "$home"
        ln -s "$home/data" "$directory/data"
    fi

    # Made under another name and renamed when complete, so that an interrupted initialisation is never taken for a cluster.
    local new=$home/data.new
    mkdir -m 700 "$new"
    if ((EUID == 0)); then chown "$server_user:" "$new"; fi
    if [[ -n ${primary:-} ]]; then
        as_server "$binaries/pg_basebackup" -d "$primary" -D "$new" -R -X stream -c fast >>"$log" 2>&1 ||
            fail_with_log "could not copy $primary"
    elif [[ -n ${SHELLY_POSTGRES_TEMPLATE:-} ]]; then
        cp -a "$SHELLY_POSTGRES_TEMPLATE/." "$new"
    else
        make_data "$new"
    fi
    mv -T "$new" "$home/data"
}

make_data() {
    local new=$1
    {
        as_server "$binaries/initdb" -D "$new" -U "$user" -E UTF8 --locale=C.UTF-8 --lc-messages=C --auth=trust &&
            as_server tee "$new/pg_hba.conf" <<<"$(access)" &&
            as_server tee -a "$new/postgresql.conf" <<<"$(settings)" &&
            as_server "$binaries/postgres" --single -D "$new" postgres <<<"CREATE DATABASE $database"
    } >>"$log" 2>&1 || fail_with_log "could not make the cluster"
}

access() {
    echo "local all all trust"
    echo "host all all 127.0.0.1/32 trust"
    echo "host replication all 127.0.0.1/32 trust"
}

# fsync and full_page_writes stay on, because the tests are about durability.
settings() {
    echo "listen_addresses = '127.0.0.1'"
    echo "shared_buffers = 32MB"
    echo "max_wal_size = 256MB"
    echo "jit = off"
    echo "log_line_prefix = '%m [%p] '"
}

# Removes the data directory that does not lie in DIR, and ends a server that may still run there.
discard_elsewhere() {
    [[ -e $elsewhere || -L $elsewhere ]] || return 0
    # The name can be foretold, and anyone may write below /var/tmp.
    [[ -d $elsewhere && ! -L $elsewhere && -O $elsewhere ]] || fail "$elsewhere exists and belongs to another user: remove it"
    local process
    process=$(process_of "$elsewhere/data")
    if [[ -n $process ]]; then
        # SIGQUIT is PostgreSQL's immediate shutdown.
        kill -QUIT "$process"
        timeout "$patience" tail -s 0.1 --pid "$process" -f /dev/null ||
            fail "the server (process $process) in $elsewhere does not stop"
    fi
    rm -rf "$elsewhere"
}

start_server() {
    make_sockets

    # Below the range that outgoing connections take their ports from, and a different place for each cluster.
    local port=$((20000 + number % 10000)) first=1 attempt from deadline=$((SECONDS + patience))
    if [[ -s $directory/port ]]; then
        port=$(<"$directory/port")
        first=0
    fi

    for ((attempt = 1; attempt <= 100; attempt++)); do
        touch "$log"
        from=$(($(stat -c %s "$log") + 1))
        if launch "$port"; then
            echo "$port" >"$directory/port"
            return
        fi
        # The kernel decides who gets a port, so two starts can race for one safely.
        if tail -c +"$from" "$log" | grep -q 'Address already in use'; then
            # A program may use the cluster's previous port, so that port is tried for some time.
            if ((first == 0 && attempt <= 10)); then
                sleep 0.5
                continue
            fi
            ((first)) || echo "postgres: port $port is taken by another process; the URL changes" >&2
            first=1
            port=$((port >= 29999 ? 20000 : port + 1))
        elif tail -c +"$from" "$log" | grep -Eq 'pre-existing shared memory block|lock file .* already exists'; then
            # The children of a server that was killed take a moment to notice. Only the clock counts these tries.
            ((SECONDS < deadline)) || break
            attempt=$((attempt - 1))
            sleep 0.5
        else
            break
        fi
    done
    fail_with_log "could not start the server"
}

launch() (
    # A session of its own, so that Ctrl-C in the caller's terminal does not reach the server, and none of the caller's
    # files and pipes, so that no process waits for the end of a pipe that the server holds open.
    exec </dev/null >>"$log" 2>&1
    local descriptor
    for descriptor in "/proc/$BASHPID/fd/"*; do
        descriptor=${descriptor##*/}
        if ((descriptor > 2)); then exec {descriptor}>&-; fi
    done
    as_server setsid --wait "$binaries/pg_ctl" start -D "$(data)" -w -t "$patience" -o "-p $1 -k $sockets"
)

wait_until_ready() {
    local deadline=$((SECONDS + patience))
    until "$binaries/pg_isready" -q -d "$(url)"; do
        ((SECONDS < deadline)) || fail_with_log "the server runs, but is not ready after $patience s"
        sleep 0.2
    done
}

running() {
    [[ -n $(server_process) ]]
}

server_process() {
    process_of "$(data)"
}

# The process whose number is in postmaster.pid, if it is this cluster's server: after a crash or a reboot the number
# may be another process's. A server's working directory is its data directory.
process_of() {
    local process
    process=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 0
    # As the server's user, because root in a container may not examine other users' processes.
    if [[ $(as_server readlink "/proc/$process/cwd") == "$1" ]]; then echo "$process"; fi
}

make_sockets() {
    # The name can be foretold, and anyone may write below /tmp.
    if [[ ! -d $sockets ]]; then as_server mkdir -m 700 "$sockets"; fi
    [[ ! -L $sockets && $(stat -c %U "$sockets") == "$server_user" ]] || fail "$sockets exists and does not belong to $server_user: remove it"
}

remove_sockets() {
    if [[ -d $sockets && ! -L $sockets && $(stat -c %U "$sockets") == "$server_user" ]]; then rm -rf "$sockets"; fi
}

fail() {
    echo "postgres: $*" >&2
    exit 1
}

fail_with_log() {
    tail -n 15 "$log" | sed 's/^/    /' >&2
    fail "$* (the log is $log)"
}

main "$@"
