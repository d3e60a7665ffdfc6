import net from "node:net";
import tls from "node:tls";

/**
 * A message of the broker. `id` is undefined if the broker expects no acknowledgement.
 * @typedef {{topic: string, payload: Uint8Array, isRetained: boolean, id: number | undefined}} Publication
 *
 * @typedef {{url: URL, clientId: string, username?: string, password?: string, topics: string[]}} Options
 */

const CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, SUBACK = 9, PINGREQ = 12;
const keepAliveSeconds = 60;
/** More waiting messages than this are left in the broker. */
const maximumWaiting = 1000;
const refusals = [
    "", "the broker does not speak MQTT 3.1.1", "the client id is refused", "the broker is not available",
    "user name or password is wrong", "not authorized",
];

/**
 * One connection to an MQTT 3.1.1 broker, with a subscription of QoS 1 in a session that outlives the connection. The
 * broker keeps each message until it is acknowledged, and sends it again on the next connection.
 */
export class Connection {
    #socket;
    #options;
    #received = Buffer.alloc(0);
    /** @type {Publication[]} */
    #waiting = [];
    /** @type {Error | undefined} */
    #failure;
    #isSubscribed = false;
    #heardAt = Date.now();
    #wake = () => {};

    /** @param {Options} options */
    constructor(options) {
        const { url } = options;
        const isSecure = url.protocol === "mqtts:";
        const host = url.hostname.replace(/^\[|\]$/g, "");
        const port = Number(url.port) || (isSecure ? 8883 : 1883);
        this.#options = options;
        this.#socket = isSecure
            ? tls.connect({ host, port, ...(net.isIP(host) === 0 && { servername: host }) })
            : net.connect({ host, port });
        this.#socket.once(isSecure ? "secureConnect" : "connect", () => this.#send(CONNECT << 4, this.#greeting()));
        this.#socket.on("data", (chunk) => this.#receive(chunk));
        this.#socket.on("error", (error) => this.#fail(error));
        this.#socket.on("close", () => this.#fail(new Error("the broker closed the connection")));
        const timer = setInterval(() => this.#keepAlive(), keepAliveSeconds * 500);
        this.#socket.on("close", () => clearInterval(timer));
    }

    /** Waits until the broker has taken the subscription. */
    async subscribed() {
        await this.#until(() => this.#isSubscribed);
    }

    /**
     * Waits until a message is there.
     * @returns {Promise<number>} how many there are
     */
    async available() {
        await this.#until(() => this.#waiting.length > 0);
        return this.#waiting.length;
    }

    /**
     * @param {number} maximum
     * @returns {Publication[]} messages that are there
     */
    take(maximum) {
        const taken = this.#waiting.splice(0, maximum);
        if (this.#waiting.length < maximumWaiting) this.#socket.resume();
        return taken;
    }

    /** @param {Publication} publication which the broker may now drop */
    acknowledge({ id }) {
        if (id !== undefined && this.#failure === undefined) this.#send(PUBACK << 4, uint16(id));
    }

    /** @param {() => boolean} condition */
    async #until(condition) {
        while (!condition()) {
            if (this.#failure !== undefined) throw this.#failure;
            await new Promise((resolve) => { this.#wake = resolve; });
        }
    }

    /** @param {Error} error */
    #fail(error) {
        this.#failure ??= error;
        this.#socket.destroy();
        this.#wake();
    }

    #greeting() {
        const { clientId, username, password } = this.#options;
        // No clean session: the broker keeps it.
        const flags = (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
        const texts = [clientId, username, password].filter((text) => text !== undefined);
        return Buffer.concat([
            string("MQTT"), Buffer.from([4, flags]), uint16(keepAliveSeconds),
            ...texts.map(string),
        ]);
    }

    /** @param {Buffer} chunk */
    #receive(chunk) {
        this.#heardAt = Date.now();
        this.#received = Buffer.concat([this.#received, chunk]);
        try {
            for (let packet = this.#nextPacket(); packet !== undefined; packet = this.#nextPacket()) {
                this.#handle(packet.type, packet.flags, packet.body);
            }
        } catch (error) {
            this.#fail(error);
        }
        if (this.#waiting.length >= maximumWaiting) this.#socket.pause();
        this.#wake();
    }

    /** Takes a packet from the received bytes, once it is complete: type and flags, length in 7-bit groups, body. */
    #nextPacket() {
        const bytes = this.#received;
        let length = 0;
        for (let index = 1; index < bytes.length; index += 1) {
            if (index > 4) throw new Error("the broker sent a packet without a length");
            length += (bytes[index] & 0x7f) * 128 ** (index - 1);
            if (bytes[index] & 0x80) continue;
            const end = index + 1 + length;
            if (bytes.length < end) return undefined;
            this.#received = bytes.subarray(end);
            return { type: bytes[0] >> 4, flags: bytes[0] & 0x0f, body: bytes.subarray(index + 1, end) };
        }
        return undefined;
    }

    /**
     * @param {number} type
     * @param {number} flags
     * @param {Buffer} body
     */
    #handle(type, flags, body) {
        if (type === CONNACK) {
            if (body[1] !== 0) throw new Error(refusals[body[1]] ?? `the broker refuses with code ${body[1]}`);
            const filters = this.#options.topics.map((topic) => Buffer.concat([string(topic), Buffer.from([1])]));
            this.#send(SUBSCRIBE << 4 | 2, Buffer.concat([uint16(1), ...filters]));
        } else if (type === SUBACK) {
            const refused = this.#options.topics.filter((_, index) => body[2 + index] !== 1);
            if (refused.length > 0) throw new Error(`the broker refuses QoS 1 for ${refused.join(", ")}`);
            this.#isSubscribed = true;
        } else if (type === PUBLISH) {
            const end = 2 + body.readUInt16BE(0);
            const hasId = (flags & 6) !== 0;
            this.#waiting.push({
                topic: body.toString("utf8", 2, end),
                payload: new Uint8Array(body.subarray(hasId ? end + 2 : end)),
                isRetained: (flags & 1) !== 0,
                id: hasId ? body.readUInt16BE(end) : undefined,
            });
        }
    }

    #keepAlive() {
        const isSilent = Date.now() - this.#heardAt > 2 * keepAliveSeconds * 1000;
        // A paused socket reports no event.
        if (isSilent && !this.#socket.isPaused()) this.#fail(new Error("the broker is silent"));
        else if (this.#failure === undefined) this.#send(PINGREQ << 4, Buffer.alloc(0));
    }

    /**
     * @param {number} header type and flags
     * @param {Buffer} body
     */
    #send(header, body) {
        const length = [];
        for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7) {
            length.push(rest & 0x7f | (rest > 0x7f ? 0x80 : 0));
        }
        this.#socket.write(Buffer.concat([Buffer.from([header, ...length]), body]));
    }
}

/** @param {number} value */
function uint16(value) {
    return Buffer.from([value >> 8, value & 0xff]);
}

/** @param {string} text */
function string(text) {
    const bytes = Buffer.from(text);
    return Buffer.concat([uint16(bytes.length), bytes]);
}
