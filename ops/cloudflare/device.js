// A script for a Shelly (Gen2 and later): posts the status of all its switches to the producer each minute.
let producer = "https://shelly-producer.example.workers.dev";
let token = "the DEVICE_TOKEN";
let channels = 4;

let device = Shelly.getDeviceInfo().id;

function post() {
    let params = { ts: Shelly.getComponentStatus("sys").unixtime };
    for (let channel = 0; channel < channels; channel++) {
        let status = Shelly.getComponentStatus("switch", channel);
        if (status) params["switch:" + JSON.stringify(channel)] = status;
    }
    Shelly.call("HTTP.Request", {
        method: "POST",
        url: producer,
        headers: { "Content-Type": "application/json", "Authorization": "Bearer " + token },
        body: JSON.stringify({ src: device, method: "NotifyStatus", params: params }),
        timeout: 20
    }, function (result, code, message) {
        if (code !== 0) print("not posted:", message);
        else if (result.code !== 202) print("not posted:", result.code, result.body);
    });
}

Timer.set(60000, true, post);
post();
