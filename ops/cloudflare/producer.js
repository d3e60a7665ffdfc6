import { boundedText } from "./bounded-text.js";
import { readMessage } from "./message.js";

/**
 * An example of a producer: devices send their readings to it over HTTP, and it sends them to the queue.
 *
 * @typedef {{sendBatch(messages: {body: unknown}[]): Promise<unknown>}} Queue
 * @typedef {{DEVICE_TOKEN?: string, READINGS: Queue}} Environment
 */
export default {
    /**
     * @param {Request} request
     * @param {Environment} env
     * @returns {Promise<Response>}
     */
    async fetch(request, env) {
        const token = env.DEVICE_TOKEN?.trim();
        if (!token) return answer(500, { detail: "DEVICE_TOKEN is not configured" });
        if (!(await isEqual(tokenOf(request), token))) return answer(401, { detail: "Unauthorized" });
        if (request.method === "GET") return await enqueueWebhook(new URL(request.url).searchParams, env);
        if (request.method === "POST") return await enqueueBody(request, env);
        return answer(405, { detail: "GET or POST" });
    },
};

/** A message of the queue may have 128,000 bytes, including some bytes of the queue; a `sendBatch` twice that. */
const maximumBytes = 120_000;
const maximumFrames = 100;

/**
 * `POST` with a frame, or an array of them.
 * @param {Request} request
 * @param {Environment} env
 */
async function enqueueBody(request, env) {
    const text = await boundedText(request.body, maximumBytes);
    if (text === undefined) return answer(413, { detail: `more than ${maximumBytes} bytes` });
    let value;
    try {
        value = JSON.parse(text);
    } catch {
        return answer(422, { detail: "not JSON" });
    }
    const frames = Array.isArray(value) ? value : [value];
    if (frames.length > maximumFrames) return answer(413, { detail: `more than ${maximumFrames} frames` });
    return await enqueue(frames, env);
}

/**
 * Sends the frames with a status to the queue; none of them if one frame is invalid.
 * @param {unknown[]} frames
 * @param {Environment} env
 */
async function enqueue(frames, env) {
    const reads = frames.map((frame) => readMessage(frame, new Date()));
    const index = reads.findIndex((read) => read.reason !== undefined);
    if (index >= 0) return answer(422, { detail: `frame ${index}: ${reads[index].reason}` });
    const messages = frames
        .filter((_, position) => reads[position].json !== undefined)
        .map((body) => ({ body }));
    try {
        if (messages.length > 0) await env.READINGS.sendBatch(messages);
    } catch {
        // Too many at once, or the queue is full: the device should keep the frames.
        return answer(503, { detail: "the queue did not take it" }, { "Retry-After": "10" });
    }
    return answer(202, { queued: messages.length, ignored: frames.length - messages.length });
}

/**
 * A webhook of a device: `GET ?src=shellyplus1pm-…&channel=0&apower=${ev.apower}`, `voltage` and `current` if wanted.
 * @param {URLSearchParams} query
 * @param {Environment} env
 */
async function enqueueWebhook(query, env) {
    /** @type {Record<string, number>} */
    const values = {};
    for (const name of ["apower", "voltage", "current"]) {
        const text = query.get(name)?.trim();
        if (text) values[name] = Number(text);
    }
    const src = query.get("src")?.trim();
    const channel = query.get("channel") ?? "0";
    if (!src || !/^[0-3]$/.test(channel) || !("apower" in values) || !Object.values(values).every(Number.isFinite)) {
        return answer(422, { detail: "expected src, channel from 0 to 3, apower, and perhaps voltage and current" });
    }
    const message = { src, timestamp: Math.floor(Date.now() / 1000), params: { [`switch:${channel}`]: values } };
    return await enqueue([message], env);
}

/**
 * `Authorization: Bearer …`, or `?token=…` for webhooks, which cannot set a header.
 * @param {Request} request
 */
function tokenOf(request) {
    const header = /^Bearer\s+(.+)$/i.exec(request.headers.get("Authorization") ?? "")?.[1];
    return header?.trim() ?? new URL(request.url).searchParams.get("token") ?? "";
}

/**
 * Whether two secrets are equal, in a time that does not depend on the length of their common prefix.
 * @param {string} left
 * @param {string} right
 */
async function isEqual(left, right) {
    const digest = async (/** @type {string} */ text) =>
        new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    const [a, b] = await Promise.all([digest(left), digest(right)]);
    return a.reduce((difference, byte, index) => difference | (byte ^ b[index]), 0) === 0;
}

/**
 * @param {number} status
 * @param {object} body
 * @param {Record<string, string>} [headers]
 */
function answer(status, body, headers = {}) {
    return new Response(JSON.stringify(body), {
        status, headers: { "Content-Type": "application/json", ...headers },
    });
}
