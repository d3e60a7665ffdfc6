/** Work took longer than it may. */
export class DeadlineExceeded extends Error {}

/**
 * Runs work, and gives up when the time is over, whether or not the work listens to its signal. The signal is aborted
 * at the end in any case, which closes a connection whose answer nobody reads any more.
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
