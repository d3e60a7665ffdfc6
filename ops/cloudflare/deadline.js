/** Work took longer than it may. */
export class DeadlineExceeded extends Error {}

/**
 * Runs work that ends when the time is up, whether or not it listens to its signal; the signal is aborted at the end in any case,
 * which gives up a connection whose answer nobody reads any more.
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
        timer = setTimeout(() => reject(new DeadlineExceeded(`no answer within ${milliseconds / 1000} s`)), milliseconds);
    });
    try {
        return /** @type {T} */ (await Promise.race([work(controller.signal), expiry]));
    } finally {
        clearTimeout(timer);
        controller.abort();
    }
}
