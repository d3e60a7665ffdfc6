// A script for a Shelly (Gen2 and later): posts the status of all its components with a meter to the producer each
// minute. Its console says which components these are, and what the producer refused.
let producer = "https://shelly-producer.example.workers.dev";
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
    let params = { ts: Shelly.getComponentStatus("sys").unixtime };
    collect(params);
    Shelly.call("HTTP.Request", {
        method: "POST",
        url: producer,
        headers: { "Content-Type": "application/json", "Authorization": "Bearer " + token },
        body: JSON.stringify({ src: device, method: "NotifyStatus", params: params }),
        timeout: 20
    }, function (result, code, message) {
        if (code !== 0) print("not posted:", message);
        else if (result.code !== 202) print("refused:", result.code, result.body);
    });
}

let found = {};
let others = collect(found);
print("components with a meter:", JSON.stringify(Object.keys(found)), "without:", JSON.stringify(others));
Timer.set(60000, true, post);
