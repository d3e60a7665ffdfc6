#!/usr/bin/env bash
# Installs a package, by default the one in .local/deb, in a clean root of its release of Debian, which is booted with a real systemd,
# and tests the services as users run them:
#
#   test.sh [PACKAGE.deb]
#
# As root. The root and its log are kept in .local/deb/boot if a check fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600
state=$PWD/.local/deb/boot
root=$state/root
console=$state/console.log
# The mount point of systemd's cgroups.
cgroups=/sys/fs/cgroup
if [[ -d $cgroups/unified ]]; then cgroups=$cgroups/unified; fi
cgroup=$cgroups/shelly-boot-$$
container='' init='' poster='' url=http://127.0.0.1:8080
settings=/etc/shelly-collector/shelly-collector.env

# All steps in their order, from the installation to the purge.
main() {
    if ((EUID == 0)); then ops/dev/packages.sh boot; fi
    package=$(realpath "${1:-$(compgen -G '.local/deb/*.deb')}") || fail "there is no package: make deb"
    version=$(dpkg-deb -f "$package" Version)
    case $version in
        *+deb12) suite=bookworm ;;
        *+deb13) suite=trixie ;;
        *) fail "version $version is of no known release of Debian" ;;
    esac
    require_boot
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    make_root
    boot
    install_package
    begin_without_database
    make_database
    lose_the_database
    wait_for_a_lock
    restart_under_load
    change_the_key
    stop_answering
    reboot
    upgrade
    remove_and_purge
    good "all steps passed in $SECONDS s"
    finished=yes
}

require_boot() {
    local obstacle=
    ((EUID == 0)) || obstacle="it takes root"
    command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null ||
        obstacle="mmdebstrap or systemd-nspawn is not installed"
    [[ -w $cgroups/cgroup.procs ]] || obstacle="no control groups can be made here"
    [[ ! -d /run/systemd/system ]] || obstacle="it is written for machines that systemd does not run already"
    if [[ -n $obstacle ]]; then
        echo "deb test: skipped, a clean root cannot be booted here: $obstacle"
        exit 0
    fi
}

make_root() {
    section "Make a clean Debian root, with PostgreSQL"
    rm -rf "$state"
    mkdir -p "$state"
    # The package's dependencies are fetched now and installed later, as the booted root has no network.
    mmdebstrap --quiet --variant=minbase --skip=cleanup/apt --include=systemd-sysv,dbus,postgresql,curl,procps \
        --customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get install -qq -y --no-install-recommends --download-only $package" \
        "$suite" "$root" >"$state/mmdebstrap.log" 2>&1 || fail_with "$state/mmdebstrap.log" "mmdebstrap failed"
    # No container loads modules of the kernel, and not every kernel has any.
    ln -s /dev/null "$root/etc/systemd/system/systemd-modules-load.service"
    cp "$package" "$root/root/package.deb"
    [[ ! -e $root/usr/bin/swift ]] || fail "there is a Swift toolchain in the root"
    good "Debian $(cut -d. -f1 "$root/etc/debian_version"), $(du -sm "$root" | cut -f1) MB"
}

boot() {
    section "Boot it"
    mkdir -p "$cgroup"
    # In a control group of its own, in which it may create others, and with the permissions that the sandboxes in it need.
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --boot --directory="$root" --register=no --keep-unit \
            --private-network --console=pipe --capability=all --system-call-filter="bpf perf_event_open" \
            --machine="shelly-boot-$$"
    ) </dev/null >>"$console" 2>&1 &
    container=$!
    wait_until "systemd does not start" find_init
    wait_until "systemd has not booted" booted
    good "$(inside systemctl --version | head -n 1): $(inside systemctl is-system-running)"
}

# Found only once the root has booted: nspawn's first child is not yet its init.
find_init() {
    kill -0 "$container" 2>/dev/null || fail_with "$console" "systemd-nspawn ended"
    init=$(pgrep -P "$container" | head -n 1)
    [[ -n $init ]]
}

booted() {
    find_init && [[ $(inside systemctl is-system-running 2>/dev/null) == running ]]
}

install_package() {
    local start=$SECONDS
    section "Install the package"
    inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /root/package.deb' \
        >"$state/install.log" 2>&1 || fail_with "$state/install.log" "apt-get install failed"
    grep -q 'shelly-loader migrate' "$state/install.log" || fail "the installation does not print the next step"
    good "apt-get install: $((SECONDS - start)) s"
    inside systemd-analyze verify --man=no shelly-receiver.service shelly-loader.service shelly-loader.timer
    good "systemd-analyze verify reports nothing"
    # The package has the programs' version, followed by the time and the commit.
    local program line commit
    for program in shelly-receiver shelly-loader; do
        line=$(inside "$program" --version)
        commit=${line#*(}
        commit=${commit%)}
        [[ $version == "${line%% *}+"* || $version == "${line%% *}~"*".$commit+"* ]] ||
            fail "$program says $line, but the package is version $version"
    done
    expect "$(inside stat -c '%a %U:%G' /etc/shelly-collector/ingest.key)" "600 root:root"
    expect "$(inside stat -c '%a %U:%G' "$settings")" "640 root:shelly-collector"
    expect "$(inside stat -c '%a %U:%G' /var/lib/shelly-collector/spool)" "750 shelly-collector:shelly-collector"
}

begin_without_database() {
    section "Take batches before there is a database"
    key=$(inside cat /etc/shelly-collector/ingest.key)
    # The installation waits at most a minute. The receiver reports readiness within it or not at all.
    becomes receiver ActiveState active
    becomes receiver StatusText "Taking batches"
    expect "$(post before 1)" 200
    expect "$(key=wrong post before 2)" 401
    wait_until "the receiver is not ready" is_ready
    good "active, ready, 200 with the generated key"
}

make_database() {
    local start=$SECONDS
    section "Create the database with the commands that the installation prints"
    inside runuser -u postgres -- createuser shelly-collector
    inside runuser -u postgres -- createdb --owner=shelly-collector shelly
    inside runuser -u shelly-collector -- shelly-loader migrate --env-file "$settings" >"$state/migrate.log" 2>&1 ||
        fail_with "$state/migrate.log" "shelly-loader migrate failed"
    wait_until "the timer has not loaded the batch" rows_are 1
    good "the timer loaded it $((SECONDS - start)) s after the first of these commands"
}

lose_the_database() {
    section "Stop PostgreSQL, and start it again"
    inside systemctl stop postgresql
    expect "$(post away 1)" 200
    wait_until "the loader does not exit with 75 while the database is stopped" loader_ended_with 75
    [[ $(inside systemctl is-failed shelly-loader.service) != failed ]] || fail "the loader's unit is failed"
    expect "$(inside systemctl --failed --no-legend | wc -l)" 0
    expect "$(post away 2)" 200
    good "ingest continues, the loader exits with 75, no unit is failed"
    inside systemctl start postgresql
    wait_until "the loader has not caught up" rows_are 3
    good "started again: the loader caught up"
}

wait_for_a_lock() {
    section "Keep the loader waiting for longer than the timer"
    local run
    becomes loader ActiveState inactive
    # This lock is held until its session is ended below.
    sql 'BEGIN; LOCK power_logs; SELECT pg_sleep(3600)' >/dev/null 2>&1 &
    local holder=$!
    wait_until "no session locks the table" table_is_locked
    expect "$(post locked 1)" 200
    wait_until "no loader waits for the lock" a_session_waits
    run=$(property loader InvocationID)
    # More than the timer's 15 s. A longer wait on a slow machine does no harm.
    sleep 20
    expect "$(property loader InvocationID)" "$run"
    expect "$(property loader ActiveState)" activating
    sql "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE $is_the_lock" >/dev/null
    wait "$holder" || true
    wait_until "the loader has not loaded the batch after the lock was released" rows_are 4
    wait_until "the timer starts no other run after that" another_run "$run"
    good "one run, no other beside it for 20 s, and the next one afterwards"
}

restart_under_load() {
    section "Restart and reload the receiver under load"
    cat >"$root/root/poster.sh" <<'END'
# Posts batch after batch, each one until it is acknowledged, and records their number and the longest time to an acknowledgement.
key=$1 url=$2
echo $$ >/root/poster.pid
acknowledged=0 longest=0
echo 0 >/root/acknowledged
trap 'echo "$acknowledged $longest" >/root/posted; exit' TERM
while true; do
    since=$(date +%s%N)
    until [ "$(curl -sS -m 600 -o /dev/null -w '%{http_code}' "$url/api/ingest/batch" -H "X-API-Key: $key" -d '{"messages":[{"src":"load","timestamp":'$((1700000000 + 60 * acknowledged))',"params":{"switch:0":{"apower":1}}}]}' 2>/dev/null)" = 200 ]; do
        sleep 0.02
    done
    acknowledged=$((acknowledged + 1))
    echo $acknowledged >/root/acknowledged
    took=$((($(date +%s%N) - since) / 1000000))
    if [ $took -gt $longest ]; then longest=$took; fi
done
END
    inside bash /root/poster.sh "$key" "$url" &
    poster=$!
    local process
    process=$(property receiver MainPID)
    more_are_acknowledged
    inside systemctl reload shelly-receiver
    more_are_acknowledged
    expect "$(property receiver MainPID)" "$process"
    is receiver ActiveState active
    for _ in 1 2 3 4 5; do
        inside systemctl restart shelly-receiver
        is receiver ActiveState active
        more_are_acknowledged
    done
    inside kill "$(<"$root/root/poster.pid")"
    wait "$poster" || true
    poster=
    local acknowledged longest
    read -r acknowledged longest <"$root/root/posted"
    ((acknowledged > 10)) || fail "only $acknowledged batches were acknowledged"
    # One more batch may have been acknowledged after the poster had stopped counting.
    wait_until "not all of $acknowledged batches are loaded" load_is_there "$acknowledged"
    good "$acknowledged batches acknowledged, as many rows; the longest wait of a client during a restart was $longest ms"
}

# Waits for five batches. The last four of them began after this call.
more_are_acknowledged() {
    local count=
    wait_until "the client sends no batch" poster_has 0
    wait_until "no batch is acknowledged any more" poster_has $((count + 5))
}

# Leaves the number of acknowledged batches in $count; the file is empty while it is written.
poster_has() {
    count=$(cat "$root/root/acknowledged" 2>/dev/null) && [[ -n $count ]] && ((count >= $1))
}

change_the_key() {
    section "Change the key"
    local old=$key
    key=0123456789abcdef0123456789abcdef
    inside sh -c "printf '%s\n' $old $key >/etc/shelly-collector/ingest.key"
    inside systemctl restart shelly-receiver
    expect "$(post keys 1)" 200
    expect "$(key=$old post keys 2)" 200
    inside sh -c "printf '%s\n' $key >/etc/shelly-collector/ingest.key"
    inside systemctl restart shelly-receiver
    expect "$(post keys 3)" 200
    expect "$(key=$old post keys 4)" 401
    good "both at first, then only the new one"

    # Without systemd's copy the receiver reads the file itself at each reload.
    inside chown shelly-collector: /etc/shelly-collector/ingest.key
    inside sh -c 'mkdir -p /etc/systemd/system/shelly-receiver.service.d && printf "[Service]\nLoadCredential=\nEnvironment=INGEST_API_KEY_FILE=/etc/shelly-collector/ingest.key\n" >/etc/systemd/system/shelly-receiver.service.d/keys.conf'
    inside systemctl daemon-reload
    inside systemctl restart shelly-receiver
    inside sh -c "printf '%s\n' $old >/etc/shelly-collector/ingest.key"
    # The reload ends when the signal is sent.
    inside systemctl reload shelly-receiver
    wait_until "the old key is still accepted" posts keys 5 401
    key=$old
    expect "$(post keys 5)" 200
    is receiver ActiveState active
    good "with INGEST_API_KEY_FILE instead of LoadCredential, a reload changes the key too"
}

stop_answering() {
    section "Suspend the receiver's process, so that the watchdog restarts it"
    local start process
    # Long enough for a machine that stalls for some seconds.
    inside mkdir -p /run/systemd/system/shelly-receiver.service.d
    inside sh -c 'printf "[Service]\nWatchdogSec=30\n" >/run/systemd/system/shelly-receiver.service.d/test.conf'
    inside systemctl daemon-reload
    inside systemctl restart shelly-receiver
    # The first watchdog message comes at once, the second one after half of that time.
    local sign
    for _ in 1 2; do
        sign=$(property receiver WatchdogTimestampMonotonic)
        wait_until "the receiver sends no watchdog notification" gave_another_sign "$sign"
    done
    is receiver NRestarts 0
    start=$SECONDS
    process=$(property receiver MainPID)
    inside kill -STOP "$process"
    wait_until "the watchdog has not restarted the receiver" restarted
    expect "$(post watchdog 1)" 200
    wait_until "the journal has no watchdog timeout" journal_has 'Watchdog timeout'
    good "another process answers after $((SECONDS - start)) s"
    inside rm -r /run/systemd/system/shelly-receiver.service.d
    inside systemctl daemon-reload
}

reboot() {
    section "Boot again"
    shut_down
    boot
    wait_until "the receiver is not back" posts reboot 1 200
    becomes receiver ActiveState active
    wait_until "the timer does not load" device_has reboot 1
    good "receiver and timer run again"
}

upgrade() {
    section "Upgrade"
    local next=$state/next
    inside sh -c "echo '# mine' >>$settings"
    local before after
    before=$(inside sh -c "cat $settings /etc/shelly-collector/ingest.key | sha256sum")
    dpkg-deb -R "$package" "$next"
    sed -i "s/^Version: .*/&+next/" "$next/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone --build "$next" "$root/root/next.deb" >/dev/null
    inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get install -y /root/next.deb' >"$state/upgrade.log" 2>&1 ||
        fail_with "$state/upgrade.log" "the upgrade failed"
    after=$(inside sh -c "cat $settings /etc/shelly-collector/ingest.key | sha256sum")
    expect "$after" "$before"
    expect "$(inside dpkg-query -f "\${Version}" -W shelly-collector)" "$version+next"
    becomes receiver ActiveState active
    expect "$(post upgrade 1)" 200
    good "settings and key are unchanged, and the receiver was restarted"
}

remove_and_purge() {
    section "Remove and purge"
    local spool=/var/lib/shelly-collector/spool files
    inside apt-get -qq -y remove shelly-collector >"$state/remove.log" 2>&1 || fail_with "$state/remove.log" "removal failed"
    files=$(inside find "$spool" -type f | wc -l)
    ((files > 0)) || fail "the removal deleted the spool"
    if inside systemctl is-active --quiet shelly-receiver shelly-loader.timer; then fail "the receiver or the timer still runs"; fi
    good "removed: the spool is still there, $files files"

    inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge shelly-collector' >"$state/purge.log" 2>&1 ||
        fail_with "$state/purge.log" "purge failed"
    expect "$(inside find "$spool" -type f | wc -l)" "$files"
    if inside test -e /etc/shelly-collector; then fail "the purge left /etc/shelly-collector"; fi
    good "purged without an answer to the question: the spool is kept, the settings are deleted"

    # The drop-in would name a key file that the receiver no longer uses.
    inside rm -r /etc/systemd/system/shelly-receiver.service.d
    inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends /root/package.deb' >"$state/again.log" 2>&1 ||
        fail_with "$state/again.log" "installing again failed"
    becomes receiver ActiveState active
    inside sh -c 'echo shelly-collector shelly-collector/remove-spool boolean true | debconf-set-selections'
    inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge shelly-collector' >"$state/purge.log" 2>&1 ||
        fail_with "$state/purge.log" "purge failed"
    if inside test -e /var/lib/shelly-collector; then fail "the purge kept the spool, though the answer was to delete it"; fi
    expect "$(inside systemctl --failed --no-legend | wc -l)" 0
    good "purged with the answer to delete the spool: it is deleted"
}

# A command in the booted root.
inside() {
    nsenter --target "$init" --all -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# post DEVICE MINUTE: a batch of one reading; prints the status.
post() {
    inside curl -sS -m "$patience" -o /dev/null -w '%{http_code}' "$url/api/ingest/batch" -H "X-API-Key: $key" \
        -d '{"messages":[{"src":"'"$1"'","timestamp":'$((1700000000 + 60 * $2))',"params":{"switch:0":{"apower":1}}}]}' ||
        true
}

# posts DEVICE MINUTE STATUS
posts() {
    [[ $(post "$1" "$2" 2>/dev/null) == "$3" ]]
}

is_ready() {
    [[ $(inside curl -sS -m "$patience" -o /dev/null -w '%{http_code}' "$url/readyz") == 200 ]]
}

sql() {
    inside runuser -u postgres -- psql -qAt shelly -c "$1"
}

rows_are() {
    [[ $(sql 'SELECT count(*) FROM power_logs' 2>/dev/null) == "$1" ]]
}

device_has() {
    [[ $(sql "SELECT count(*) FROM power_logs WHERE device_id = '$1'" 2>/dev/null) == "$2" ]]
}

load_is_there() {
    [[ $(sql "SELECT count(*) FROM power_logs
              WHERE device_id = 'load' AND \"timestamp\" < to_timestamp(1700000000 + 60 * $1)") == "$1" ]]
}

is_the_lock="granted AND mode = 'AccessExclusiveLock' AND relation = 'power_logs'::regclass"

table_is_locked() {
    [[ $(sql "SELECT count(*) FROM pg_locks WHERE $is_the_lock") == 1 ]]
}

a_session_waits() {
    [[ $(sql "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'power_logs'::regclass") == t ]]
}

property() {
    inside systemctl show --property "$2" --value "shelly-$1.service"
}

another_run() {
    local run
    run=$(property loader InvocationID)
    [[ -n $run && $run != "$1" ]]
}

# One query for all three values, because the timer may begin the next run at any time.
loader_ended_with() {
    local result
    result=$(inside systemctl show --property ActiveState,ExecMainStatus,Result shelly-loader.service | sort | tr '\n' ' ')
    [[ $result == "ActiveState=inactive ExecMainStatus=$1 Result=success " ]]
}

gave_another_sign() {
    local sign
    sign=$(property receiver WatchdogTimestampMonotonic)
    [[ -n $sign && $sign != "$1" ]]
}

journal_has() {
    inside journalctl -u shelly-receiver --no-pager | grep "$1" >/dev/null
}

restarted() {
    [[ $(property receiver NRestarts) != 0 && $(property receiver ActiveState) == active ]]
}

# becomes UNIT PROPERTY VALUE: waits until the property has the value.
becomes() {
    wait_until "the $1's $2 is not $3" has "$@"
}

has() {
    [[ $(property "$1" "$2") == "$3" ]]
}

is() {
    expect "$(property "$1" "$2")" "$3"
}

expect() {
    [[ $1 == "$2" ]] || fail "expected '$2', but it is '$1'"
}

# wait_until COMPLAINT COMMAND...: waits at most some minutes.
wait_until() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "$complaint after $patience s"
        sleep 0.2
    done
}

# Shuts the container down, or kills it if that fails.
shut_down() {
    local deadline=$((SECONDS + patience))
    [[ -n $container ]] || return 0
    if [[ -n $init ]]; then inside systemctl poweroff >/dev/null 2>&1 || true; fi
    while kill -0 "$container" 2>/dev/null; do
        if ((SECONDS >= deadline)); then kill -KILL "$container" 2>/dev/null || true; fi
        sleep 0.2
    done
    wait "$container" 2>/dev/null || true
    container='' init=''
}

clean_up() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    if [[ -z ${finished:-} ]]; then
        if ((status == 0)); then status=1; fi
        if [[ -n $init ]]; then
            inside journalctl --no-pager -n 25 -u 'shelly-*' >&2 || true
        fi
        echo "deb test: failed (status $status); the root is $root" >&2
    fi
    shut_down
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    if [[ -n ${finished:-} ]]; then rm -rf "$state"; fi
    exit "$status"
}

section() { printf '\n%s\n' "$*"; }
good() { printf '  ✓ %s\n' "$*"; }

fail() {
    printf '  ✗ %s\n' "$*" >&2
    exit 1
}

fail_with() {
    tail -n 30 "$1" >&2
    fail "$2"
}

main "$@"
