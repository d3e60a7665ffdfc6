/**
 * How long a message waits before it is delivered again.
 *
 * After 100 retries Cloudflare moves a message to the dead-letter queue; but a message that is 14 days old it deletes.
 * So the waits start short, for a restart of the receiver, and grow so that 100 of them last 10 to 12 days, however
 * long the receiver stays away and whatever it says.
 */

/** The most that the queue accepts: `delaySeconds` up to 12 hours; its newer documentation says 24. */
export const maximumDelaySeconds = 43_200;

const firstSeconds = 5;
/** 88 waits of three hours last 11 days. */
const longestSeconds = 10_800;
/** Part by which a wait is made longer or shorter at random, so that not all messages come back at once. */
const jitter = 0.25;
/** Wait when somebody must change something first: the key, the address, a policy. */
const misconfiguredSeconds = 300;
/** How many times `Retry-After` is taken as it is. After that the growing wait is its lower bound. */
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
