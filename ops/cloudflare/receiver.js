import { boundedText } from "./bounded-text.js";
import { DeadlineExceeded, within } from "./deadline.js";
import { parseRetryAfter } from "./delay.js";

/**
 * Variables, secrets and bindings of the Worker.
 * @typedef {{RECEIVER_URL?: string, INGEST_API_KEY?: string, CF_ACCESS_CLIENT_ID?: string,
 *            CF_ACCESS_CLIENT_SECRET?: string, DEAD_LETTERS?: any}} Environment
 *
 * @typedef {{verdict: "taken", inserted: number, duplicates: number, errors: number, untaken: number,
 *            rejected: Map<number, string>}} Taken
 *          the batch is durable, except for the messages at the rejected indices
 * @typedef {{verdict: "refused", reason: string}} Refused the receiver will never accept this batch
 * @typedef {{reason: string, retryAfterSeconds?: number, isMisconfigured?: boolean}} Failure
 *          the reason for a retry, the receiver's `Retry-After`, and whether a person must first change a setting
 * @typedef {{verdict: "failed"} & Failure} Failed it is unknown whether any message is durable
 */

/** The Worker's settings are wrong. The message does not contain their values. */
export class Misconfiguration extends Error {}

const path = "/api/ingest/batch";
/** The answer to a batch of 100 messages, each rejected for all its fields, has 30 kB. */
const maximumAnswerBytes = 1 << 20;
const maximumReasonLength = 500;

/** The client of `POST /api/ingest/batch`. */
export class Receiver {
    #url;
    #headers;

    /**
     * @param {Environment} env
     * @throws {Misconfiguration}
     */
    constructor(env) {
        this.#url = endpoint(env.RECEIVER_URL);
        this.#headers = headers(env);
    }

    /**
     * @param {string[]} messages JSON texts
     * @param {number} milliseconds the time for the whole answer
     * @returns {Promise<Taken | Refused | Failed>}
     */
    async post(messages, milliseconds) {
        try {
            return await within(milliseconds, async (signal) => {
                const response = await fetch(this.#url, {
                    method: "POST",
                    headers: this.#headers,
                    body: `{"messages":[${messages.join(",")}]}`,
                    redirect: "manual",
                    signal,
                });
                return await judge(response, messages.length);
            });
        } catch (error) {
            if (error instanceof DeadlineExceeded) return { verdict: "failed", reason: error.message };
            return { verdict: "failed", reason: `no answer: ${describe(error)}` };
        }
    }
}

/** @param {string | undefined} text the receiver's address, with or without the path */
function endpoint(text) {
    let url;
    try {
        url = new URL(text?.trim() ?? "");
    } catch {
        throw new Misconfiguration("RECEIVER_URL is missing or not a URL");
    }
    if (!["https:", "http:"].includes(url.protocol)) throw new Misconfiguration("RECEIVER_URL is not https");
    // fetch would refuse such a URL, and quote it in its message.
    if (url.username || url.password) throw new Misconfiguration("RECEIVER_URL must not hold a user or password");
    if (!url.pathname.endsWith(path)) url.pathname = url.pathname.replace(/\/+$/, "") + path;
    return url.href;
}

/** @param {Environment} env */
function headers(env) {
    // A secret that was set through a pipe ends with a line break.
    const key = env.INGEST_API_KEY?.trim();
    const accessId = env.CF_ACCESS_CLIENT_ID?.trim();
    const accessSecret = env.CF_ACCESS_CLIENT_SECRET?.trim();
    if (!key) throw new Misconfiguration("INGEST_API_KEY is missing");
    if (!accessId !== !accessSecret) {
        throw new Misconfiguration("CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET belong together: one is missing");
    }
    try {
        return new Headers({
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Prefer": "handling=lenient",
            "User-Agent": "shelly-collector-worker",
            "X-API-Key": key,
            ...(accessId && accessSecret && {
                "CF-Access-Client-Id": accessId, "CF-Access-Client-Secret": accessSecret,
            }),
        });
    } catch {
        // The message of this error quotes the value.
        throw new Misconfiguration("INGEST_API_KEY or a CF_ACCESS secret has a character that no header may have");
    }
}

/**
 * Converts a response to the result of its batch. After an unknown response the batch is retried, so no message is
 * lost.
 *
 * @param {Response} response
 * @param {number} count messages in the batch
 * @returns {Promise<Taken | Refused | Failed>}
 */
async function judge(response, count) {
    const { status } = response;
    if (status === 200) {
        const text = await boundedText(response.body, maximumAnswerBytes);
        const reason = "200, but not the receiver's answer: RECEIVER_URL leads elsewhere";
        return receipt(text, count) ?? { verdict: "failed", reason, isMisconfigured: true };
    }
    if (status === 413 || status === 422) {
        const text = await boundedText(response.body, maximumAnswerBytes).catch(() => undefined);
        return { verdict: "refused", reason: `${status}: ${detail(text)}`.slice(0, maximumReasonLength) };
    }
    if ([408, 425, 429].includes(status) || status >= 500) {
        const retryAfterSeconds = parseRetryAfter(response.headers.get("Retry-After"), Date.now());
        return { verdict: "failed", reason: `${status}`, retryAfterSeconds };
    }
    return { verdict: "failed", reason: `${status}${hint(response)}`, isMisconfigured: true };
}

/**
 * Reads a 200.
 * @param {string | undefined} text
 * @param {number} count messages in the batch
 * @returns {Taken | undefined} undefined if it is not the receiver's answer to this batch
 */
function receipt(text, count) {
    const answer = parse(text);
    if (!Number.isInteger(answer?.inserted) || answer.inserted < 0) return undefined;
    const list = answer.rejected ?? [];
    if (!Array.isArray(list)) return undefined;
    /** @type {Map<number, string>} */
    const rejected = new Map();
    for (const item of list) {
        if (!Number.isInteger(item?.index) || item.index < 0 || item.index >= count) return undefined;
        const reason = typeof item.msg === "string" ? item.msg : "no reason given";
        rejected.set(item.index, reason.slice(0, maximumReasonLength));
    }
    return {
        verdict: "taken",
        inserted: answer.inserted,
        duplicates: Number(answer.duplicates) || 0,
        errors: Number(answer.errors) || 0,
        // The receiver omits it if it is 0.
        untaken: Number(answer.untaken) || 0,
        rejected,
    };
}

/**
 * @param {string | undefined} text
 * @returns {any} undefined if it is not JSON
 */
function parse(text) {
    try {
        return text === undefined ? undefined : JSON.parse(text);
    } catch {
        return undefined;
    }
}

/**
 * The sentence in an error's body.
 * @param {string | undefined} text
 */
function detail(text) {
    const found = parse(text)?.detail;
    if (typeof found === "string") return found;
    const message = Array.isArray(found) ? found[0]?.msg : undefined;
    return typeof message === "string" ? message : "refused";
}

/**
 * The probable cause, for a person who reads the log.
 * @param {Response} response
 */
function hint(response) {
    const { status } = response;
    if (status === 401) return ": INGEST_API_KEY is not the receiver's";
    if (status === 403) return ": something before the receiver forbids it, such as Cloudflare Access or a firewall";
    if (status === 404) return ": RECEIVER_URL leads elsewhere";
    if (status < 300 || status >= 400) return "";
    let host = "?";
    try {
        host = new URL(response.headers.get("Location") ?? "").host;
    } catch {
        // A relative address, or none.
    }
    return `: redirects are not followed (to ${host}); a login page of Cloudflare Access, or http for https`;
}

/** @param {unknown} error */
function describe(error) {
    if (!(error instanceof Error)) return "unknown";
    const cause = /** @type {any} */ (error).cause;
    return `${error.message} ${cause?.code ?? ""}`.trim().slice(0, 200);
}
