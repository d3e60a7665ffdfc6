import { consume } from "./consumer.js";

// The runtime treats every export of this file as an entry point, so there is only this one.
export default {
    /**
     * @param {import("./consumer.js").MessageBatch} batch
     * @param {import("./receiver.js").Environment} env
     */
    async queue(batch, env) {
        await consume(batch, env);
    },
};
