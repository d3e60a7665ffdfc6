/** The work exceeded its time. */
export class DeadlineExceeded extends Error {}

/**
 * Runs work and fails when the time is over, even if the work ignores its signal. The signal is always aborted at the
 * end, which closes a connection whose answer is no longer needed.
 *
 * @template T
 * @param {number} milliseconds
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function within(milliseconds, work) {
    const controller = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const expiry = new Promise((_, reject) => {
        const error = new DeadlineExceeded(`no answer within ${Math.round(milliseconds / 1000)} s`);
        timer = setTimeout(() => reject(error), milliseconds);
    });
    try {
        return /** @type {T} */ (await Promise.race([work(controller.signal), expiry]));
    } finally {
        clearTimeout(timer);
        controller.abort();
    }
}
