/**
 * Cloudflare's side: a queue that delivers batches and repeats messages that were not acknowledged, and its dead-letter
 * queue. It follows the documented rules: up to 100 messages per batch, in any order; the first of `ack` and `retry`
 * counts; `delaySeconds` is between 0 and 43200. It does not wait for the delays, but records them.
 */
export class FakeQueue {
    waiting = [];
    acked = [];
    retries = [];
    /** Messages that ran out of retries. */
    exhausted = [];
    #ids = 0;

    constructor({ name = "shelly", maxRetries = 100 } = {}) {
        this.name = name;
        this.maxRetries = maxRetries;
    }

    async send(body, options = {}) {
        const size = new TextEncoder().encode(JSON.stringify(body) ?? "").length;
        if (options.contentType !== "v8" && size > 128_000) throw new Error("message too large");
        this.put(options.contentType === "json" ? JSON.parse(JSON.stringify(body)) : structuredClone(body));
    }

    async sendBatch(messages) {
        if (messages.length > 100) throw new Error("too many messages");
        for (const { body, ...options } of messages) await this.send(body, options);
    }

    put(body, timestamp = new Date()) {
        this.waiting.push({ id: `m${(this.#ids += 1)}`, body, timestamp, attempts: 0 });
    }

    get bodies() {
        return this.waiting.map((message) => message.body);
    }

    /** Delivers up to `size` of the waiting messages once, in a random order, to a Worker. */
    async deliver(worker, env, size = 100) {
        const taken = [];
        while (taken.length < size && this.waiting.length > 0) {
            taken.push(this.waiting.splice(Math.floor(Math.random() * this.waiting.length), 1)[0]);
        }
        const outcomes = new Map();
        const settle = (message, outcome) => {
            if (outcomes.has(message)) throw new Error(`a second outcome for ${message.id}`);
            outcomes.set(message, outcome);
        };
        const messages = taken.map((message) => ({
            id: message.id,
            timestamp: message.timestamp,
            body: structuredClone(message.body),
            attempts: (message.attempts += 1),
            ack: () => settle(message, { acked: true }),
            retry: (options = {}) => {
                const { delaySeconds } = options;
                if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 43_200) {
                    throw new Error(`delaySeconds ${delaySeconds}`);
                }
                settle(message, { delaySeconds });
            },
        }));
        await worker({ queue: this.name, messages }, env);
        for (const message of taken) {
            const outcome = outcomes.get(message);
            if (outcome === undefined) throw new Error(`no outcome for ${message.id}`);
            if (outcome.acked) {
                this.acked.push(message);
                continue;
            }
            this.retries.push({ message, delaySeconds: outcome.delaySeconds });
            (message.attempts > this.maxRetries ? this.exhausted : this.waiting).push(message);
        }
    }
}
