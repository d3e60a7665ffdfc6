-- The load: a wrk script that posts batches of messages, all of different devices and minutes.
--
--   BATCH=100 RUN=1 KEY=… wrk -t1 -c32 -d3s -s batch.lua URL
--
-- BATCH     messages of a request
-- RUN       number of the run, 0 to 65535: runs have no device in common, so all readings of another one are new
-- DEVICES   size of the fleet; after all of them comes the next minute
-- KEY       X-API-Key
-- OUT       file for the result as JSON
--
-- Whole requests are made once, in C memory, from message.json (see there: R run, D device, S second, M minute, V digit),
-- and patched in place for each next one, so that the generator costs little more than the copy that wrk makes.
local ffi = require("ffi")

local batch = tonumber(os.getenv("BATCH") or "100")
local run = tonumber(os.getenv("RUN") or "1")
local devices = tonumber(os.getenv("DEVICES") or "10000")
local key = os.getenv("KEY") or "key"

local first_minute = 28800000
local stride = 7919
-- So many different requests, for values that differ; fewer of the large ones.
local variants = math.max(2, math.floor(512 / batch))

local requests = {}
local current = 0
local counter = 0

local function template()
    local file = assert(io.open(os.getenv("TEMPLATE") or "ops/bench/message.json"))
    local text = file:read("*l")
    file:close()
    return text
end

-- The offsets of a pattern of capital letters.
local function places(text, pattern, expected)
    local offsets, count, from = ffi.new("int32_t[?]", expected), 0, 1
    while true do
        local first = text:find(pattern, from, true)
        if not first then break end
        offsets[count] = first - 1
        count = count + 1
        from = first + #pattern
    end
    assert(count == expected, pattern)
    return offsets
end

function init(arguments)
    math.randomseed(run)
    local message = template():gsub("RRRRR", string.format("%05x", run))
    local host = string.format("Host: %s:%s\r\n", wrk.host, wrk.port)
    for variant = 1, variants do
        local messages = {}
        for index = 1, batch do
            messages[index] = message:gsub("V", function() return tostring(math.random(0, 9)) end)
        end
        local body = '{"messages":[' .. table.concat(messages, ",") .. "]}"
        local text = "POST " .. wrk.path .. " HTTP/1.1\r\n" .. host .. "Content-Type: application/json\r\nX-API-Key: " ..
            key .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
        local bytes = ffi.new("uint8_t[?]", #text)
        ffi.copy(bytes, text, #text)
        requests[variant] = {
            bytes = bytes,
            length = #text,
            devices = places(text, "DDDDDDD", batch),
            seconds = places(text, "SSSSSSSSSS", 2 * batch),
            minutes = places(text, "MMMMMMMMMM", 4 * batch),
        }
    end
end

local function write(bytes, value, width, radix)
    for index = width - 1, 0, -1 do
        local rest = math.floor(value / radix)
        local digit = value - rest * radix
        bytes[index] = digit < 10 and 48 + digit or 87 + digit
        value = rest
    end
end

local second_digits, minute_digits = ffi.new("uint8_t[10]"), ffi.new("uint8_t[10]")
local shown = -1

function request()
    current = current % variants + 1
    local next = requests[current]
    local bytes = next.bytes
    for index = 0, batch - 1 do
        local minute = first_minute + math.floor(counter / devices)
        if minute ~= shown then
            write(second_digits, minute * 60 + 17, 10, 10)
            write(minute_digits, minute * 60, 10, 10)
            shown = minute
        end
        write(bytes + next.devices[index], counter % devices * stride % devices, 7, 16)
        for place = 2 * index, 2 * index + 1 do ffi.copy(bytes + next.seconds[place], second_digits, 10) end
        for place = 4 * index, 4 * index + 3 do ffi.copy(bytes + next.minutes[place], minute_digits, 10) end
        counter = counter + 1
    end
    return ffi.string(bytes, next.length)
end

function done(summary, latency)
    local seconds = summary.duration / 1e6
    local errors = summary.errors
    local file = assert(io.open(os.getenv("OUT"), "w"))
    file:write(string.format(
        '{"requests":%d,"seconds":%.4f,"messages_per_second":%.1f,"p50_ms":%.3f,"p90_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,' ..
            '"errors":%d}\n',
        summary.requests, seconds, summary.requests * batch / seconds, latency:percentile(50) / 1e3,
        latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
    file:close()
end
