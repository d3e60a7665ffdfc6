import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { consume } from "../consumer.js";
import producer from "../producer.js";
import { run, start } from "./support/device.js";
import { FakeQueue } from "./support/fake-queue.js";
import { relay, Rig } from "./support/rig.js";
import "./support/web-crypto.js";

// The real receiver, loader and PostgreSQL. Only Cloudflare's queue is not the real one.

/** The Worker with more time for a batch than Cloudflare allows, because these tests are not about its timeouts. */
const worker = (batch, env) => consume(batch, env, { budgetMilliseconds: 600_000 });

const minute = 60;
const base = Math.floor(Date.now() / 1000 / minute) * minute - 6000 * minute;
const keyOf = (src, channel, timestamp) => `${src}_${channel}_${Math.floor(timestamp / minute)}`;

/** A frame with a reading on channel 0 in a minute of its own, and the key of its row. */
function reading(device, number) {
    const src = `shellyplus1pm-${device}`;
    const ts = base + number * minute + 0.5;
    return {
        key: keyOf(src, 0, ts), power: number + 0.5,
        frame: { src, dst: "ws", method: "NotifyStatus", params: { ts, "switch:0": { id: 0, apower: number + 0.5 } } },
    };
}

/** The rows of the devices with this prefix: key and power. */
const rows = (rig, device) => rig.query(`
    SELECT idempotency_key || ' ' || power FROM power_logs WHERE device_id LIKE 'shellyplus1pm-${device}%' ORDER BY 1
`);
const expectedRows = (readings) => readings.map(({ key, power }) => `${key} ${power}`).sort();

test("the real receiver", async (t) => {
    t.mock.method(console, "log", () => {});
    const logged = () => console.log.mock.calls.map((call) => JSON.parse(call.arguments[0]));
    const rig = await Rig.start();
    t.after(() => rig.end());

    /** Delivers until the queue is empty, `consumers` at a time, as Cloudflare does. */
    async function drain(queue, env, consumers = 3) {
        const consumer = async () => {
            while (queue.waiting.length > 0) {
                const before = queue.retries.length;
                await queue.deliver(worker, env, 1 + Math.floor(Math.random() * 100));
                if (queue.retries.length > before) await sleep(20);
            }
        };
        while (queue.waiting.length > 0) await Promise.all(Array.from({ length: consumers }, consumer));
        assert.equal(queue.exhausted.length, 0);
    }

    await t.test("device frames become rows, in each form that a queue may carry", async () => {
        const frames = readFileSync(new URL("../../dev/frames.ndjson", import.meta.url), "utf8").trim().split("\n")
            .map((line) => JSON.parse(line).frame).filter((frame) => frame.params.ts < Date.now() / 1000);
        const queue = new FakeQueue();
        const letters = new FakeQueue();
        const now = Date.now() / 1000;
        const keys = new Set();
        for (const [index, frame] of frames.entries()) {
            const text = JSON.stringify(frame);
            const ts = frame.params.ts < 1e9 ? now : frame.params.ts;
            queue.put([frame, text, new TextEncoder().encode(text)][index % 3], new Date(ts * 1000));
            for (let channel = 0; channel < 4; channel += 1) {
                const { apower } = frame.params[`switch:${channel}`] ?? {};
                if (typeof apower === "number") keys.add(keyOf(frame.src, channel, ts));
            }
        }
        queue.put({ src: frames[0].src, method: "NotifyEvent", params: { ts: 1, events: [] } });
        await drain(queue, { ...rig.env, DEAD_LETTERS: letters });
        rig.load("drain");
        assert.ok(keys.size >= 8);
        assert.deepEqual(new Set(rig.query("SELECT idempotency_key FROM power_logs")), keys);
        assert.equal(letters.bodies.length, 0);
        assert.equal(queue.retries.length, 0);
    });

    await t.test("messages that the receiver rejects are dead letters with its reason, the others rows", async () => {
        const readings = Array.from({ length: 40 }, (_, number) => reading("rejects", number));
        const bad = [
            { src: "", timestamp: base, params: {} }, { src: "plug", timestamp: 1.772e12, params: {} },
            { src: "plug", params: null }, { src: "x".repeat(200), timestamp: base, params: {} },
            { src: "a\nb", timestamp: base, params: {} },
        ];
        const queue = new FakeQueue();
        const letters = new FakeQueue();
        for (const { frame } of readings) queue.put(frame);
        for (const body of [...bad, "no JSON"]) queue.put(body);
        await drain(queue, { ...rig.env, DEAD_LETTERS: letters });
        rig.load("drain");
        assert.deepEqual(rows(rig, "rejects"), expectedRows(readings));
        assert.equal(letters.bodies.length, bad.length + 1);
        for (const body of bad) {
            const letter = letters.bodies.find((candidate) => JSON.stringify(candidate.body) === JSON.stringify(body));
            assert.match(letter.dead_letter, /Device ID|milliseconds|valid object|128|character/i);
        }
        assert.equal(queue.retries.length, 0);
    });

    await t.test("one message that makes the whole body invalid is found by halving", async () => {
        const readings = Array.from({ length: 30 }, (_, number) => reading("halves", number));
        let deep = {};
        for (let depth = 0; depth < 80; depth += 1) deep = { deep };
        const poison = [
            { src: "shellyplus1pm-halves-deep", timestamp: base, params: deep },
            { src: "shellyplus1pm-halves-lone", timestamp: base, params: { name: "\ud800" } },
        ];
        const queue = new FakeQueue();
        const letters = new FakeQueue();
        for (const body of [...readings.map(({ frame }) => frame), ...poison]) queue.put(body);
        await queue.deliver(worker, { ...rig.env, DEAD_LETTERS: letters });
        rig.load("drain");
        assert.equal(queue.acked.length, 32);
        assert.deepEqual(rows(rig, "halves"), expectedRows(readings));
        assert.deepEqual(letters.bodies.map((letter) => letter.body.src).sort(), poison.map(({ src }) => src).sort());
        for (const letter of letters.bodies) assert.match(letter.dead_letter, /^422: ./);
    });

    await t.test("a wrong key drops nothing, and the right one delivers", async () => {
        const readings = Array.from({ length: 5 }, (_, number) => reading("key", number));
        const queue = new FakeQueue();
        for (const { frame } of readings) queue.put(frame);
        await queue.deliver(worker, { ...rig.env, INGEST_API_KEY: "wrong" });
        assert.equal(queue.waiting.length, 5);
        for (const { delaySeconds } of queue.retries) assert.ok(delaySeconds >= 225);
        assert.match(logged().at(-1).failure, /^401/);
        await drain(queue, rig.env);
        rig.load("drain");
        assert.deepEqual(rows(rig, "key"), expectedRows(readings));
    });

    await t.test("nothing is lost or doubled while the receiver is killed and the database is away", async () => {
        const readings = [];
        const queue = new FakeQueue();
        let deliveries = 0;
        const fill = (round) => {
            for (let number = 0; number < 1500; number += 1) {
                const one = reading(`kill${round}${number % 7}`, number);
                const { frame } = one;
                readings.push(one);
                queue.put(number % 2 === 0 ? frame : JSON.stringify(frame));
                // The queue delivers at least once: a third of the messages come twice.
                if (number % 3 === 0) queue.put(frame);
            }
            deliveries += 2000;
        };
        rig.stopDatabase();
        let isDone = false;
        let kills = 0;
        let restart = Promise.resolve();
        const killAndStart = async () => {
            await rig.endReceiver("SIGKILL");
            kills += 1;
            await sleep(Math.random() * 60);
            await rig.startReceiver();
        };
        const isEnough = () => kills > 2 && queue.retries.length > 0;
        const kill = async () => {
            while (!isDone && (kills < 12 || !isEnough())) {
                await sleep(Math.random() * 60);
                restart = killAndStart();
                await restart;
            }
        };
        // Small batches, so that many of them can be hit by a kill. No message runs out of retries during a start, even
        // a slow one.
        const trickle = async () => {
            while (queue.waiting.length > 0) {
                const before = queue.retries.length;
                await queue.deliver(worker, rig.env, 1 + Math.floor(Math.random() * 8));
                if (queue.retries.length > before) await restart;
            }
        };
        // If the queue is empty before there were enough kills, it is filled again.
        const deliver = async () => {
            try {
                for (let round = 0; round < 10 && !isEnough(); round += 1) {
                    fill(round);
                    while (queue.waiting.length > 0) await Promise.all([trickle(), trickle(), trickle()]);
                }
            } finally {
                isDone = true;
            }
        };
        await Promise.all([kill(), deliver()]);
        assert.equal(queue.acked.length, deliveries);
        assert.equal(queue.exhausted.length, 0);
        assert.ok(kills > 2, `${kills} kills`);
        assert.ok(queue.retries.length > 0, "a kill met a batch");
        rig.startDatabase();
        rig.load("drain");
        assert.deepEqual(rows(rig, "kill"), expectedRows(readings));
        t.diagnostic(`${kills} kills, ${queue.retries.length} of ${deliveries} deliveries retried`);
    });

    await t.test("an answer that is lost on the way doubles nothing", async (t) => {
        const readings = Array.from({ length: 50 }, (_, number) => reading("unheard", number));
        const between = await relay(t, rig.port);
        const env = { ...rig.env, RECEIVER_URL: between.url };
        const queue = new FakeQueue();
        for (const { frame } of readings) queue.put(frame);
        between.losesAnswers = true;
        await queue.deliver(worker, env);
        assert.equal(queue.waiting.length, 50);
        between.losesAnswers = false;
        await queue.deliver(worker, env);
        assert.equal(queue.acked.length, 50);
        assert.equal(logged().at(-1).inserted, 0);
        assert.equal(logged().at(-1).duplicates, 50);
        rig.load("drain");
        assert.deepEqual(rows(rig, "unheard"), expectedRows(readings));
    });

    await t.test("from the device's script over the producer into the table", async (t) => {
        const queue = new FakeQueue();
        const env = { DEVICE_TOKEN: "token", READINGS: queue };
        const url = "https://producer.example/?token=token";
        const { frame, key, power } = reading("produced", 1);
        const posted = await producer.fetch(new Request(url, { method: "POST", body: JSON.stringify(frame) }), env);
        assert.equal(posted.status, 202);
        const query = "src=shellyplus1pm-producedhook&channel=2&apower=-7.25";
        const hooked = await producer.fetch(new Request(`${url}&${query}`), env);
        assert.equal(hooked.status, 202);
        await drain(queue, rig.env);
        rig.load("drain");
        const stored = rows(rig, "produced");
        assert.equal(stored[0], `${key} ${power}`);
        assert.match(stored[1], /^shellyplus1pm-producedhook_2_\d+ -7.25$/);
        assert.equal(stored.length, 2);
    });

    await t.test("a full spool's Retry-After is honoured, and a stopped receiver is waited for", async () => {
        const readings = Array.from({ length: 3 }, (_, number) => reading("full", number));
        const queue = new FakeQueue();
        for (const { frame } of readings) queue.put(frame);
        await rig.endReceiver("SIGTERM");
        await queue.deliver(worker, rig.env);
        for (const { delaySeconds } of queue.retries) assert.ok(delaySeconds >= 4 && delaySeconds <= 7);

        await rig.startReceiver({ SPOOL_BYTES: "1" });
        await queue.deliver(worker, rig.env);
        assert.deepEqual(queue.retries.slice(3).map(({ delaySeconds }) => delaySeconds), [30, 30, 30]);
        await rig.endReceiver("SIGTERM");

        await rig.startReceiver({ INGEST_API_KEY: "" });
        await queue.deliver(worker, rig.env);
        assert.equal(logged().at(-1).failure, "500");
        await rig.endReceiver("SIGTERM");

        await rig.startReceiver();
        await drain(queue, rig.env);
        rig.load("drain");
        assert.deepEqual(rows(rig, "full"), expectedRows(readings));
    });

    await t.test("the device's script posts to the receiver itself", async () => {
        const address = `http://127.0.0.1:${rig.port}/api/ingest/batch`;
        const components = {
            sys: { unixtime: base }, "switch:0": { id: 0, apower: 7.5 }, "switch:1": { id: 1, apower: 8.5 },
        };
        const { request, callback, printed } = run("shellyplus1pm-alone", components, { address, token: rig.key });
        const response = await fetch(request);
        callback({ code: response.status, body: await response.text() }, 0, "");
        const stranger = run("shellyplus1pm-alone", components, { address, token: "another" });
        callback({ code: (await fetch(stranger.request)).status, body: "" }, 0, "");
        assert.deepEqual(printed.slice(1), ["refused: 401 "]);
        rig.load("drain");
        assert.deepEqual(rows(rig, "alone"), [0, 1].map((channel) =>
            `${keyOf("shellyplus1pm-alone", channel, base)} ${channel + 7.5}`));

        const early = start("shellyplus1pm-alone", { ...components, sys: { unixtime: null } }, { address, token: rig.key });
        early.work();
        assert.deepEqual([early.calls.length, early.printed.slice(1)], [0, ["not posted: the device's clock is not set"]]);
    });

    await t.test("spool and table agree in the end", () => {
        rig.load("verify", "--database");
        const [counts] = rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs");
        const [all, distinct] = counts.split(" ");
        assert.equal(all, distinct);
    });
});
