import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { readMessage } from "../message.js";

const sentAt = new Date("2026-03-01T12:00:00.900Z");
const queueSeconds = 1_772_366_400;
const frame = (params, more = {}) => ({ src: "shellyplus1pm-a", dst: "ws", method: "NotifyStatus", params, ...more });
const read = (body, at = sentAt) => {
    const result = readMessage(body, at);
    return result.json === undefined ? result : { ...result, json: JSON.parse(result.json) };
};
const timestamp = (ts) => read(frame({ ts })).json.timestamp;

test("every captured frame becomes a message with the device's time, the one without a clock with the queue's", () => {
    const frames = readFileSync(new URL("../../dev/frames.ndjson", import.meta.url), "utf8").trim().split("\n")
        .map((line) => JSON.parse(line).frame);
    assert.ok(frames.length > 10);
    for (const captured of frames) {
        const at = new Date(1_790_000_000_000);
        const isUndated = captured.params.ts < 1e9;
        assert.deepEqual(read(captured, at), {
            json: {
                src: captured.src,
                timestamp: isUndated ? 1_790_000_000 : Math.floor(captured.params.ts),
                params: captured.params,
            },
            isUndated,
        });
    }
});

test("object, text and bytes of a frame are the same message", () => {
    const body = frame({ ts: 1_772_000_000.5, "switch:0": { apower: 8.9 } });
    const text = JSON.stringify(body);
    const bytes = new TextEncoder().encode(text);
    const expected = read(body);
    assert.equal(expected.json.timestamp, 1_772_000_000);
    assert.deepEqual(read(text), expected);
    assert.deepEqual(read(bytes), expected);
    assert.deepEqual(read(bytes.buffer), expected);
    assert.deepEqual(read(`\u{feff}${text}`.slice(1)), expected);
});

test("a clock that is not set, not a number or far ahead falls back to the queue's time", () => {
    const absent = [undefined, null, "1772000000", {}];
    for (const ts of [...absent, 0, 5.01, -1, 1_577_836_799.9, queueSeconds + 86_401, 1.772e12]) {
        assert.equal(timestamp(ts), queueSeconds, `ts ${ts}`);
        assert.equal(read(frame({ ts })).isUndated, true);
    }
    for (const ts of [1_577_836_800, queueSeconds, queueSeconds + 86_400]) {
        assert.equal(timestamp(ts), ts);
        assert.equal(read(frame({ ts })).isUndated, false);
    }
});

test("a frame is read alike at each delivery", () => {
    assert.deepEqual(read(frame({ ts: null })), read(frame({ ts: null })));
});

test("a ready message passes as it is, with unknown members, and its time is not touched", () => {
    for (const time of [5, 1_772_000_000.7, 1.772e12, "soon", -1]) {
        const message = { src: "plug", timestamp: time, params: { "switch:0": { apower: 1 } }, site: "cellar" };
        assert.deepEqual(read(message), { json: message, isUndated: false });
    }
});

test("a status without a method, or with a null timestamp, is taken for a frame", () => {
    const params = { ts: 1_772_000_000 };
    const expected = { json: { src: "plug", timestamp: 1_772_000_000, params }, isUndated: false };
    assert.deepEqual(read({ src: "plug", params }), expected);
    assert.deepEqual(read({ src: "plug", timestamp: null, params }), expected);
});

test("events, requests and replies carry no reading", () => {
    for (const body of [
        frame({ ts: 1, events: [] }, { method: "NotifyEvent" }),
        { id: 1, src: "user", method: "Switch.Set", params: { id: 0, on: true } },
        { id: 1, src: "shellyplus1pm-a", dst: "user", result: { was_on: false } },
        { id: 1, src: "shellyplus1pm-a", dst: "user", error: { code: 401, message: "" } },
    ]) assert.deepEqual(read(body), { isIgnored: true });
});

test("a status in any other frame is not lost: a reply to Shelly.GetStatus, a method of somebody's own", () => {
    const status = { "switch:0": { id: 0, apower: 8.9 }, sys: { unixtime: 1_772_000_000 } };
    const expected = { json: { src: "shellyplus1pm-a", timestamp: 1_772_000_000, params: status }, isUndated: false };
    assert.deepEqual(read({ id: 1, src: "shellyplus1pm-a", dst: "user", result: status }), expected);
    assert.deepEqual(read(frame(status, { method: "status" })), expected);
    assert.deepEqual(read(frame(status, { method: 7 })), expected);
    const unset = { ...status, sys: { unixtime: null } };
    assert.equal(read({ id: 1, src: "shellyplus1pm-a", result: unset }).json.timestamp, queueSeconds);
});

test("what the receiver has rules for is left to the receiver", () => {
    assert.equal(read(frame({ ts: 1_772_000_000 }, { src: undefined })).json.src, undefined);
    assert.equal(read(frame(null)).json.params, null);
    assert.deepEqual(read(frame([1])).json.params, [1]);
});

test("what is neither frame nor message has a reason", () => {
    for (const body of [
        "", "{", "null", "[]", "7", '"text"', null, undefined, 7, true, [], {}, { hello: 1 },
        new Uint8Array([0xff, 0xfe]), Buffer.from('{"src":"\xff","params":{}}', "latin1"), new ArrayBuffer(0),
        new Date(), new Map([["src", "a"]]),
    ]) assert.equal(typeof read(body).reason, "string", String(body));
});

test("a value that JSON would silently change is not sent", () => {
    const loop = frame({ ts: 1 });
    loop.params.self = loop;
    for (const body of [
        '{"src":"a","timestamp":1,"params":{"switch:0":{"apower":1e999}}}',
        frame({ ts: 1, "switch:0": { apower: NaN } }),
        frame({ ts: 1, "switch:0": { apower: 1n } }),
        frame({ ts: 1, bytes: new Uint8Array(2) }),
        frame(new Map()),
        loop,
    ]) assert.deepEqual(read(body), { reason: "holds a value that JSON cannot express" });
});

test("members named like an object's own machinery stay members", () => {
    const text = '{"src":"a","timestamp":1772000000,"params":{"__proto__":{"x":1},"toJSON":1,"constructor":2}}';
    assert.equal(readMessage(text, sentAt).json, text);
});

test("a dead letter that was moved back is opened, and keeps the time of its first sending", () => {
    const letter = { dead_letter: "422", sent_at: sentAt.toISOString(), body: frame({ ts: 3 }) };
    assert.deepEqual(read(letter, new Date()), read(frame({ ts: 3 })));
    assert.deepEqual(read({ ...letter, body: JSON.stringify(frame({ ts: 3 })) }, new Date()), read(frame({ ts: 3 })));
});

test("a frame that only looks like a dead letter is a frame", () => {
    const odd = frame({ ts: 1_772_000_000 }, { dead_letter: "x" });
    assert.equal(read(odd).json.timestamp, 1_772_000_000);
    const letter = (body) => ({ dead_letter: "x", sent_at: sentAt.toISOString(), body });
    let nested = letter(frame({}));
    for (let depth = 0; depth < 20_000; depth += 1) nested = letter(nested);
    assert.equal(typeof read(nested).reason, "string");
});
