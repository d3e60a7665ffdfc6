import { boundedText } from "./bounded-text.js";
import { readMessage } from "./message.js";

/**
 * An example of a producer: devices send their readings here over HTTP, and it puts them on the queue.
 *
 * @typedef {{body: unknown, contentType: string}} Outgoing
 * @typedef {{DEVICE_TOKEN?: string, READINGS: {sendBatch(messages: Outgoing[]): Promise<unknown>}}} Environment
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
        if (request.method === "GET") return await enqueue([webhookReading(new URL(request.url).searchParams)], env);
        if (request.method === "POST") return await enqueueBody(request, env);
        return answer(405, { detail: "GET or POST" });
    },
};

/** A message of the queue may have 128,000 bytes, some of them the queue's own; a `sendBatch` twice that. */
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
 * Puts what carries a status on the queue; nothing at all when something among it is not understood.
 * @param {unknown[]} frames
 * @param {Environment} env
 */
async function enqueue(frames, env) {
    const reads = frames.map((frame) => readMessage(frame, new Date()));
    const index = reads.findIndex((read) => read.reason !== undefined);
    if (index >= 0) return answer(422, { detail: `frame ${index}: ${reads[index].reason}` });
    const messages = frames
        .filter((_, position) => reads[position].json !== undefined)
        .map((body) => ({ body, contentType: "json" }));
    try {
        if (messages.length > 0) await env.READINGS.sendBatch(messages);
    } catch {
        // Too many at once, or the queue is full: the device should keep it.
        return answer(503, { detail: "the queue did not take it" }, { "Retry-After": "10" });
    }
    return answer(202, { queued: messages.length, ignored: frames.length - messages.length });
}

/**
 * A webhook of a device: `GET ?src=shellyplus1pm-…&channel=0&apower=${ev.apower}`, `voltage` and `current` if wanted.
 * @param {URLSearchParams} query
 */
function webhookReading(query) {
    const number = (/** @type {string} */ name) => {
        const text = query.get(name);
        return text === null || text.trim() === "" ? undefined : Number(text);
    };
    // A text that is no number becomes NaN, which is not understood.
    return {
        src: query.get("src") ?? undefined,
        timestamp: Math.floor(Date.now() / 1000),
        params: {
            [`switch:${number("channel") ?? 0}`]: {
                apower: number("apower") ?? NaN, voltage: number("voltage"), current: number("current"),
            },
        },
    };
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
 * Whether two secrets are equal, in a time that says nothing about how much of them is.
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
