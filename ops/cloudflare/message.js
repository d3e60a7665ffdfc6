import {
    isComponentStatus, isObject, isPublication, isTopicOfFrames, publishedFrame, statusOf,
} from "./status.js";

/**
 * A device's clock may differ from the queue's by this much. A clock that is further behind was not set: it counts the
 * seconds since the device's start, or begins at the day of the firmware. The receiver refuses a time that is further
 * ahead.
 */
const secondsBehind = 365 * 86_400;
const secondsAhead = 86_400;

/**
 * The kind of a message of the queue: text for the receiver, a frame without a reading, or an invalid message.
 * @typedef {{json: string, isUndated: boolean, isIgnored?: undefined, reason?: undefined}
 *         | {isIgnored: true, json?: undefined, reason?: undefined}
 *         | {reason: string, json?: undefined, isIgnored?: undefined}} Read
 */

/**
 * Converts a message of the queue to a message for the receiver. A pure function: the same message has the same result
 * at each delivery, so that a repeated delivery has the same minute key.
 *
 * @param {unknown} body a Shelly frame, an MQTT message `{topic, payload}` or a ready message; an object, JSON text, or
 *     its bytes
 * @param {Date} sentAt the time at which the queue received it
 * @returns {Read}
 */
export function readMessage(body, sentAt) {
    /** @type {unknown} */
    let value;
    try {
        ({ value, sentAt } = unwrap(body, sentAt));
        if (isPublication(value)) {
            if (!isTopicOfFrames(value.topic)) return { isIgnored: true };
            value = publishedFrame(value.topic, decode(value.payload));
        }
    } catch {
        return { reason: "not JSON" };
    }
    if (!isObject(value)) return { reason: "not a JSON object" };
    const members = ["src", "params", "method", "result", "error"];
    if (!Object.keys(value).some((name) => members.includes(name))) {
        return {
            reason: isComponentStatus(value)
                ? 'the status of a component without its device: send it with its topic, as {"topic", "payload"}'
                : "neither a frame nor a message: no src, no params",
        };
    }
    const status = statusOf(value);
    if (status === undefined) return { isIgnored: true };

    const isReady = value.timestamp !== undefined && value.timestamp !== null;
    const clock = isReady ? undefined : deviceClock(status.params, sentAt);
    const message = isReady
        ? value
        : { src: status.src, timestamp: clock ?? unixSeconds(sentAt), params: status.params };
    const json = faithfulJSON(message);
    if (json === undefined) return { reason: "holds a value that JSON cannot express" };
    return { json, isUndated: !isReady && clock === undefined };
}

/**
 * The device's own time of a status in Unix seconds; undefined if its clock is not set, or is far from the queue's.
 * @param {unknown} params
 * @param {Date} sentAt
 */
function deviceClock(params, sentAt) {
    if (!isObject(params)) return undefined;
    const seconds = params.ts ?? (isObject(params.sys) ? params.sys.unixtime : undefined);
    if (typeof seconds !== "number") return undefined;
    const ahead = seconds - unixSeconds(sentAt);
    return ahead >= -secondsBehind && ahead <= secondsAhead ? Math.floor(seconds) : undefined;
}

/** @param {Date} date */
function unixSeconds(date) {
    return Math.floor(new Date(date).getTime() / 1000);
}

/**
 * The content of a message of the queue. For a dead letter that was moved back to the queue, this is the content of the
 * original message, with the time at which the queue first received that.
 *
 * @param {unknown} body
 * @param {Date} sentAt
 * @returns {{value: unknown, body: unknown, sentAt: Date}} decoded, and as it was sent
 * @throws if it is text or bytes, and not JSON
 */
export function unwrap(body, sentAt) {
    const value = decode(body);
    const firstSentAt = isObject(value) ? new Date(/** @type {any} */ (value.sent_at)) : undefined;
    const isLetter = isObject(value) && typeof value.dead_letter === "string" && "body" in value
        && !Number.isNaN(firstSentAt?.getTime());
    return isLetter
        ? { value: decode(value.body), body: value.body, sentAt: /** @type {Date} */ (firstSentAt) }
        : { value, body, sentAt };
}

/** @param {unknown} body */
function decode(body) {
    if (typeof body === "string") return JSON.parse(body);
    if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
        return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(/** @type {any} */ (body)));
    }
    return body;
}

/**
 * The JSON text of a value; undefined if `JSON.stringify` fails, or would silently write another value: null for an
 * infinity such as 1e999, {} for a map or for bytes.
 *
 * @param {unknown} value
 * @returns {string | undefined}
 */
export function faithfulJSON(value) {
    try {
        return JSON.stringify(value, (_, member) => {
            if (typeof member === "number" && !Number.isFinite(member)) throw new TypeError("not finite");
            if (typeof member !== "object" || member === null) return member;
            const isForeign = [Map, Set, ArrayBuffer, RegExp, Error].some((type) => member instanceof type);
            if (isForeign || ArrayBuffer.isView(member)) throw new TypeError("not JSON");
            return member;
        });
    } catch {
        return undefined;
    }
}
