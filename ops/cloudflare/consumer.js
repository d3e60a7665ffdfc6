import { deadLetter, isBounced, sendLetter } from "./dead-letter.js";
import { maximumDelaySeconds, retryDelaySeconds } from "./delay.js";
import { readMessage } from "./message.js";
import { Misconfiguration, Receiver } from "./receiver.js";

/**
 * A message as Cloudflare Queues delivers it. The consumer calls exactly one of `ack` and `retry` for each.
 * @typedef {{id: string, timestamp: Date, body: unknown, attempts: number, ack(): void,
 *            retry(options?: {delaySeconds?: number}): void}} QueueMessage
 * @typedef {{queue: string, messages: readonly QueueMessage[]}} MessageBatch
 * @typedef {{message: QueueMessage, json: string}} Entry a message of the queue and its text for the receiver
 */

/** The time for all posts of one batch. */
const budgetMilliseconds = 25_000;
/** No post begins with less time left than this. */
const leastMilliseconds = 1_000;
/** The time for sending a dead letter. It may begin when the posts end. */
const letterMilliseconds = 5_000;
/** The number of different reasons for dead letters that the log line names. */
const namedReasons = 3;

/**
 * Delivers a batch to the receiver, acknowledges or retries every message of it, and logs one line.
 *
 * @param {MessageBatch} batch
 * @param {import("./receiver.js").Environment} env
 * @param {{budgetMilliseconds?: number}} [options]
 */
export async function consume(batch, env, options = {}) {
    const delivery = new Delivery(batch, env, options.budgetMilliseconds ?? budgetMilliseconds);
    try {
        await delivery.run();
    } finally {
        console.log(JSON.stringify(delivery.report()));
    }
}

class Delivery {
    #batch;
    #env;
    #started = Date.now();
    #deadline;
    #counts = {
        acked: 0, ignored: 0, undated: 0, dead_lettered: 0, retried: 0,
        requests: 0, inserted: 0, duplicates: 0, errors: 0, untaken: 0,
    };
    /** The number of messages that the receiver accepted. */
    #taken = 0;
    /** @type {string | undefined} */
    #failure;
    #isMisconfigured = false;
    #longestDelaySeconds = 0;
    /**
     * Dead letters that are being sent; `run` awaits them at its end.
     * @type {Promise<void>[]}
     */
    #letters = [];
    /** @type {Set<string>} */
    #reasons = new Set();

    /**
     * @param {MessageBatch} batch
     * @param {import("./receiver.js").Environment} env
     * @param {number} budget milliseconds
     */
    constructor(batch, env, budget) {
        this.#batch = batch;
        this.#env = env;
        this.#deadline = this.#started + budget;
    }

    async run() {
        const entries = this.#readAll();
        try {
            if (entries.length > 0) await this.#deliver(entries, new Receiver(this.#env));
        } catch (error) {
            if (!(error instanceof Misconfiguration)) throw error;
            this.#retryAll(entries, { reason: error.message, isMisconfigured: true });
        } finally {
            await Promise.all(this.#letters);
        }
    }

    /**
     * Acknowledges or dead-letters the messages that are not for the receiver.
     * @returns {Entry[]} the messages to deliver
     */
    #readAll() {
        /** @type {Entry[]} */
        const entries = [];
        for (const message of this.#batch.messages) {
            const read = readMessage(message.body, message.timestamp);
            if (read.json !== undefined) {
                entries.push({ message, json: read.json });
                if (read.isUndated) this.#counts.undated += 1;
            } else if (read.isIgnored) {
                this.#ack(message);
                this.#counts.ignored += 1;
            } else {
                this.#setAside(message, read.reason);
            }
        }
        return entries;
    }

    /**
     * Posts the entries until each is acknowledged, dead-lettered or retried. Entries that the receiver refuses
     * together are posted again in halves.
     * @param {Entry[]} entries
     * @param {Receiver} receiver
     */
    async #deliver(entries, receiver) {
        const slices = [entries];
        for (let slice = slices.pop(); slice !== undefined; slice = slices.pop()) {
            const answer = await this.#post(slice, receiver);
            if (answer.verdict === "taken") {
                this.#settle(slice, answer);
            } else if (answer.verdict === "refused" && slice.length > 1) {
                const middle = slice.length >> 1;
                slices.push(slice.slice(middle), slice.slice(0, middle));
            } else if (answer.verdict === "refused") {
                this.#setAside(slice[0].message, answer.reason);
            } else {
                // The same failure would affect the other slices.
                this.#retryAll([...slice, ...slices.flat()], answer);
                return;
            }
        }
    }

    /**
     * @param {Entry[]} slice
     * @param {Receiver} receiver
     */
    async #post(slice, receiver) {
        const milliseconds = this.#deadline - Date.now();
        if (milliseconds < leastMilliseconds) {
            return { verdict: /** @type {const} */ ("failed"), reason: "no time left in this attempt" };
        }
        this.#counts.requests += 1;
        return await receiver.post(slice.map((entry) => entry.json), milliseconds);
    }

    /**
     * @param {Entry[]} slice
     * @param {import("./receiver.js").Taken} answer
     */
    #settle(slice, answer) {
        slice.forEach(({ message }, index) => {
            const reason = answer.rejected.get(index);
            if (reason !== undefined) {
                this.#setAside(message, reason);
                return;
            }
            this.#ack(message);
            this.#taken += 1;
        });
        this.#counts.inserted += answer.inserted;
        this.#counts.duplicates += answer.duplicates;
        this.#counts.errors += answer.errors;
        this.#counts.untaken += answer.untaken;
    }

    /**
     * Begins to send a message to the dead-letter queue, and acknowledges it once its dead letter is sent. A dead
     * letter that arrived in its own queue is retried instead, because another one would arrive there again without
     * end.
     * @param {QueueMessage} message
     * @param {string} reason
     */
    #setAside(message, reason) {
        if (this.#reasons.size < namedReasons) this.#reasons.add(reason);
        if (isBounced(message, this.#batch.queue)) {
            const failure = `DEAD_LETTERS is ${this.#batch.queue}, which this consumer reads: bind another queue`;
            this.#retryAll([{ message }], {
                reason: failure, isMisconfigured: true, retryAfterSeconds: maximumDelaySeconds,
            });
            return;
        }
        const letter = deadLetter(message, this.#batch.queue, reason);
        this.#letters.push(sendLetter(letter, this.#env.DEAD_LETTERS, letterMilliseconds).then((failure) => {
            if (failure !== undefined) return this.#retryAll([{ message }], failure);
            this.#ack(message);
            this.#counts.dead_lettered += 1;
        }));
    }

    /** @param {QueueMessage} message */
    #ack(message) {
        message.ack();
        this.#counts.acked += 1;
    }

    /**
     * @param {{message: QueueMessage}[]} entries
     * @param {import("./receiver.js").Failure} failure
     */
    #retryAll(entries, failure) {
        for (const { message } of entries) {
            const delaySeconds = retryDelaySeconds(failure, message.attempts);
            message.retry({ delaySeconds });
            this.#counts.retried += 1;
            this.#longestDelaySeconds = Math.max(this.#longestDelaySeconds, delaySeconds);
        }
        this.#failure ??= failure.reason;
        this.#isMisconfigured ||= failure.isMisconfigured === true;
    }

    /** The log line. It contains no setting or secret. */
    report() {
        const counts = this.#counts;
        const isWarning = counts.retried > 0 || counts.dead_lettered > 0 || counts.untaken > 0;
        return {
            level: this.#isMisconfigured ? "error" : isWarning ? "warn" : "info",
            queue: this.#batch.queue,
            messages: this.#batch.messages.length,
            ...counts,
            ...this.#notice(),
            ...(this.#reasons.size > 0 && { dead_letter_reasons: [...this.#reasons] }),
            ...(this.#failure !== undefined && {
                failure: this.#failure, longest_retry_seconds: this.#longestDelaySeconds,
            }),
            seconds: (Date.now() - this.#started) / 1000,
        };
    }

    /** A sentence about measurements that become no rows, if there are any. */
    #notice() {
        const { inserted, duplicates, untaken } = this.#counts;
        if (untaken > 0) return { notice: "the receiver does not take all readings: see its page" };
        if (this.#taken > 0 && inserted + duplicates === 0) return { notice: "no message gave a reading" };
        return {};
    }
}
