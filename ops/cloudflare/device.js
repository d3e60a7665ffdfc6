// A script for a Shelly (Gen2 and later): posts the status of all its components with a meter each minute. Its console
// says which components these are, and which post was refused. docs/CONNECT.md is the page for it.

// Where to: the producer, or the receiver itself, "http://192.168.1.10:8080/api/ingest/batch".
let address = "https://shelly-producer.example.workers.dev";
// The producer's DEVICE_TOKEN, or one of the receiver's keys.
let token = "the DEVICE_TOKEN";

let types = ["switch", "pm1", "em1", "em", "cover", "light", "rgb", "rgbw", "cct", "rgbcct"];
let powers = ["apower", "act_power", "a_act_power"];
let device = Shelly.getDeviceInfo().id;

// A component without a meter has no power. One whose meter is broken has null.
function hasMeter(status) {
    for (let i = 0; i < powers.length; i++) {
        if (status[powers[i]] !== undefined) return true;
    }
    return false;
}

// Whether the receiver's answer counts values that became no reading.
function isInPart(answer) {
    if (answer.indexOf('"untaken":') >= 0) return true;
    return answer.indexOf('"errors":') >= 0 && answer.indexOf('"errors":0') < 0;
}

// Puts the status of each component with a meter into params, and returns the names of the others.
function collect(params) {
    let others = [];
    for (let i = 0; i < types.length; i++) {
        for (let id = 0; id < 10; id++) {
            let status = Shelly.getComponentStatus(types[i], id);
            if (!status) continue;
            let name = types[i] + ":" + JSON.stringify(id);
            if (hasMeter(status)) params[name] = status;
            else others[others.length] = name;
        }
    }
    return others;
}

function post() {
    let time = Shelly.getComponentStatus("sys").unixtime;
    let params = { ts: time };
    collect(params);
    let headers = { "Content-Type": "application/json" };
    let body = { src: device, method: "NotifyStatus", params: params };
    let taken = 202;
    if (address.indexOf("/api/ingest/batch") >= 0) {
        if (!time) {
            print("not posted: the device's clock is not set");
            return;
        }
        headers["X-API-Key"] = token;
        body = { messages: [{ src: device, timestamp: time, params: params }] };
        taken = 200;
    } else {
        headers["Authorization"] = "Bearer " + token;
    }
    Shelly.call("HTTP.Request", {
        method: "POST",
        url: address,
        headers: headers,
        body: JSON.stringify(body),
        timeout: 20
    }, function (result, code, message) {
        if (code !== 0) print("not posted:", message);
        else if (result.code !== taken) print("refused:", result.code, result.body);
        else if (isInPart(result.body || "")) print("taken in part:", result.body);
    });
}

let found = {};
let others = collect(found);
print("components with a meter:", JSON.stringify(Object.keys(found)), "without:", JSON.stringify(others));
Timer.set(60000, true, post);
