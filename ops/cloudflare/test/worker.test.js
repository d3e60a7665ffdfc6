import assert from "node:assert/strict";
import { createServer } from "node:http";
import net from "node:net";
import test from "node:test";
import { consume } from "../consumer.js";
import worker from "../worker.js";
import { FakeQueue } from "./support/fake-queue.js";

// Answers that the real receiver does not give, or not on demand. receiver.test.js uses the real receiver.

const key = "s3cret-key-of-the-tests";
const now = Math.floor(Date.now() / 1000);
const message = (number) => ({ src: `plug-${number}`, timestamp: now, params: { "switch:0": { apower: number } } });
const taken = (count, more = {}) => ({ inserted: count, duplicates: 0, errors: 0, total_messages: count, ...more });

/** Delivers a batch once, by default without a time limit, and returns the outcome of its messages. */
async function deliver(t, bodies, env, options = {}) {
    const queue = options.queue ?? new FakeQueue();
    const letters = new FakeQueue({ name: "letters" });
    for (const body of bodies) queue.put(body);
    const lines = [];
    const log = t.mock.method(console, "log", (line) => lines.push(line));
    const handler = options.handler ?? ((batch, environment) =>
        consume(batch, environment, { budgetMilliseconds: 600_000, ...options }));
    try {
        await queue.deliver(handler, { INGEST_API_KEY: key, DEAD_LETTERS: letters, ...env });
    } finally {
        log.mock.restore();
    }
    assert.equal(lines.length, 1, "one log line a batch");
    assert.ok(!lines[0].includes(key) && !lines[0].includes("\n"), lines[0]);
    return {
        log: JSON.parse(lines[0]), acked: queue.acked.length, letters: letters.bodies,
        delays: queue.retries.map((retry) => retry.delaySeconds),
    };
}

/** A server whose answer to each POST is a function of its parsed body: `{status, headers, body}`. */
async function origin(t, answer) {
    const requests = [];
    const server = createServer(async (request, response) => {
        const chunks = [];
        try {
            for await (const chunk of request) chunks.push(chunk);
        } catch {
            // The client closed the connection before its request was read.
            return;
        }
        const text = Buffer.concat(chunks).toString();
        requests.push({ url: request.url, headers: request.headers, messages: JSON.parse(text).messages });
        const reply = await answer(requests.at(-1).messages, response);
        if (reply === undefined) return;
        response.writeHead(reply.status ?? 200, reply.headers);
        response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body ?? {}));
    });
    // The server keeps idle connections open, because the next request may be about to use one.
    server.keepAliveTimeout = 0;
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
        server.close();
        server.closeAllConnections();
    });
    return { env: { RECEIVER_URL: `http://127.0.0.1:${server.address().port}` }, requests };
}

/** An answer that accepts all messages except those of one device. */
const rejecting = (device, msg) => (messages) => {
    const rejected = messages.flatMap(({ src }, index) => src === device ? [{ index, msg }] : []);
    return { body: taken(messages.length - rejected.length, { rejected }) };
};

const within = (value, low, high) => assert.ok(value >= low && value <= high, `${value} is not in ${low}…${high}`);

/** Changes the time of timers of more than `low` milliseconds, up to a whole budget. */
function mockTimers(t, low, changed) {
    const original = setTimeout;
    return t.mock.method(globalThis, "setTimeout", (work, milliseconds, ...rest) =>
        original(work, milliseconds > low && milliseconds <= 25_000 ? changed : milliseconds, ...rest));
}

test("posts leniently with the key, and with the service token of Cloudflare Access", async (t) => {
    const { env, requests } = await origin(t, (messages) => ({ body: taken(messages.length) }));
    const access = { CF_ACCESS_CLIENT_ID: "id.access", CF_ACCESS_CLIENT_SECRET: "hush\n", INGEST_API_KEY: `${key}\n` };
    const result = await deliver(t, [message(1), message(2)], { ...env, ...access });
    assert.equal(result.acked, 2);
    assert.equal(requests.length, 1);
    const { headers, url } = requests[0];
    assert.equal(url, "/api/ingest/batch");
    assert.equal(headers["x-api-key"], key);
    assert.equal(headers.prefer, "handling=lenient");
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["cf-access-client-id"], "id.access");
    assert.equal(headers["cf-access-client-secret"], "hush");
    assert.ok(headers["user-agent"]);
    assert.equal(result.log.level, "info");
});

test("the address may have a path, and the batch's own path already", async (t) => {
    const { env, requests } = await origin(t, (messages) => ({ body: taken(messages.length) }));
    for (const suffix of ["", "/", "/shelly", "/shelly/", "/api/ingest/batch"]) {
        await deliver(t, [message(1)], { RECEIVER_URL: env.RECEIVER_URL + suffix });
    }
    assert.deepEqual(requests.map((request) => request.url), [
        "/api/ingest/batch", "/api/ingest/batch", "/shelly/api/ingest/batch", "/shelly/api/ingest/batch",
        "/api/ingest/batch",
    ]);
});

test("invalid settings cause retries after minutes, and the log names the setting without its value", async (t) => {
    const good = { RECEIVER_URL: "http://127.0.0.1:9", INGEST_API_KEY: key };
    const cases = [
        [{ RECEIVER_URL: undefined }, /RECEIVER_URL/], [{ RECEIVER_URL: "receiver" }, /RECEIVER_URL/],
        [{ RECEIVER_URL: "ftp://x" }, /RECEIVER_URL/],
        [{ RECEIVER_URL: `http://u:${key}@127.0.0.1:9` }, /RECEIVER_URL/],
        [{ INGEST_API_KEY: undefined }, /INGEST_API_KEY/], [{ INGEST_API_KEY: " \n" }, /INGEST_API_KEY/],
        [{ INGEST_API_KEY: `${key}\u{1F511}` }, /no header may have/],
        [{ INGEST_API_KEY: `a\n${key}` }, /no header may have/],
        [{ CF_ACCESS_CLIENT_ID: "id" }, /belong together/], [{ CF_ACCESS_CLIENT_SECRET: key }, /belong together/],
    ];
    for (const [wrong, failure] of cases) {
        const result = await deliver(t, [message(1), message(2)], { ...good, ...wrong });
        assert.equal(result.acked + result.letters.length, 0);
        for (const delay of result.delays) within(delay, 225, 375);
        assert.match(result.log.failure, failure);
        assert.equal(result.log.level, "error");
    }
});

test("a batch without a reading is not posted", async (t) => {
    const event = { src: "plug", method: "NotifyEvent", params: { ts: 1, events: [] } };
    const result = await deliver(t, [event, event], { RECEIVER_URL: undefined });
    assert.equal(result.acked, 2);
    assert.equal(result.log.ignored, 2);
    assert.equal(result.log.requests, 0);
    assert.equal((await deliver(t, [], {})).log.messages, 0);
});

test("untaken readings are counted and reported", async (t) => {
    let untaken = { untaken: 3 };
    const { env } = await origin(t, (messages) => ({ body: taken(messages.length, untaken) }));
    const some = await deliver(t, [message(1), message(2)], env);
    assert.deepEqual([some.log.level, some.log.untaken, some.acked], ["warn", 3, 2]);
    assert.match(some.log.notice, /does not take all readings/);
    untaken = {};
    const none = await deliver(t, [message(1)], env);
    assert.deepEqual([none.log.level, none.log.untaken, none.log.notice], ["info", 0, undefined]);
});

test("an accepted batch without any reading is reported, unless all of it was rejected", async (t) => {
    const rejected = [{ index: 0, msg: "no" }];
    const answers = [{ inserted: 0 }, { inserted: 0, duplicates: 1 }, { inserted: 0, rejected }];
    const { env } = await origin(t, () => ({ body: answers[0] }));
    const notices = [];
    while (answers.length > 0) {
        notices.push((await deliver(t, [message(1)], env)).log.notice);
        answers.shift();
    }
    assert.deepEqual(notices, ["no message gave a reading", undefined, undefined]);
});

test("a consumer that reads its own dead-letter queue does not loop", async (t) => {
    const { env } = await origin(t, rejecting("plug-2", "no"));
    const bytes = new Uint8Array([0xff]);
    for (const isDeadLetterQueue of [true, false]) {
        const queue = new FakeQueue({ name: isDeadLetterQueue ? "letters" : "shelly" });
        const options = { queue };
        const bad = ["{", message(2), bytes];
        const letters = (origin) => bad.map((body) => ({
            dead_letter: "no", at: "2026-01-01T00:00:00Z", queue: origin, sent_at: "2026-01-01T00:00:00Z", body,
        }));
        await deliver(t, isDeadLetterQueue ? letters("shelly") : bad, { ...env, DEAD_LETTERS: queue }, options);
        assert.deepEqual([queue.acked.length, queue.waiting.length], [3, 3]);
        for (let round = 0; round < 3; round += 1) {
            const { log } = await deliver(t, round === 1 ? [message(1)] : [], { ...env, DEAD_LETTERS: queue }, options);
            assert.equal(log.level, "error");
            assert.match(log.failure, /^DEAD_LETTERS is (letters|shelly), which this consumer reads/);
            assert.equal(log.dead_lettered, 0);
        }
        assert.deepEqual([queue.acked.length, queue.waiting.length, queue.retries.length], [4, 3, 9]);
        for (const { delaySeconds } of queue.retries) assert.equal(delaySeconds, 43_200);
    }
});

test("a dead letter that was moved back and fails again is sent to the dead-letter queue again", async (t) => {
    const { env } = await origin(t, rejecting("plug-2", "no"));
    const at = new Date(Date.now() - 3_600_000).toISOString();
    const letter = { dead_letter: "no", at, queue: "shelly", sent_at: at, body: message(2) };
    const { letters, acked } = await deliver(t, [letter], env);
    assert.deepEqual([letters.length, acked], [1, 1]);
});

test("an invalid message is dead-lettered unchanged, with the reason and the times", async (t) => {
    const { env } = await origin(t, (messages) => ({ body: taken(messages.length) }));
    const bytes = new Uint8Array([0xff, 1, 2]);
    const odd = { src: "plug", method: "NotifyStatus", params: { ts: 1, at: new Map([["a", 1n]]) } };
    const bodies = ["{not json", { hello: "world" }, bytes, odd, message(1)];
    const before = Date.now();
    const result = await deliver(t, bodies, env);
    const after = Date.now();
    assert.equal(result.acked, 5);
    assert.equal(result.log.dead_lettered, 4);
    assert.equal(result.log.level, "warn");
    const set = new Set(result.letters.map((letter) => [letter.dead_letter, letter.body]));
    assert.deepEqual(set, new Set([
        ["not JSON", "{not json"], ["not JSON", bytes], ["holds a value that JSON cannot express", odd],
        ["neither a frame nor a message: no src, no params", { hello: "world" }],
    ]));
    for (const letter of result.letters) {
        assert.equal(letter.queue, "shelly");
        assert.equal(letter.attempts, 1);
        assert.match(letter.id, /^m\d$/);
        within(Date.parse(letter.at), before, after);
        within(Date.parse(letter.sent_at), before, Date.parse(letter.at));
    }
});

test("a rejected index is that of the posted messages, not that of the batch", async (t) => {
    const { env } = await origin(t, rejecting("plug-2", "no"));
    const event = { src: "plug", method: "NotifyEvent", params: {} };
    for (let round = 0; round < 20; round += 1) {
        const result = await deliver(t, ["}", event, message(1), event, message(2), message(3), "{"], env);
        assert.equal(result.acked, 7);
        const rejected = result.letters.filter((letter) => letter.dead_letter === "no");
        assert.deepEqual(rejected.map((letter) => letter.body.src), ["plug-2"]);
        assert.equal(result.letters.length, 3);
    }
});

test("without a sent dead letter the message is not acknowledged", async (t) => {
    const { env } = await origin(t, rejecting("plug-2", "no"));
    const hanging = { send: () => new Promise(() => {}) };
    const failing = { send: async () => { throw new Error("Storage Limit Exceeded"); } };
    const cases = [[undefined, /no binding/], [failing, /Storage Limit/], [hanging, /no answer within 5 s/]];
    for (const [letters, failure] of cases) {
        const result = await deliver(t, ["{", message(1), message(2)], { ...env, DEAD_LETTERS: letters });
        assert.equal(result.acked, 1);
        assert.equal(result.delays.length, 2);
        assert.match(result.log.failure, failure);
        assert.equal(result.log.dead_lettered, 0);
    }
});

test("a dead letter that fails again is not nested in a second one", async (t) => {
    const { env } = await origin(t, rejecting("plug-1", "still no"));
    const first = { dead_letter: "no", sent_at: "2026-01-01T00:00:00.000Z", body: message(1) };
    for (const body of [first, JSON.stringify(first)]) {
        const { letters } = await deliver(t, [body], env);
        assert.deepEqual(letters.map(({ dead_letter, sent_at, body: inner }) => ({ dead_letter, sent_at, inner })), [
            { dead_letter: "still no", sent_at: first.sent_at, inner: message(1) },
        ]);
    }
});

test("a batch that is refused as a whole is halved until each refused message is alone", async (t) => {
    for (const status of [413, 422]) {
        const isPoison = ({ src }) => ["plug-13", "plug-77"].includes(src);
        const { env, requests } = await origin(t, (messages) => messages.some(isPoison)
            ? { status, body: { detail: "Nesting too deep" } }
            : { body: taken(messages.length) });
        const result = await deliver(t, Array.from({ length: 100 }, (_, number) => message(number)), env);
        assert.equal(result.acked, 100);
        assert.deepEqual(result.letters.map((letter) => letter.body.src).sort(), ["plug-13", "plug-77"]);
        assert.equal(result.letters[0].dead_letter, `${status}: Nesting too deep`);
        assert.equal(result.log.inserted, 98);
        within(requests.length, 10, 32);
    }
});

test("a batch beyond a proxy's limit of bytes is split, and no message is lost", async (t) => {
    const { env, requests } = await origin(t, (messages) => messages.length > 7
        ? { status: 413, body: "<html>413 Request Entity Too Large</html>" }
        : { body: taken(messages.length) });
    const result = await deliver(t, Array.from({ length: 100 }, (_, number) => message(number)), env);
    assert.equal(result.acked, 100);
    assert.equal(result.letters.length, 0);
    const sources = requests.map(({ messages }) => messages).filter((messages) => messages.length <= 7)
        .flatMap((messages) => messages.map(({ src }) => src));
    assert.equal(new Set(sources).size, 100);
    assert.equal(sources.length, 100);
});

test("after a failed half the other half is not posted", async (t) => {
    const { env, requests } = await origin(t, (messages) => messages.length > 50
        ? { status: 422 } : { status: 503, headers: { "Retry-After": "17" } });
    const result = await deliver(t, Array.from({ length: 100 }, (_, number) => message(number)), env);
    assert.equal(requests.length, 2);
    assert.deepEqual(new Set(result.delays), new Set([17]));
    assert.equal(result.delays.length, 100);
});

test("after a busy or failing answer the retry follows Retry-After, or comes after seconds at first", async (t) => {
    let reply;
    const { env } = await origin(t, () => reply);
    for (const status of [408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 530]) {
        reply = { status, headers: { "Retry-After": "120" }, body: "x" };
        assert.deepEqual((await deliver(t, [message(1)], env)).delays, [120]);
        reply = { status, body: "<html>" };
        const result = await deliver(t, [message(1)], env);
        within(result.delays[0], 4, 7);
        assert.equal(result.log.failure, String(status));
        assert.equal(result.log.level, "warn");
    }
    const until = new Date(Date.now() + 90_000).toUTCString();
    reply = { status: 503, headers: { "Retry-After": until } };
    // At least a second, even if the answer is read after that date.
    const left = () => Math.max(1, Math.ceil((Date.parse(until) - Date.now()) / 1000));
    const atMost = left();
    const [delay] = (await deliver(t, [message(1)], env)).delays;
    within(delay, left(), atMost);
    for (const header of ["soon", "-5", "1.5", ""]) {
        reply = { status: 503, headers: { "Retry-After": header } };
        within((await deliver(t, [message(1)], env)).delays[0], 4, 7);
    }
});

test("after an answer that a person must check the retry comes after minutes, and no message is dropped", async (t) => {
    let reply;
    const { env, requests } = await origin(t, () => reply);
    for (const status of [201, 204, 301, 302, 303, 307, 308, 304, 400, 401, 402, 403, 404, 405, 410, 415, 451]) {
        const isRedirect = status >= 301 && status < 304 || status > 304 && status < 309;
        const headers = isRedirect ? { Location: "https://login.example/?token=x" } : {};
        reply = { status, headers, body: [204, 304].includes(status) ? "" : undefined };
        requests.length = 0;
        const result = await deliver(t, ["a", "b"].map((name) => message(name)), env);
        assert.equal(result.acked + result.letters.length, 0, String(status));
        for (const delay of result.delays) within(delay, 225, 375);
        assert.equal(result.log.level, "error");
        assert.match(result.log.failure, new RegExp(`^${status}`));
        if (isRedirect) assert.match(result.log.failure, /to login\.example\)/);
        assert.ok(!result.log.failure.includes("token"));
        assert.equal(requests.length, 1, "redirects are not followed");
    }
});

test("a 200 that is not the receiver's acknowledges no message", async (t) => {
    let reply;
    const { env } = await origin(t, () => reply);
    for (const body of [
        "", "OK", "<html>Welcome</html>", "null", "[]", "7", "{}", '{"inserted":1',
        '{"inserted":null}', '{"inserted":"1"}', '{"inserted":1.5}', '{"inserted":-1}', '{"inserted":1,"rejected":{}}',
        ...['{"index":2,"msg":"x"}', '{"index":-1}', '{"index":"0"}', '{"index":0.5}', "{}", "null"]
            .map((item) => `{"inserted":1,"rejected":[${item}]}`),
        `{"inserted":2,"padding":"${"x".repeat(1 << 20)}"}`,
    ]) {
        reply = { body };
        const result = await deliver(t, [message(1), message(2)], env);
        assert.equal(result.acked + result.letters.length, 0, body.slice(0, 50));
        for (const delay of result.delays) within(delay, 225, 375);
        assert.equal(result.delays.length, 2);
        assert.equal(result.log.level, "error");
    }
    reply = { body: taken(2) };
    assert.equal((await deliver(t, [message(1), message(2)], env)).acked, 2, "rejected may be absent");
});

test("an endless answer is aborted after a megabyte", async (t) => {
    let written = 0;
    const { env } = await origin(t, (_, response) => {
        response.writeHead(200);
        const chunk = Buffer.alloc(65_536, 0x20);
        const more = () => {
            if (response.destroyed || written > 1e8) return;
            written += chunk.length;
            response.write(chunk) ? setImmediate(more) : response.once("drain", more);
        };
        more();
    });
    const result = await deliver(t, [message(1)], env);
    assert.equal(result.delays.length, 1);
    within(written, 1 << 20, 5e7);
});

test("an answer that stalls uses at most the budget, and its batch is retried", { timeout: 600_000 }, async (t) => {
    const stalls = {
        "before the header": () => undefined,
        "in the body": (_, response) => {
            response.writeHead(200, { "Content-Length": "100" });
            response.write('{"inserted":1');
        },
        "drip by drip": (_, response) => {
            response.writeHead(200);
            const timer = setInterval(() => response.write(" "), 50);
            response.on("close", () => clearInterval(timer));
        },
    };
    for (const [place, answer] of Object.entries(stalls)) {
        const { env } = await origin(t, answer);
        const started = Date.now();
        const result = await deliver(t, [message(1)], env, { budgetMilliseconds: 5000 });
        assert.ok(Date.now() - started >= 4900, place);
        within(result.delays[0], 4, 7);
        // The post got the rest of the budget.
        assert.match(result.log.failure, /no answer within [1-5] s$/, place);
    }
});

test("a connection whose answer is not needed is closed", { timeout: 600_000 }, async (t) => {
    const endless = (status) => (_, response) => {
        response.writeHead(status);
        response.write("x");
    };
    for (const answer of [endless(503), endless(404), endless(200), () => undefined]) {
        let closed;
        const { env } = await origin(t, (messages, response) => {
            closed = new Promise((resolve) => response.once("close", resolve));
            return answer(messages, response);
        });
        const result = await deliver(t, [message(1)], env, { budgetMilliseconds: 5000 });
        assert.equal(result.delays.length, 1);
        await closed;
    }
});

test("all posts of a batch, including its halves, end within 25 seconds", async (t) => {
    // The server sets the clock: each answer takes five seconds.
    let seconds = Date.now() / 1000;
    const { env, requests } = await origin(t, (messages) => {
        seconds += 5;
        return messages.length > 1 ? { status: 413 } : { body: taken(1) };
    });
    const clock = t.mock.method(Date, "now", () => seconds * 1000);
    // The timers use the real time, and must not end a post before its answer comes.
    const timers = mockTimers(t, 4_000, 600_000);
    const bodies = Array.from({ length: 16 }, (_, number) => message(number));
    const result = await deliver(t, bodies, env, { handler: worker.queue });
    timers.mock.restore();
    clock.mock.restore();
    assert.equal(requests.length, 5);
    assert.equal(result.acked, 1, "what was done in time is done");
    assert.equal(result.delays.length, 15);
    assert.equal(result.letters.length, 0);
    assert.match(result.log.failure, /no time left/);
});

test("a post is aborted after 25 seconds", async (t) => {
    const { env } = await origin(t, () => undefined);
    // The clock stands still, so the whole budget is left when the post begins.
    const time = Date.now();
    const clock = t.mock.method(Date, "now", () => time);
    const timers = mockTimers(t, 20_000, 100);
    const result = await deliver(t, [message(1)], env, { handler: worker.queue });
    timers.mock.restore();
    clock.mock.restore();
    assert.match(result.log.failure, /no answer within 25 s/);
    assert.equal(result.delays.length, 1);
});

test("after a refused connection, a closed one or an invalid answer the retry comes after seconds", async (t) => {
    const talks = [
        (socket) => socket.destroy(),
        (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"),
        (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"inserted\":1"),
        (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
    ];
    const environments = [{ RECEIVER_URL: "http://127.0.0.1:9" }, { RECEIVER_URL: "http://receiver.invalid" }];
    for (const talk of talks) {
        const server = net.createServer((socket) => {
            socket.on("error", () => {});
            socket.once("data", () => talk(socket));
        });
        await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
        t.after(() => server.close());
        environments.push({ RECEIVER_URL: `http://127.0.0.1:${server.address().port}` });
    }
    for (const env of environments) {
        const result = await deliver(t, [message(1)], env, { budgetMilliseconds: 5000 });
        assert.equal(result.acked, 0);
        within(result.delays[0], 4, 7);
        assert.equal(result.log.level, "warn");
    }
});

test("the receiver's reason for a message cannot forge a log line, and is truncated", async (t) => {
    const { env } = await origin(t, rejecting("plug-1", `a\n{"level":"info"}${"x".repeat(5000)}`));
    const result = await deliver(t, [message(1)], env);
    assert.equal(result.letters[0].dead_letter.length, 500);
    assert.equal(result.log.dead_letter_reasons.length, 1);
});
