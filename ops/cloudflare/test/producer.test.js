import assert from "node:assert/strict";
import test from "node:test";
import producer from "../producer.js";
import { run } from "./support/device.js";
import { FakeQueue } from "./support/fake-queue.js";
import "./support/web-crypto.js";

const url = "https://producer.example/";
const params = { ts: 1_772_000_000, "switch:0": { apower: 1 } };
const frame = (more = {}) => ({ src: "shellyplus1pm-a", method: "NotifyStatus", params, ...more });
const event = { src: "shellyplus1pm-a", method: "NotifyEvent", params: { events: [] } };

async function ask(request, queue = new FakeQueue(), token = "t0ken") {
    const response = await producer.fetch(request, { DEVICE_TOKEN: token, READINGS: queue });
    return { status: response.status, headers: response.headers, body: await response.json(), queued: queue.bodies };
}
const post = (body, headers = { Authorization: "Bearer t0ken" }) =>
    new Request(url, { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) });

test("a frame, or each frame of an array, is sent to the queue unchanged", async () => {
    const one = await ask(post(frame()));
    assert.deepEqual([one.status, one.body, one.queued], [202, { queued: 1, ignored: 0 }, [frame()]]);
    const several = await ask(post([frame(), event, frame({ src: "b" })]));
    assert.deepEqual([several.status, several.body], [202, { queued: 2, ignored: 1 }]);
    assert.deepEqual(several.queued, [frame(), frame({ src: "b" })]);
    assert.deepEqual((await ask(post([]))).body, { queued: 0, ignored: 0 });
});

test("a webhook's query becomes a message with the present time", async () => {
    const seconds = () => Math.floor(Date.now() / 1000);
    const before = seconds();
    const result = await ask(new Request(`${url}?token=t0ken&src=plug&channel=3&apower=-8.9&voltage=231&current=`));
    assert.equal(result.status, 202);
    const [message] = result.queued;
    assert.deepEqual(message.params, { "switch:3": { apower: -8.9, voltage: 231 } });
    assert.equal(message.src, "plug");
    assert.ok(message.timestamp >= before && message.timestamp <= seconds(), `${before}, ${message.timestamp}`);
});

test("a webhook without a device, a channel and a number is refused", async () => {
    const values = ["", "apower=", "apower=${ev.apower}", "apower=Infinity", "apower=1&voltage=x", "apower=1&channel=4"]
        .map((value) => `src=plug&${value}`);
    for (const query of [...values, "apower=1", "src=&apower=1"]) {
        const result = await ask(new Request(`${url}?token=t0ken&${query}`));
        assert.equal(result.status, 422, query);
        assert.equal(result.queued.length, 0);
    }
});

test("the token is checked first", async () => {
    assert.equal((await ask(post("not JSON", {}))).status, 401);
    for (const Authorization of ["Bearer wrong", "Bearer t0ken2", "Bearer t0ke", "t0ken", "Basic t0ken", ""]) {
        const result = await ask(post("not JSON", { Authorization }));
        assert.deepEqual([result.status, result.queued.length], [401, 0]);
    }
    assert.equal((await ask(new Request(`${url}?token=t0ken`, { method: "PUT", body: "" }))).status, 405);
    assert.equal((await ask(post(frame()), new FakeQueue(), "")).status, 500);
    assert.equal((await ask(post(frame(), { Authorization: "Bearer " }), new FakeQueue(), " ")).status, 500);
});

test("a request with an invalid frame is refused as a whole, with a reason", async () => {
    const refused = await ask(post([frame(), { hello: 1 }]));
    assert.deepEqual([refused.status, refused.queued.length], [422, 0]);
    assert.match(refused.body.detail, /^frame 1: neither/);
    assert.equal((await ask(post("{"))).status, 422);
    assert.equal((await ask(post(Array.from({ length: 101 }, () => frame())))).status, 413);
    assert.equal((await ask(post(JSON.stringify(frame({ x: "y".repeat(120_000) }))))).status, 413);
});

test("if the queue does not accept the frames, the device gets 503", async () => {
    const queue = new FakeQueue();
    queue.sendBatch = async () => {
        throw new Error("Too Many Requests");
    };
    const result = await ask(post(frame()), queue);
    assert.equal(result.status, 503);
    assert.equal(result.headers.get("Retry-After"), "10");
});

test("the device's script posts each component with a meter, and prints their names", async () => {
    const meters = {
        "switch:0": { id: 0, apower: 8.9 }, "switch:3": { id: 3, apower: null, errors: ["power_meter"] },
        "pm1:0": { id: 0, apower: 1 }, "em1:2": { id: 2, act_power: -1 }, "em:0": { id: 0, a_act_power: 0 },
        "cover:0": { id: 0, apower: 0 }, "light:4": { id: 4, apower: 4 }, "rgb:0": { id: 0, apower: 4 },
        "rgbw:0": { id: 0, apower: 4 }, "cct:1": { id: 1, apower: 4 }, "rgbcct:0": { id: 0, apower: 4 },
    };
    const sys = { unixtime: 1_772_000_000 };
    const { printed, request, callback } = run("shelly-a", { ...meters, sys, "light:0": { id: 0, output: true } });
    assert.deepEqual(printed, [
        `components with a meter: ${JSON.stringify(Object.keys(meters))} without: ["light:0"]`,
    ]);
    const result = await ask(request, new FakeQueue(), "the DEVICE_TOKEN");
    assert.equal(result.status, 202);
    const params = { ts: 1_772_000_000, ...meters };
    assert.deepEqual(result.queued, [{ src: "shelly-a", method: "NotifyStatus", params }]);
    callback({ code: 202 }, 0, "");
    assert.equal(printed.length, 1);
    callback({ code: 401, body: "no" }, 0, "");
    callback(null, -114, "Unavailable");
    callback({ code: 202, body: '{"inserted":1,"duplicates":0,"errors":0}' }, 0, "");
    callback({ code: 202, body: '{"inserted":1,"duplicates":0,"errors":0,"untaken":2}' }, 0, "");
    callback({ code: 202, body: '{"inserted":1,"duplicates":0,"errors":1}' }, 0, "");
    assert.deepEqual(printed.slice(1), [
        "refused: 401 no", "not posted: Unavailable",
        'taken in part: {"inserted":1,"duplicates":0,"errors":0,"untaken":2}',
        'taken in part: {"inserted":1,"duplicates":0,"errors":1}',
    ]);
});

test("on a device without a meter the device's script prints that, and still posts", async () => {
    const { printed, request } = run("wall", { sys: { unixtime: null }, "switch:0": { id: 0, output: true } });
    assert.deepEqual(printed, ['components with a meter: [] without: ["switch:0"]']);
    assert.deepEqual((await ask(request, new FakeQueue(), "the DEVICE_TOKEN")).queued[0].params, { ts: null });
});

test("an array with a payload without its topic is refused as a whole, with the way to send it", async () => {
    const frames = Array.from({ length: 100 }, (_, index) => index === 50 ? { id: 0, apower: 77 } : frame());
    const result = await ask(post(frames));
    assert.deepEqual([result.status, result.queued.length], [422, 0]);
    assert.match(result.body.detail, /^frame 50: .*"topic", "payload"/);
});
