#!/usr/bin/env bash
# Starts a real receiver behind nginx and Caddy, with the configuration of the examples, and sends it batches through them.
#
# The proxies are Debian's. Where they are not installed their packages are unpacked below .local, so that no service is
# set up or started. SHELLY_BIN=DIR takes the receiver from DIR instead of the debug build.
#
#   test.sh attack [OPTION …]    runs ops/dev/attack.py with the options against each proxy instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly here=$PWD/ops/proxy name=shelly.example.com ingest_key=proxy-test-ingest read_key=proxy-test-read
# The routes with data of devices or of the operation, with STATS_ACCESS=key.
readonly reads=(/metrics /api/devices /api/stats/spool)
# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600
state=$(mktemp -d "${TMPDIR:-/tmp}/shelly-proxy.XXXXXX")
# In seconds, in place of the examples' timeouts: no check is about them, and a slow machine would reach them.
timeouts=3600
receiver='' proxy='' port='' receiver_port='' checks=0 finished=''

main() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    find_receiver
    nginx=$(program nginx usr/sbin/nginx)
    caddy=$(program caddy usr/bin/caddy)
    make_certificate
    make_batches
    if [[ ${1:-} == attack ]]; then
        shift
        attack "$@"
        finished=yes
        return
    fi

    start_receiver READ_API_KEY=$read_key
    for kind in nginx caddy; do
        start_proxy example
        batches_pass
        reads_need_the_key
        connections_are_kept
        stop_proxy
    done
    stop_receiver

    # Without a read key, once with the example and once with the proxy's defaults.
    start_receiver READ_API_KEY=
    for kind in nginx caddy; do
        for configuration in example bare; do
            start_proxy "$configuration"
            reads_are_refused
            stop_proxy
        done
    done

    # And the proxy when the receiver is gone.
    kind=nginx
    start_proxy example
    stop_receiver
    receiver_is_gone
    stop_proxy
    kind=caddy
    start_proxy example
    receiver_is_gone
    finished=yes
    echo "proxies: $checks checks with $("$nginx" -v 2>&1 | sed 's/.*: //') and Caddy $("$caddy" version | cut -d' ' -f1): all passed"
}

# With the timeouts of the examples and of the receiver.
attack() {
    timeouts=''
    start_receiver READ_API_KEY=$read_key INGEST_HEAD_SECONDS=10 INGEST_BODY_SECONDS=30 INGEST_COMMIT_SECONDS=20 \
        INGEST_IDLE_SECONDS=120
    for kind in nginx caddy; do
        start_proxy example
        echo "$kind:"
        ATTACK_HOST=$name INGEST_API_KEY=$ingest_key ops/dev/attack.py --at "127.0.0.1:$port" --tls --pid "$receiver" "$@"
        stop_proxy
    done
}

batches_pass() {
    local answer
    expect 200 "$(post "$state/small.json")" "a batch of one"
    expect 200 "$(post "$state/small.json")" "the same batch again"
    answer=$(<"$state/answer")
    [[ $answer == *'"duplicates":1'* ]] || fail "the answer does not pass through the proxy: $answer"
    expect 200 "$(post "$state/large.json")" "a batch of 15 MiB"
    expect 200 "$(post "$state/large.json" -H 'Transfer-Encoding: chunked')" "a batch of 15 MiB in chunks"
    expect_early 413 "$(post "$state/too-large.json")" "a batch of 17 MiB"
    expect 401 "$(post "$state/small.json" -H 'X-API-Key: wrong')" "a batch with a wrong key"
    [[ $(<"$state/answer") == '{"detail":"Unauthorized"}' ]] || fail "a refusal does not pass through the proxy"
    expect 401 "$(post "$state/medium.json" -H 'X-API-Key: wrong')" "a batch of 1 MiB with a wrong key"
    expect_early 401 "$(post "$state/large.json" -H 'X-API-Key: wrong')" "a batch of 15 MiB with a wrong key"
    expect 422 "$(post "$state/empty.json")" "an empty batch"
    expect 415 "$(post "$state/small.json" -H 'Content-Encoding: gzip')" "a compressed batch"
    expect 200 "$(post "$state/small.json" -H 'Prefer: handling=lenient')" "a lenient batch"
    grep -qi '^preference-applied: handling=lenient' "$state/headers" || fail "Preference-Applied does not pass through the proxy"
    expect 405 "$(get /api/ingest/batch)" "GET on the ingest route"
    expect 200 "$(get /healthz)" "/healthz"
}

reads_need_the_key() {
    local path
    for path in "${reads[@]}"; do expect 401 "$(get "$path")" "a read of $path without a key"; done
    grep -qi '^www-authenticate: Basic realm="shelly-collector"' "$state/headers" || fail "WWW-Authenticate does not pass through the proxy"
    expect 401 "$(get /metrics -H "X-API-Key: $ingest_key")" "a read with an ingest key"
    for path in "${reads[@]}"; do
        expect 200 "$(get "$path" -H "X-API-Key: $read_key")" "a read of $path with the key"
    done
    expect 200 "$(get /metrics -H "Authorization: Bearer $read_key")" "a read with the key as a bearer's"
    expect 200 "$(get /metrics -u "me:$read_key")" "a read with the key as a password"
}

reads_are_refused() {
    local path
    for path in "${reads[@]}"; do
        expect 403 "$(get "$path")" "a read of $path through $kind ($configuration) where there is no read key"
    done
    [[ $(<"$state/answer") == *READ_API_KEY* ]] || fail "a refusal does not name READ_API_KEY"
    expect 200 "$(post "$state/small.json")" "a batch all the same"
}

receiver_is_gone() {
    expect_early 502 "$(post "$state/small.json")" "a batch without a receiver"
    expect 502 "$(get /healthz)" "/healthz without a receiver"
}

connections_are_kept() {
    local before turn
    before=$(sockets)
    for turn in {1..20}; do expect 200 "$(post "$state/small.json")" "batch $turn of 20"; done
    await "20 batches left more than 4 new connections between $kind and the receiver" few_are_new "$before"
}

# Those that were closing before the batches, or close after them, do not count. None of the others ends by itself: see
# the proxies' time-outs.
few_are_new() {
    (($(comm -13 <(echo "$1") <(sockets) | wc -l) <= 4))
}

# The receiver's sockets, each by its number.
sockets() {
    find "/proc/$receiver/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | sort
}

# Prints the status; answer and headers are in files.
post() {
    local file=$1
    shift
    # A later header of the same name takes the place of an earlier one only by hand.
    local key=(-H "X-API-Key: $ingest_key")
    [[ " $* " == *X-API-Key* ]] && key=()
    request /api/ingest/batch "${key[@]}" -H 'Content-Type: application/json' --data-binary "@$file" "$@"
}

get() {
    request "$@"
}

request() {
    local path=$1
    shift
    curl -sS -m "$patience" --cacert "$state/server.crt" --resolve "$name:$port:127.0.0.1" -o "$state/answer" \
        -D "$state/headers" 2>>"$state/curl.log" -w '%{http_code}' "https://$name:$port$path" "$@" || true
}

expect() {
    ((checks += 1))
    [[ $2 == "$1" ]] || fail "${kind:-}: $3: status $2 instead of $1: $(head -c 500 "$state/answer")"
}

# For an answer that does not wait for the body. Caddy passes a body on while it comes, and Go's server ends the
# connection, or with HTTP/2 the stream, when the answer comes before its end: then the client may not see the answer.
expect_early() {
    if [[ $kind == caddy && $2 =~ ^[01]00$ ]]; then
        ((checks += 1))
    else
        expect "$@"
    fi
}

find_receiver() {
    local bin=${SHELLY_BIN:-}
    [[ -n $bin ]] || bin=$(ops/dev/build.sh debug)
    program=$bin/shelly-receiver
    [[ -x $program ]] || fail "there is no $program"
}

# Where a Debian package's program is: installed, or unpacked here.
program() {
    local package=$1 path=$2 directory=$PWD/.local/packages/$1
    if command -v "$package"; then return; fi
    if [[ -x /$path ]]; then
        echo "/$path"
        return
    fi
    if [[ ! -x $directory/$path ]]; then
        rm -rf "$directory"
        mkdir -p "$directory"
        (
            cd "$directory"
            apt-get download "$package" >/dev/null 2>apt.log || {
                apt-get update -q >/dev/null 2>&1 || true
                apt-get download "$package" >/dev/null 2>apt.log
            } || fail "Debian's package $package cannot be downloaded: $(<apt.log)"
            dpkg -x "$package"_*.deb .
        )
    fi
    echo "$directory/$path"
}

make_certificate() {
    openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj "/CN=$name" \
        -addext "subjectAltName=DNS:$name" -keyout "$state/server.key" -out "$state/server.crt" 2>/dev/null
    # nginx's workers run as the user nobody if nginx is started as root.
    chmod 755 "$state"
}

make_batches() {
    local message
    message='{"src":"proxy-test","timestamp":'$(date +%s)',"params":{"switch:0":{"apower":8.9}}'
    echo "{\"messages\":[$message}]}" >"$state/small.json"
    echo '{"messages":[]}' >"$state/empty.json"
    padded "$message" 1 >"$state/medium.json"
    padded "$message" 15 >"$state/large.json"
    padded "$message" 17 >"$state/too-large.json"
}

padded() {
    printf '{"messages":[%s,"padding":"' "$1"
    head -c $(($2 << 20)) /dev/zero | tr '\0' x
    printf '"}]}'
}

# No check is about the receiver's timeouts. It keeps idle connections longer than the proxies do.
start_receiver() {
    env -u READ_API_KEY_FILE -u INGEST_API_KEY_FILE -u TLS_CERTIFICATE_FILE -u TLS_KEY_FILE -u CREDENTIALS_DIRECTORY \
        INGEST_API_KEY=$ingest_key HOST=127.0.0.1 PORT=0 SPOOL_DIR="$state/spool" SPOOL_FILE_SYSTEM=any STATS_ACCESS=key \
        INGEST_HEAD_SECONDS=3600 INGEST_BODY_SECONDS=3600 INGEST_COMMIT_SECONDS=3600 INGEST_IDLE_SECONDS=86400 \
        DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing "$@" "$program" </dev/null >"$state/receiver.log" 2>&1 &
    receiver=$!
    await 'the receiver does not start' receiver_listens
}

receiver_listens() {
    kill -0 "$receiver" 2>/dev/null || fail "the receiver ended: $(tail -n 3 "$state/receiver.log")"
    receiver_port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9][0-9]*\).*/\1/p' "$state/receiver.log" | head -n 1)
    [[ -n $receiver_port ]]
}

# Another process may take a port between the choice and the proxy's start: then another one is chosen.
start_proxy() {
    local attempt
    for attempt in {1..20}; do
        port=$(free_port)
        "launch_$kind" "$1"
        await "$kind does not start" proxy_has_started
        if kill -0 "$proxy" 2>/dev/null; then return; fi
        stop_proxy
        grep -qi 'address already in use' "$state/$kind.log" || fail "$kind ended: $(tail -n 3 "$state/$kind.log")"
    done
    fail "$kind found no free port in $attempt tries"
}

launch_nginx() {
    local site=$state/nginx-site.conf
    : >"$state/nginx.log"
    if [[ $1 == example ]]; then
        edit "$here/nginx.conf" "$site" \
            "s|listen 443 ssl;|listen 127.0.0.1:$port ssl;|" "s|server 127.0.0.1:8080;|server 127.0.0.1:$receiver_port;|" \
            "s|ssl_certificate /.*;|ssl_certificate $state/server.crt;|" \
            "s|ssl_certificate_key /.*;|ssl_certificate_key $state/server.key;|" \
            ${timeouts:+"s/\(_timeout\) [0-9]*s;/\1 ${timeouts}s;/"}
    else
        echo "server { listen 127.0.0.1:$port ssl; ssl_certificate $state/server.crt; ssl_certificate_key $state/server.key;
            location / { proxy_pass http://127.0.0.1:$receiver_port; } }" >"$site"
    fi
    {
        # With its master process, which takes the workers along when it ends.
        echo "daemon off; pid $state/nginx.pid; error_log $state/nginx.log; events { worker_connections 768; }"
        echo "http { access_log off;"
        for kept in client_body proxy fastcgi uwsgi scgi; do echo "${kept}_temp_path $state/nginx-$kept;"; done
        echo "include $site; }"
    } >"$state/nginx.conf"
    "$nginx" -t -q -p "$state" -c "$state/nginx.conf" -e "$state/nginx.log" || fail "nginx refuses its configuration"
    "$nginx" -p "$state" -c "$state/nginx.conf" -e "$state/nginx.log" </dev/null >"$state/nginx.out" 2>&1 &
    proxy=$!
}

launch_caddy() {
    local file=$state/Caddyfile
    if [[ $1 == example ]]; then
        edit "$here/Caddyfile" "$file" \
            "s|^{\$|{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port $(free_port)|" \
            "s|^$name {|https://$name:$port {\n\tbind 127.0.0.1\n\ttls $state/server.crt $state/server.key|" \
            "s|reverse_proxy 127.0.0.1:8080|reverse_proxy 127.0.0.1:$receiver_port|" \
            ${timeouts:+"s/\(read_header\|read_body\|idle\|_timeout\|keepalive\) [0-9]*[sm]$/\1 ${timeouts}s/"}
    else
        printf '{\n\tadmin off\n\tauto_https disable_redirects\n}\n%s {\n\tbind 127.0.0.1\n\ttls %s\n\treverse_proxy %s\n}\n' \
            "https://$name:$port" "$state/server.crt $state/server.key" "127.0.0.1:$receiver_port" >"$file"
    fi
    # Caddy's state goes into this test's directory.
    HOME=$state XDG_DATA_HOME=$state/caddy XDG_CONFIG_HOME=$state/caddy "$caddy" run --config "$file" --adapter caddyfile \
        </dev/null >"$state/caddy.log" 2>&1 &
    proxy=$!
}

# Applies the expressions. Each must change a line; otherwise the example has changed.
edit() {
    local from=$1 to=$2 expression
    shift 2
    cp "$from" "$to"
    for expression; do
        cp "$to" "$to.before"
        sed -i "$expression" "$to"
        ! cmp -s "$to" "$to.before" || fail "$from has nothing for $expression"
    done
}

# The proxy has ended, or a process answers at its port with its certificate, which no other process has.
proxy_has_started() {
    kill -0 "$proxy" 2>/dev/null || return 0
    curl -s -m 20 --cacert "$state/server.crt" --resolve "$name:$port:127.0.0.1" -o /dev/null \
        "https://$name:$port/healthz"
}

await() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    while ((SECONDS < deadline)); do
        if "$@"; then return; fi
        sleep 0.05
    done
    fail "$complaint within $patience s"
}

# One below the range that the kernel hands out by itself.
free_port() {
    local candidate
    while true; do
        candidate=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || break
    done
    echo "$candidate"
}

stop_proxy() {
    stop "$proxy"
    proxy=''
}

stop_receiver() {
    stop "$receiver"
    receiver=''
}

stop() {
    [[ -n $1 ]] || return 0
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

clean_up() {
    local status=$?
    trap '' INT TERM
    stop_proxy
    stop_receiver
    if [[ -n $finished ]]; then rm -rf "$state"; else echo "proxies: logs are in $state" >&2; fi
    exit "$status"
}

fail() {
    echo "proxies: $*" >&2
    exit 1
}

main "$@"
