import { within } from "./deadline.js";
import { faithfulJSON, unwrap } from "./message.js";

/**
 * A message of the dead-letter queue: the original message and the reason.
 * @typedef {{dead_letter: string, at: string, queue: string, id: string, sent_at: string, attempts: number,
 *            body: unknown}} DeadLetter
 */

/**
 * @param {import("./consumer.js").QueueMessage} message
 * @param {string} queue the name of the queue that delivered it
 * @param {string} reason
 * @returns {DeadLetter}
 */
export function deadLetter(message, queue, reason) {
    let { body, timestamp: sentAt } = message;
    try {
        // A dead letter that was moved back and failed again is not nested in another one.
        ({ body, sentAt } = unwrap(body, sentAt));
    } catch {
        // Not JSON, so not a dead letter.
    }
    return {
        dead_letter: reason,
        at: new Date().toISOString(),
        queue,
        id: message.id,
        sent_at: new Date(sentAt).toISOString(),
        attempts: message.attempts,
        body,
    };
}

/** The queue gets a dead letter seconds after it was written. One that was moved back was at least an hour old. */
const bounceMilliseconds = 60_000;

/**
 * Whether a message is a dead letter that a consumer of this queue wrote and that arrived in the same queue at once. In
 * that case the consumer reads its own dead-letter queue, and another dead letter would arrive in it as well.
 *
 * @param {import("./consumer.js").QueueMessage} message
 * @param {string} queue the name of the queue that delivered it
 */
export function isBounced(message, queue) {
    const letter = Object(message.body);
    const age = new Date(message.timestamp).getTime() - Date.parse(letter.at);
    return typeof letter.dead_letter === "string" && letter.queue === queue && Math.abs(age) < bounceMilliseconds;
}

/**
 * Sends a dead letter: as JSON, which the dashboard can show, if JSON can express all of it.
 *
 * @param {DeadLetter} letter
 * @param {{send(body: unknown, options: {contentType: string}): Promise<unknown>} | undefined} queue
 * @param {number} milliseconds the time for it
 * @returns {Promise<import("./receiver.js").Failure | undefined>} undefined once it is sent
 */
export async function sendLetter(letter, queue, milliseconds) {
    if (queue === undefined) return { reason: "no binding DEAD_LETTERS", isMisconfigured: true };
    const contentType = faithfulJSON(letter) === undefined ? "v8" : "json";
    try {
        await within(milliseconds, () => queue.send(letter, { contentType }));
        return undefined;
    } catch (error) {
        return { reason: `dead-letter queue: ${error instanceof Error ? error.message.slice(0, 200) : "failed"}` };
    }
}
