import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import vm from "node:vm";

/**
 * Runs the device's script with these components, and with another address and token if they are given. `work` is the
 * function that its timer calls each minute.
 */
export function start(device, components, { address, token } = {}) {
    const calls = [];
    const timers = [];
    const printed = [];
    let script = readFileSync(new URL("../../device.js", import.meta.url), "utf8");
    if (address !== undefined) {
        script = script.replace(/^let address = .*$/m, `let address = ${JSON.stringify(address)};`)
            .replace(/^let token = .*$/m, `let token = ${JSON.stringify(token)};`);
    }
    vm.runInNewContext(script, {
        JSON,
        print: (...words) => printed.push(words.join(" ")),
        Timer: { set: (...timer) => timers.push(timer) },
        Shelly: {
            getDeviceInfo: () => ({ id: device }),
            getComponentStatus: (type, id) => components[id === undefined ? type : `${type}:${id}`] ?? null,
            call: (method, parameters, callback) => calls.push({ method, parameters, callback }),
        },
    });
    const [[milliseconds, isRepeated, work]] = timers;
    assert.deepEqual([timers.length, milliseconds, isRepeated], [1, 60_000, true]);
    return { calls, printed, work };
}

/** Runs the script and its timer once. Returns its output and the request that it makes. */
export function run(device, components, options) {
    const { calls, printed, work } = start(device, components, options);
    work();
    assert.equal(calls[0].method, "HTTP.Request");
    return { printed, callback: calls[0].callback, request: new Request(calls[0].parameters.url, calls[0].parameters) };
}
