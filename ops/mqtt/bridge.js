/**
 * Takes the messages of Shelly devices from an MQTT broker to the receiver. The broker keeps each message until the
 * receiver has made it durable. The page for this is docs/MQTT.md.
 */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { consume } from "../cloudflare/consumer.js";
import { Connection } from "./connection.js";

const maximumBatch = 100;
/** The time for more messages to come with the first one. */
const gatherMilliseconds = 1000;
const reconnectMilliseconds = 5000;
/** The longest wait before a batch is posted again. */
const maximumDelaySeconds = 300;

/** @param {string} name */
function setting(name, fallback = "") {
    return process.env[name]?.trim() || fallback;
}

const letterFile = setting("DEAD_LETTERS_FILE", "dead-letters.ndjson");
const options = {
    url: new URL(setting("MQTT_URL", "mqtt://127.0.0.1:1883")),
    clientId: setting("MQTT_CLIENT_ID", "shelly-collector"),
    username: setting("MQTT_USERNAME") || undefined,
    password: process.env.MQTT_PASSWORD || undefined,
    topics: setting("MQTT_TOPICS", "+/events/rpc").split(/\s+/),
};
const env = {
    RECEIVER_URL: setting("RECEIVER_URL", "http://127.0.0.1:8080"),
    INGEST_API_KEY: setting("INGEST_API_KEY"),
    DEAD_LETTERS: { send: appendLetter },
};

for (;;) {
    try {
        const connection = new Connection(options);
        await connection.subscribed();
        log("info", { subscribed: options.topics, broker: options.url.host });
        for (;;) await deliver(await gather(connection), connection);
    } catch (error) {
        log("warn", { failure: `broker ${options.url.host}: ${error.message}` });
        await sleep(reconnectMilliseconds);
    }
}

/** @param {Connection} connection */
async function gather(connection) {
    if (await connection.available() < maximumBatch) await sleep(gatherMilliseconds);
    return connection.take(maximumBatch);
}

/**
 * Delivers until each message is durable or a dead letter, and acknowledges it then.
 *
 * @param {import("./connection.js").Publication[]} publications
 * @param {Connection} connection
 */
async function deliver(publications, connection) {
    const receivedAt = new Date();
    let waiting = publications.filter((publication) => {
        // A retained message is the last of its topic, of an unknown time.
        if (publication.isRetained) connection.acknowledge(publication);
        return !publication.isRetained;
    });
    while (waiting.length > 0) {
        const retried = [];
        let delay = 0;
        await consume({
            queue: "mqtt",
            messages: waiting.map((publication) => ({
                id: `${publication.id ?? "-"}`,
                timestamp: receivedAt,
                body: { topic: publication.topic, payload: publication.payload },
                // The wait stays short: nothing but this program delivers these messages.
                attempts: 1,
                ack: () => connection.acknowledge(publication),
                retry: ({ delaySeconds = 0 } = {}) => {
                    retried.push(publication);
                    delay = Math.min(Math.max(delay, delaySeconds), maximumDelaySeconds);
                },
            })),
        }, env);
        waiting = retried;
        await sleep(delay * 1000);
    }
}

/**
 * Appends a dead letter as a line to the file, and returns when it is on the disk.
 * @param {unknown} letter
 */
async function appendLetter(letter) {
    const text = JSON.stringify(letter, (_, value) => value instanceof Uint8Array ? textOf(value) : value);
    const file = await open(letterFile, "a", 0o600);
    try {
        await file.write(`${text}\n`);
        await file.datasync();
    } finally {
        await file.close();
    }
}

/** @param {Uint8Array} bytes */
function textOf(bytes) {
    try {
        return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
        return { base64: Buffer.from(bytes).toString("base64") };
    }
}

/**
 * @param {string} level
 * @param {object} members
 */
function log(level, members) {
    console.log(JSON.stringify({ level, ...members }));
}
