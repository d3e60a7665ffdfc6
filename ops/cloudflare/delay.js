/**
 * The delay before a message is delivered again.
 *
 * After 100 retries Cloudflare moves a message to the dead-letter queue, but it deletes a message that is 14 days old.
 * So the delays start short, for a restart of the receiver, and grow. 100 of them last 10 to 12 days, independent of
 * the length of the receiver's outage and of its `Retry-After`.
 */

/** The queue's limit for `delaySeconds`: 12 hours. Its newer documentation states 24. */
export const maximumDelaySeconds = 43_200;

const firstSeconds = 5;
/** 88 delays of three hours last 11 days. */
const longestSeconds = 10_800;
/** The random part by which a delay is longer or shorter, so that not all messages return at once. */
const jitter = 0.25;
/** The delay if a person must first change a setting: the key, the address, a policy. */
const misconfiguredSeconds = 300;
/** For so many retries `Retry-After` is used as it is. After them the growing delay is its lower bound. */
const promptRetries = 5;

/**
 * @param {import("./receiver.js").Failure} failure
 * @param {number} attempts deliveries so far, this one included
 * @param {() => number} random
 * @returns {number} whole seconds, from 1 to `maximumDelaySeconds`
 */
export function retryDelaySeconds(failure, attempts, random = Math.random) {
    const around = (/** @type {number} */ seconds) => seconds * (1 - jitter + 2 * jitter * random());
    const seconds = failure.retryAfterSeconds !== undefined
        ? Math.max(failure.retryAfterSeconds, around(backoffSeconds(attempts - promptRetries)))
        : around(Math.max(backoffSeconds(attempts), failure.isMisconfigured ? misconfiguredSeconds : 0));
    return Math.min(Math.max(Math.ceil(seconds), 1), maximumDelaySeconds);
}

/** @param {number} attempts */
function backoffSeconds(attempts) {
    return attempts < 1 ? 0 : Math.min(firstSeconds * 2 ** (attempts - 1), longestSeconds);
}

/**
 * Reads `Retry-After`: whole seconds or an HTTP date (RFC 9110, 10.2.3); undefined when it is absent or neither.
 *
 * @param {string | null} header
 * @param {number} now Unix milliseconds
 */
export function parseRetryAfter(header, now) {
    const text = header?.trim() ?? "";
    if (/^\d+$/.test(text)) return Math.min(Number(text), maximumDelaySeconds);
    // Date.parse alone accepts far too much.
    const date = /^[A-Z][a-z]+, .+ GMT$/.test(text) ? Date.parse(text) : NaN;
    if (Number.isNaN(date)) return undefined;
    return Math.min(Math.max(Math.ceil((date - now) / 1000), 0), maximumDelaySeconds);
}
