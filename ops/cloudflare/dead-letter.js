import { within } from "./deadline.js";
import { faithfulJSON, unwrap } from "./message.js";

/**
 * What the dead-letter queue gets: the message as it was, and why it is there.
 * @typedef {{dead_letter: string, at: string, queue: string, id: string, sent_at: string, attempts: number,
 *            body: unknown}} DeadLetter
 */

/**
 * @param {import("./consumer.js").QueueMessage} message
 * @param {string} queue the name of the queue that it came from
 * @param {string} reason
 * @returns {DeadLetter}
 */
export function deadLetter(message, queue, reason) {
    let { body, timestamp: sentAt } = message;
    try {
        // A letter that was moved back and failed again is not put into another one.
        ({ body, sentAt } = unwrap(body, sentAt));
    } catch {
        // Not JSON, and so not a letter.
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

/** The queue gets a letter within seconds after it was written. A letter that was moved back was an hour old. */
const bounceMilliseconds = 60_000;

/**
 * Whether a message is a letter that a consumer of this queue wrote, and that arrived in the same queue at once. Then
 * the dead-letter queue of the consumer is the queue that it reads, and another letter would come back as well.
 *
 * @param {import("./consumer.js").QueueMessage} message
 * @param {string} queue the name of the queue that it came from
 */
export function isBounced(message, queue) {
    const letter = Object(message.body);
    const age = new Date(message.timestamp).getTime() - Date.parse(letter.at);
    return typeof letter.dead_letter === "string" && letter.queue === queue && Math.abs(age) < bounceMilliseconds;
}

/**
 * Sends a letter. As JSON, which the dashboard can show, when that loses nothing of it.
 *
 * @param {DeadLetter} letter
 * @param {{send(body: unknown, options: {contentType: string}): Promise<unknown>} | undefined} queue
 * @param {number} milliseconds the time for it
 * @returns {Promise<import("./receiver.js").Failure | undefined>} what went wrong, if something did
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
