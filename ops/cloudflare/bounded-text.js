/**
 * Reads a body as UTF-8 text, up to a limit.
 *
 * @param {ReadableStream<Uint8Array> | null} stream
 * @param {number} maximumBytes
 * @returns {Promise<string | undefined>} undefined if it is longer
 */
export async function boundedText(stream, maximumBytes) {
    if (stream === null) return "";
    const reader = stream.getReader();
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return text + decoder.decode();
        bytes += value.byteLength;
        if (bytes > maximumBytes) {
            // Not awaited: the other side may never answer.
            reader.cancel().catch(() => {});
            return undefined;
        }
        text += decoder.decode(value, { stream: true });
    }
}
