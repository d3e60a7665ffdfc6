/**
 * Moves dead letters back to the queue, where the consumer reads their original messages. Deploy it once their cause is
 * removed, and delete it when the dead-letter queue is empty.
 *
 * @typedef {{READINGS: {send(body: unknown, options: {contentType: string}): Promise<unknown>}}} Environment
 */
export default {
    /**
     * @param {import("./consumer.js").MessageBatch} batch
     * @param {Environment} env
     */
    async queue(batch, env) {
        let moved = 0;
        for (const message of batch.messages) {
            if (isFresh(message.body)) {
                message.retry({ delaySeconds: freshDelaySeconds });
                continue;
            }
            try {
                // A dead letter of bytes is not JSON; this type can hold any value.
                await env.READINGS.send(message.body, { contentType: "v8" });
            } catch {
                message.retry({ delaySeconds: failureDelaySeconds });
                continue;
            }
            message.ack();
            moved += 1;
        }
        console.log(JSON.stringify({ queue: batch.queue, messages: batch.messages.length, moved }));
    },
};

/** A younger dead letter may have just failed again; without a pause it would circulate without end. */
const freshMilliseconds = 3_600_000;
const freshDelaySeconds = 43_200;
const failureDelaySeconds = 600;

/** @param {unknown} body */
function isFresh(body) {
    const at = /** @type {any} */ (body)?.at;
    return Date.now() - Date.parse(String(at)) < freshMilliseconds;
}
