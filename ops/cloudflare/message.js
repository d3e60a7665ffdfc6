/** 2020-01-01: a device's clock that shows less was never set; it counts the seconds since the start. */
const earliestClock = 1_577_836_800;
/** A clock further ahead of the queue's than this is wrong, and the receiver would refuse it. */
const secondsAhead = 86_400;

/** The frames that carry a device's status. */
const statusMethods = new Set(["NotifyStatus", "NotifyFullStatus"]);
/** What the receiver makes readings of. */
const channels = ["switch:0", "switch:1", "switch:2", "switch:3"];

/**
 * What a message of the queue is: text for the receiver, a frame without a reading, or nothing that is understood.
 * @typedef {{json: string, isUndated: boolean, isIgnored?: undefined, reason?: undefined}
 *         | {isIgnored: true, json?: undefined, reason?: undefined}
 *         | {reason: string, json?: undefined, isIgnored?: undefined}} Read
 */

/**
 * Makes a receiver's message of a message of the queue. A pure function: the same message gives the same result
 * whenever it is delivered, so that a repeated delivery meets the same minute key.
 *
 * @param {unknown} body a Shelly frame or a ready message; an object, JSON text, or its bytes
 * @param {Date} sentAt when the queue got it
 * @returns {Read}
 */
export function readMessage(body, sentAt) {
    /** @type {unknown} */
    let value;
    try {
        ({ value, sentAt } = unwrap(body, sentAt));
    } catch {
        return { reason: "not JSON" };
    }
    if (!isObject(value)) return { reason: "not a JSON object" };
    const members = ["src", "params", "method", "result", "error"];
    if (!Object.keys(value).some((name) => members.includes(name))) {
        return { reason: "neither a frame nor a message: no src, no params" };
    }
    const status = statusOf(value);
    if (status === undefined) return { isIgnored: true };

    const isReady = value.timestamp !== undefined && value.timestamp !== null;
    const clock = isReady ? undefined : deviceClock(status.params, sentAt);
    const message = isReady
        ? value
        : { src: value.src, timestamp: clock ?? unixSeconds(sentAt), params: status.params };
    const json = faithfulJSON(message);
    if (json === undefined) return { reason: "holds a value that JSON cannot express" };
    return { json, isUndated: !isReady && clock === undefined };
}

/**
 * The status in a frame. Those of other methods and replies to requests carry none, unless it stands there, as in the
 * reply to `Shelly.GetStatus`.
 *
 * @param {Record<string, unknown>} value
 * @returns {{params: unknown} | undefined}
 */
function statusOf(value) {
    const { method, params, result } = value;
    if (statusMethods.has(/** @type {any} */ (method))) return { params };
    if (method === undefined && result === undefined && value.error === undefined) return { params };
    const candidate = params ?? result;
    return isObject(candidate) && channels.some((channel) => isObject(candidate[channel]))
        ? { params: candidate }
        : undefined;
}

/**
 * The device's own time of a status in Unix seconds; undefined when its clock is not set or far ahead.
 * @param {unknown} params
 * @param {Date} sentAt
 */
function deviceClock(params, sentAt) {
    if (!isObject(params)) return undefined;
    const seconds = params.ts ?? (isObject(params.sys) ? params.sys.unixtime : undefined);
    if (typeof seconds !== "number") return undefined;
    const isPlausible = seconds >= earliestClock && seconds <= unixSeconds(sentAt) + secondsAhead;
    return isPlausible ? Math.floor(seconds) : undefined;
}

/** @param {Date} date */
function unixSeconds(date) {
    return Math.floor(new Date(date).getTime() / 1000);
}

/**
 * What a message of the queue holds. A dead letter that somebody moved back to the queue as it is holds what was in it,
 * with the time at which the queue first got that.
 *
 * @param {unknown} body
 * @param {Date} sentAt
 * @returns {{value: unknown, body: unknown, sentAt: Date}} decoded, and as it was sent
 * @throws when it is text or bytes, and not JSON
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
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * JSON text of a value, or undefined where `JSON.stringify` fails or would silently write something else: null for an
 * infinity (1e999 is one), {} for a map or for bytes.
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
