import assert from "node:assert/strict";
import test from "node:test";
import { maximumDelaySeconds, parseRetryAfter, retryDelaySeconds } from "../delay.js";

const middle = () => 0.5;
const day = 86_400;
const failure = { reason: "503" };

test("delays grow from seconds to three hours, each varied by up to a quarter", () => {
    const waits = [1, 2, 3, 12, 13, 100].map((attempts) => retryDelaySeconds(failure, attempts, middle));
    assert.deepEqual(waits, [5, 10, 20, 10_240, 10_800, 10_800]);
    assert.equal(retryDelaySeconds(failure, 20, () => 0), 8_100);
    assert.equal(retryDelaySeconds(failure, 20, () => 0.999999), 13_500);
});

test("a hundred retries last 10 to 12 days, with any Retry-After, and end before the queue deletes a message", () => {
    for (const more of [{}, { retryAfterSeconds: 0 }, { retryAfterSeconds: 30 }, { isMisconfigured: true }]) {
        const kind = { ...failure, ...more };
        let total = 0;
        for (let attempts = 1; attempts <= 100; attempts += 1) total += retryDelaySeconds(kind, attempts, middle);
        assert.ok(total > 10 * day && total < 12 * day, `${JSON.stringify(kind)}: ${total} s`);
    }
});

test("Retry-After is used as it is at first, and is a lower bound later", () => {
    for (const random of [() => 0, middle, () => 1]) {
        for (let attempts = 1; attempts <= 5; attempts += 1) {
            assert.equal(retryDelaySeconds({ ...failure, retryAfterSeconds: 7 }, attempts, random), 7);
        }
        for (let attempts = 1; attempts <= 101; attempts += 1) {
            assert.ok(retryDelaySeconds({ ...failure, retryAfterSeconds: 900 }, attempts, random) >= 900);
        }
    }
});

test("a failure that a person must fix is retried after minutes", () => {
    assert.equal(retryDelaySeconds({ ...failure, isMisconfigured: true }, 1, middle), 300);
    assert.ok(retryDelaySeconds({ ...failure, isMisconfigured: true }, 1, () => 0) >= 225);
});

test("every delay is a whole number that the queue accepts", () => {
    for (const retryAfterSeconds of [undefined, 0, 0.2, 43_200, 1e12]) {
        for (const attempts of [-1, 0, 1, 50, 101, 5000]) {
            const seconds = retryDelaySeconds({ ...failure, retryAfterSeconds }, attempts);
            assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= maximumDelaySeconds, `${seconds}`);
        }
    }
});

test("Retry-After is seconds or a date, and nothing else", () => {
    const now = Date.parse("2026-03-01T12:00:00Z");
    const expected = {
        "30": 30, " 30 ": 30, "0": 0, "99999999999999999999": maximumDelaySeconds,
        "Sun, 01 Mar 2026 12:00:45 GMT": 45, "Sun, 01 Mar 2026 11:00:00 GMT": 0,
        "Sunday, 01-Mar-26 12:00:45 GMT": 45, "Mon, 01 Mar 2027 12:00:00 GMT": maximumDelaySeconds,
        "": undefined, "-1": undefined, "1.5": undefined, "1e3": undefined, "soon": undefined,
        "2026-03-01": undefined, "Foo, bar GMT": undefined,
    };
    for (const [header, seconds] of Object.entries(expected)) {
        assert.equal(parseRetryAfter(header, now), seconds, header);
    }
    assert.equal(parseRetryAfter(null, now), undefined);
});
