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
        const isUndated = captured.params.ts < 1e9;
        const seconds = isUndated ? 1_790_000_000 : Math.floor(captured.params.ts);
        assert.deepEqual(read(captured, new Date(seconds * 1000)), {
            json: { src: captured.src, timestamp: seconds, params: captured.params },
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

test("if the clock is not set, years behind, far ahead or not a number, the queue's time is used", () => {
    const year = 365 * 86_400;
    const absent = [undefined, null, "1772000000", {}];
    const firmwareDay = 1_609_459_200;
    for (const ts of [...absent, 0, 5.01, -1, firmwareDay, queueSeconds - year - 1, queueSeconds + 86_401, 1.772e12]) {
        assert.equal(timestamp(ts), queueSeconds, `ts ${ts}`);
        assert.equal(read(frame({ ts })).isUndated, true);
    }
    for (const ts of [queueSeconds - year, queueSeconds, queueSeconds + 86_400]) {
        assert.equal(timestamp(ts), ts);
        assert.equal(read(frame({ ts })).isUndated, false);
    }
});

test("a frame has the same result at each delivery", () => {
    assert.deepEqual(read(frame({ ts: null })), read(frame({ ts: null })));
});

test("a ready message is passed on unchanged, with its time and unknown members", () => {
    for (const time of [5, 1_772_000_000.7, 1.772e12, "soon", -1]) {
        const message = { src: "plug", timestamp: time, params: { "switch:0": { apower: 1 } }, site: "cellar" };
        assert.deepEqual(read(message), { json: message, isUndated: false });
    }
});

test("a status without a method, or with a null timestamp, is read as a frame", () => {
    const params = { ts: 1_772_000_000 };
    const expected = { json: { src: "plug", timestamp: 1_772_000_000, params }, isUndated: false };
    assert.deepEqual(read({ src: "plug", params }), expected);
    assert.deepEqual(read({ src: "plug", timestamp: null, params }), expected);
});

test("events, requests and replies have no reading", () => {
    for (const body of [
        frame({ ts: 1, events: [] }, { method: "NotifyEvent" }),
        { id: 1, src: "user", method: "Switch.Set", params: { id: 0, on: true } },
        { id: 1, src: "shellyplus1pm-a", dst: "user", result: { was_on: false } },
        { id: 1, src: "shellyplus1pm-a", dst: "user", error: { code: 401, message: "" } },
        { id: 1, src: "shellyblugwg3-a", result: { components: [{ key: "bthomesensor:200", status: { value: 1 } }] } },
    ]) assert.deepEqual(read(body), { isIgnored: true });
});

test("a configuration in a reply or in a request is not read as a status", () => {
    const switches = { id: 0, name: null, power_limit: 2800, voltage_limit: 280, current_limit: 10 };
    const cover = { id: 0, in_mode: "dual", initial_state: "stopped", motor: { idle_power_thr: 2 } };
    const sys = { device: { name: "x", mac: "A0B1C2D3E4F5" }, location: { tz: "Europe/Sofia" } };
    for (const result of [
        { "switch:0": switches, "switch:1": { id: 1 }, sys }, { "cover:0": cover, sys }, switches, cover, sys,
    ]) {
        assert.deepEqual(read({ id: 1, src: "shellyplus2pm-a", dst: "user", result }), { isIgnored: true });
        const request = { id: 1, src: "user", method: "Switch.SetConfig", params: { id: 0, config: result } };
        assert.deepEqual(read(request), { isIgnored: true });
    }
});

// A component of each type that has a meter, with the members that determine its type.
const components = {
    "switch:0": { id: 0, source: "init", output: true, apower: 8.9, voltage: 231.2, aenergy: { total: 1 } },
    "switch:5": { id: 5, output: false, apower: null, errors: ["power_meter"] },
    "pm1:0": { id: 0, apower: -220.3, voltage: 240.4, current: 0.96, aenergy: { total: 699.4 } },
    "em1:1": { id: 1, act_power: -6769.3, voltage: 221.4, current: 30.7, calibration: "factory" },
    "em:0": { id: 0, a_act_power: 2166.2, b_act_power: 3.6, c_act_power: -244, n_current: null },
    "cover:0": { id: 0, state: "closing", apower: 131.4, pos_control: false, last_direction: null },
    "light:4": { id: 4, output: true, brightness: 60, apower: 41.7 },
    "rgb:0": { id: 0, output: true, rgb: [1, 2, 3], brightness: 60, apower: 4.7 },
    "rgbw:0": { id: 0, output: true, rgb: [1, 2, 3], white: 4, brightness: 60, apower: 4.7 },
    "cct:0": { id: 0, output: true, brightness: 60, ct: 3000, apower: 4.7 },
    "rgbcct:0": { id: 0, output: true, mode: "cct", rgb: [1, 2, 3], brightness: 60, ct: 3000, apower: 4.7 },
};

test("each component with a meter has the same result in every form of a status", () => {
    for (const [name, status] of Object.entries(components)) {
        const expected = { src: "shelly-a0b1c2d3e4f5", timestamp: queueSeconds, params: { [name]: status } };
        const { src } = expected;
        for (const [shape, body] of Object.entries({
            method: { src, method: "NotifyStatus", params: { [name]: status } },
            full: { src, method: "NotifyFullStatus", params: { [name]: status } },
            device: { id: 1, src, dst: "user", result: { [name]: status } },
            component: { id: 1, src, dst: "user", result: status },
            topic: { topic: `${src}/status/${name}`, payload: status },
            prefix: { topic: `house/cellar/${src}/status/${name}`, payload: JSON.stringify(status), qos: 0, retain: 0 },
        })) assert.deepEqual(read(body), { json: expected, isUndated: true }, `${name} ${shape}`);
    }
});

test("a reply to Shelly.GetStatus of a device without a meter is delivered", () => {
    const result = { "switch:0": { id: 0, output: true }, sys: { uptime: 54_321, unixtime: queueSeconds } };
    const expected = { json: { src: "wall", timestamp: queueSeconds, params: result }, isUndated: false };
    assert.deepEqual(read({ id: 1, src: "wall", result }), expected);
    assert.deepEqual(read({ id: 1, src: "wall", result: { id: 0, output: true } }), { isIgnored: true });
});

test("an MQTT message is read by its topic", () => {
    const body = frame({ ts: queueSeconds, "switch:0": { apower: 1 } });
    assert.deepEqual(read({ topic: "shellyplus1pm-a/events/rpc", payload: body }), read(body));
    assert.deepEqual(read({ topic: "collector/rpc", payload: JSON.stringify(body) }), read(body));
    const sys = read({ topic: "my/plug/status/sys", payload: { unixtime: queueSeconds - 7, uptime: 9 } });
    assert.equal(sys.json.timestamp, queueSeconds - 7);
    assert.equal(sys.json.src, "my/plug");
    for (const topic of ["shellyplus1pm-a/online", "shellies/shelly1-a/relay/0", "status/switch:0", ""]) {
        assert.deepEqual(read({ topic, payload: "on" }), { isIgnored: true });
    }
    assert.deepEqual(read({ topic: "a/status/switch:0", payload: "on" }), { reason: "not JSON" });
    assert.deepEqual(read({ topic: "a/rpc", payload: "[]" }), { reason: "not a JSON object" });
    assert.deepEqual(read({ topic: "a/status/__proto__", payload: 1 }).json.params, JSON.parse('{"__proto__":1}'));
});

test("a component's status without its device is refused, and the reason says how to send it", () => {
    for (const status of Object.values(components)) assert.match(read(status).reason, /"topic", "payload"/);
});

test("a status in another frame is read: a reply to Shelly.GetStatus, a user's own method", () => {
    const status = { "switch:0": { id: 0, apower: 8.9 }, sys: { unixtime: 1_772_000_000 } };
    const expected = { json: { src: "shellyplus1pm-a", timestamp: 1_772_000_000, params: status }, isUndated: false };
    assert.deepEqual(read({ id: 1, src: "shellyplus1pm-a", dst: "user", result: status }), expected);
    assert.deepEqual(read(frame(status, { method: "status" })), expected);
    assert.deepEqual(read(frame(status, { method: 7 })), expected);
    const unset = { ...status, sys: { unixtime: null } };
    assert.equal(read({ id: 1, src: "shellyplus1pm-a", result: unset }).json.timestamp, queueSeconds);
});

test("invalid members of a frame are left to the receiver's validation", () => {
    assert.equal(read(frame({ ts: 1_772_000_000 }, { src: undefined })).json.src, undefined);
    assert.equal(read(frame(null)).json.params, null);
    assert.deepEqual(read(frame([1])).json.params, [1]);
});

test("a value that is neither frame nor message is refused with a reason", () => {
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

test("members named like an object's built-in properties stay members", () => {
    const text = '{"src":"a","timestamp":1772000000,"params":{"__proto__":{"x":1},"toJSON":1,"constructor":2}}';
    assert.equal(readMessage(text, sentAt).json, text);
});

test("a dead letter that was moved back is read with the time of its first sending", () => {
    const letter = { dead_letter: "422", sent_at: sentAt.toISOString(), body: frame({ ts: 3 }) };
    assert.deepEqual(read(letter, new Date()), read(frame({ ts: 3 })));
    assert.deepEqual(read({ ...letter, body: JSON.stringify(frame({ ts: 3 })) }, new Date()), read(frame({ ts: 3 })));
});

test("a frame that only resembles a dead letter is read as a frame", () => {
    const odd = frame({ ts: 1_772_000_000 }, { dead_letter: "x" });
    assert.equal(read(odd).json.timestamp, 1_772_000_000);
    const letter = (body) => ({ dead_letter: "x", sent_at: sentAt.toISOString(), body });
    let nested = letter(frame({}));
    for (let depth = 0; depth < 20_000; depth += 1) nested = letter(nested);
    assert.equal(typeof read(nested).reason, "string");
});
