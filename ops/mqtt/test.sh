#!/usr/bin/env bash
# Devices publish to mosquitto, configured as the example here is, and the bridge takes their messages to a real
# receiver. Receiver, bridge and broker are away for a time, two of them killed; then every message is in the spool.
#
# SHELLY_BIN=DIR takes the programs from DIR instead of the debug build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly here=$PWD/ops/mqtt ingest_key=mqtt-test-ingest
# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600
state=$(mktemp -d "${TMPDIR:-/tmp}/shelly-mqtt.XXXXXX")
port='' receiver_port='' finished=''
declare -A process=([broker]='' [bridge]='' [receiver]='')
export PATH=$PATH:/usr/sbin

main() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    local bin=${SHELLY_BIN:-}
    [[ -n $bin ]] || bin=$(ops/dev/build.sh debug)
    export PATH=$bin:$PATH
    mkdir "$state/broker" "$state/conf.d"
    mosquitto_passwd -c -b "$state/passwd" shelly secret
    now=$(date +%s)

    start_broker
    frames shellyplus1pm-retained 1 | publish shellyplus1pm-retained/events/rpc -r
    start_receiver
    start_bridge
    frames shellyplus1pm-a0b1c2d3e4f5 150 | publish shellyplus1pm-a0b1c2d3e4f5/events/rpc
    await 'the first messages are not in the spool' all_are_spooled shellyplus1pm-a0b1c2d3e4f5 150

    end receiver KILL
    frames shellypmminig3-a0b1c2d3e4f5 150 | publish shellypmminig3-a0b1c2d3e4f5/events/rpc
    await 'the bridge does not notice that the receiver is away' has_failed
    end bridge KILL
    { frames shellypro4pm-a0b1c2d3e4f5 150 && echo 'no JSON'; } | publish shellypro4pm-a0b1c2d3e4f5/events/rpc
    end broker TERM

    start_broker
    start_bridge
    await 'the bridge does not notice that the receiver is away' has_failed
    start_receiver
    for device in shellyplus1pm shellypmminig3 shellypro4pm; do
        await "messages of $device are lost" all_are_spooled "$device-a0b1c2d3e4f5" 150
    done
    await 'there is no dead letter' test -s "$state/letters"
    [[ $(jq -c '[.dead_letter, .body.payload]' "$state/letters") == '["not JSON","no JSON"]' ]] ||
        fail "another dead letter: $(<"$state/letters")"
    [[ $(spooled shellyplus1pm-retained) == 0 ]] || fail "a retained message was taken"
    await 'the bridge acknowledges nothing' is_forgotten
    finished=yes
    echo "mqtt: 450 messages, with receiver, bridge and broker away for a time: none is lost"
}

# frames DEVICE COUNT: status frames of so many minutes, one a line.
frames() {
    seq "$2" | jq -c --arg src "$1" --argjson now "$now" \
        '{src: $src, method: "NotifyStatus", params: {ts: ($now - . * 60 + 0.5), "switch:0": {id: 0, apower: .}}}'
}

# publish TOPIC [OPTION]: publishes each line with QoS 0, which promises less than the devices do.
publish() {
    mosquitto_pub -h 127.0.0.1 -p "$port" -u shelly -P secret -q 0 -t "$1" "${@:2}" -l
}

# spooled DEVICE: the number of the device's minutes that are durable in the spool.
spooled() {
    shelly-loader cat --spool "$state/spool" 2>/dev/null |
        jq -r --arg src "$1" '.body.messages[] | select(.src == $src) | .timestamp' | sort -u | wc -l
}

all_are_spooled() {
    [[ $(spooled "$1") == "$2" ]]
}

# Debian's own file for the broker, which includes the example.
start_broker() {
    local attempt
    for attempt in {1..20}; do
        [[ -n $port ]] || port=$(free_port)
        sed -e "s|^listener .*|listener $port 127.0.0.1|" -e "s|/etc/mosquitto/passwd|$state/passwd|" \
            "$here/mosquitto.conf" >"$state/conf.d/shelly.conf"
        printf '%s\n' "user $(id -un)" 'persistence true' "persistence_location $state/broker/" 'sys_interval 1' \
            "log_dest file $state/broker.log" "include_dir $state/conf.d" >"$state/mosquitto.conf"
        mosquitto -c "$state/mosquitto.conf" </dev/null >>"$state/broker.out" 2>&1 &
        process[broker]=$!
        await 'mosquitto does not start' broker_has_started
        if kill -0 "${process[broker]}" 2>/dev/null; then return; fi
        port=''
    done
    fail "mosquitto does not start in $attempt tries: $(tail -n 3 "$state/broker.log")"
}

broker_has_started() {
    kill -0 "${process[broker]}" 2>/dev/null || return 0
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

has_failed() {
    grep -q 'no answer' "$state/bridge.log"
}

# The broker has no message left for the bridge.
is_forgotten() {
    [[ $(broker_says store/messages/count) == "$(broker_says 'retained messages/count')" ]]
}

broker_says() {
    mosquitto_sub -h 127.0.0.1 -p "$port" -u shelly -P secret -C 1 -t "\$SYS/broker/$1"
}

start_receiver() {
    [[ -n $receiver_port ]] || receiver_port=$(free_port)
    env -u INGEST_API_KEY_FILE -u TLS_CERTIFICATE_FILE -u TLS_KEY_FILE -u CREDENTIALS_DIRECTORY \
        INGEST_API_KEY=$ingest_key HOST=127.0.0.1 PORT="$receiver_port" SPOOL_DIR="$state/spool" SPOOL_FILE_SYSTEM=any \
        DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing shelly-receiver </dev/null >"$state/receiver.log" 2>&1 &
    process[receiver]=$!
    await 'the receiver does not start' receiver_listens
}

receiver_listens() {
    kill -0 "${process[receiver]}" 2>/dev/null || fail "the receiver ended: $(tail -n 3 "$state/receiver.log")"
    curl -sf -o /dev/null "http://127.0.0.1:$receiver_port/healthz"
}

start_bridge() {
    MQTT_URL=mqtt://127.0.0.1:$port MQTT_USERNAME=shelly MQTT_PASSWORD=secret \
        RECEIVER_URL=http://127.0.0.1:$receiver_port INGEST_API_KEY=$ingest_key DEAD_LETTERS_FILE=$state/letters \
        node "$here/bridge.js" </dev/null >"$state/bridge.log" 2>&1 &
    process[bridge]=$!
    await 'the bridge does not subscribe' grep -q '"subscribed"' "$state/bridge.log"
}

await() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    while ((SECONDS < deadline)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "$complaint, not in $patience s"
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

# end NAME SIGNAL
end() {
    [[ -n ${process[$1]} ]] || return 0
    kill "-$2" "${process[$1]}" 2>/dev/null || true
    wait "${process[$1]}" 2>/dev/null || true
    process[$1]=''
}

clean_up() {
    local status=$?
    trap '' INT TERM
    end bridge TERM
    end broker TERM
    end receiver TERM
    if [[ -n $finished ]]; then rm -rf "$state"; else echo "mqtt: logs are in $state" >&2; fi
    exit "$status"
}

fail() {
    echo "mqtt: $*" >&2
    exit 1
}

main
