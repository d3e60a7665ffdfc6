import assert from "node:assert/strict";
import test from "node:test";
import { deadLetter, sendLetter } from "../dead-letter.js";
import { readMessage } from "../message.js";
import redrive from "../redrive.js";
import { FakeQueue } from "./support/fake-queue.js";

const hours = 3_600_000;
const message = (body) => ({ id: "m1", timestamp: new Date("2026-03-01T12:00:00Z"), body, attempts: 1 });
const frame = { src: "shellyplus1pm-a", method: "NotifyStatus", params: { ts: 3, "switch:0": { apower: 1 } } };

/** A dead-letter queue with dead letters of these bodies, written some hours ago. */
async function lettersOf(bodies, age) {
    const letters = new FakeQueue({ name: "letters" });
    for (const body of bodies) {
        const at = new Date(Date.now() - age * hours).toISOString();
        const letter = { ...deadLetter(message(body), "shelly", "no"), at };
        assert.equal(await sendLetter(letter, letters, 1000), undefined);
    }
    return letters;
}

test("dead letters are moved back unchanged, and give the same messages", async (t) => {
    t.mock.method(console, "log", () => {});
    const bytes = new TextEncoder().encode(JSON.stringify(frame));
    const letters = await lettersOf([frame, JSON.stringify(frame), bytes], 2);
    letters.put(frame, new Date("2026-03-01T12:00:00Z"));
    const readings = new FakeQueue();
    await letters.deliver(redrive.queue, { READINGS: readings });
    assert.equal(letters.acked.length, 4);
    assert.equal(readings.bodies.length, 4);
    const expected = readMessage(frame, new Date("2026-03-01T12:00:00Z"));
    for (const body of readings.bodies) assert.deepEqual(readMessage(body, new Date("2026-03-01T12:00:00Z")), expected);
    assert.equal(readings.bodies.filter((body) => readMessage(body, new Date()).json === expected.json).length, 3);
});

test("a fresh dead letter waits, because it may just have failed again", async (t) => {
    t.mock.method(console, "log", () => {});
    const letters = await lettersOf([frame], 0);
    const readings = new FakeQueue();
    await letters.deliver(redrive.queue, { READINGS: readings });
    assert.deepEqual([letters.acked.length, readings.bodies.length], [0, 0]);
    assert.equal(letters.retries[0].delaySeconds, 43_200);
});

test("a dead letter that the queue does not accept stays in the dead-letter queue", async (t) => {
    t.mock.method(console, "log", () => {});
    const letters = await lettersOf([frame, frame], 2);
    const readings = new FakeQueue();
    readings.send = async () => {
        throw new Error("Too Many Requests");
    };
    await letters.deliver(redrive.queue, { READINGS: readings });
    assert.equal(letters.waiting.length, 2);
    for (const { delaySeconds } of letters.retries) assert.equal(delaySeconds, 600);
});
