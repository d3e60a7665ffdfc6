/// The HTTP interface as an OpenAPI 3.1 document, `GET /openapi.json`.
enum OpenAPI {
    static let document = #"""
        {"openapi":"3.1.0",
        "info":{"title":"Shelly Collector ingest","version":"0.1.0","license":{"name":"Apache-2.0","identifier":"Apache-2.0"}},
        "paths":{
        "/api/ingest/batch":{"post":{"operationId":"ingestBatch","summary":"Make a batch durable",
        "security":[{"key":[]}],
        "parameters":[{"name":"Prefer","in":"header","required":false,"schema":{"type":"string"},
        "description":"handling=lenient takes the valid messages and lists the others"}],
        "requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Batch"}}}},
        "responses":{
        "200":{"description":"Durable","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Acknowledgement"}}}},
        "400":{"$ref":"#/components/responses/Error"},"401":{"$ref":"#/components/responses/Error"},
        "408":{"$ref":"#/components/responses/Error"},"413":{"$ref":"#/components/responses/Error"},
        "415":{"$ref":"#/components/responses/Error"},
        "422":{"description":"Not a valid batch","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Problems"}}}},
        "500":{"$ref":"#/components/responses/Error"},"503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/api/stats/queue":{"get":{"operationId":"queueStatistics","summary":"The last 24 hours of the database",
        "responses":{"200":{"description":"Statistics","content":{"application/json":{"schema":{"$ref":"#/components/schemas/QueueStatistics"}}}},
        "503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/api/stats/spool":{"get":{"operationId":"spoolStatistics","summary":"What waits for the loader",
        "responses":{"200":{"description":"Statistics","content":{"application/json":{"schema":{"$ref":"#/components/schemas/SpoolStatistics"}}}},
        "503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/api/devices":{"get":{"operationId":"devices","summary":"The devices, a page at a time, sorted by the bytes of their names",
        "parameters":[
        {"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":200,"default":50}},
        {"name":"after","in":"query","schema":{"type":"string","description":"A page's next; at most 128 bytes of UTF-8"}},
        {"name":"search","in":"query","schema":{"type":"string","description":"What names contain, upper or lower case; at most 128 bytes of UTF-8"}},
        {"name":"silent","in":"query","schema":{"type":"boolean"}}],
        "responses":{"200":{"description":"A page","content":{"application/json":{"schema":{"$ref":"#/components/schemas/DevicePage"}}}},
        "401":{"$ref":"#/components/responses/Error"},"403":{"$ref":"#/components/responses/Error"},
        "422":{"description":"A parameter is not valid","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Problems"}}}},
        "503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/api/devices/{id}":{"get":{"operationId":"device","summary":"A device's day, minute by minute",
        "parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string","minLength":1}},
        {"name":"day","in":"query","schema":{"type":"string","format":"date","description":"UTC; without it, the last 24 hours"}}],
        "responses":{"200":{"description":"The day","content":{"application/json":{"schema":{"$ref":"#/components/schemas/DeviceDay"}}}},
        "401":{"$ref":"#/components/responses/Error"},"403":{"$ref":"#/components/responses/Error"},
        "404":{"$ref":"#/components/responses/Error"},
        "422":{"description":"A parameter is not valid","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Problems"}}}},
        "503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/healthz":{"get":{"operationId":"health","summary":"The process lives",
        "responses":{"200":{"description":"It does","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Status"}}}}}}},
        "/readyz":{"get":{"operationId":"readiness","summary":"A batch would be taken now",
        "responses":{"200":{"description":"It would","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Status"}}}},
        "503":{"$ref":"#/components/responses/Unavailable"}}}},
        "/openapi.json":{"get":{"operationId":"openapi","summary":"This document",
        "responses":{"200":{"description":"OpenAPI 3.1","content":{"application/json":{"schema":{"type":"object"}}}}}}}},
        "components":{
        "securitySchemes":{"key":{"type":"apiKey","in":"header","name":"X-API-Key"}},
        "responses":{
        "Error":{"description":"Refused","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Detail"}}}},
        "Unavailable":{"description":"Not now","headers":{"Retry-After":{"schema":{"type":"integer","minimum":1}}},
        "content":{"application/json":{"schema":{"$ref":"#/components/schemas/Detail"}}}}},
        "schemas":{
        "Batch":{"type":"object","required":["messages"],"properties":{"messages":{"type":"array","minItems":1,"maxItems":1000,
        "items":{"$ref":"#/components/schemas/Message"}}}},
        "Message":{"type":"object","required":["src","timestamp","params"],"properties":{
        "src":{"type":"string","minLength":1,"description":"Device, at most 128 bytes of UTF-8 after trimming, no control characters"},
        "timestamp":{"type":"number","minimum":1,"description":"Unix seconds, at most a day ahead; the fraction is dropped"},
        "params":{"type":"object","description":"switch:0 to switch:3 are channels","additionalProperties":true}}},
        "Acknowledgement":{"type":"object",
        "required":["inserted","duplicates","errors","total_messages","devices","processing_time","record"],"properties":{
        "inserted":{"type":"integer","minimum":0},"duplicates":{"type":"integer","minimum":0},
        "errors":{"type":"integer","minimum":0},"total_messages":{"type":"integer","minimum":1},
        "devices":{"type":"integer","minimum":0},"processing_time":{"type":"number","description":"Seconds"},
        "record":{"type":"string","pattern":"^[0-9]{8,}:[0-9]+$"},
        "rejected":{"type":"array","items":{"type":"object","required":["index","msg"],"properties":{
        "index":{"type":"integer","minimum":0},"msg":{"type":"string"}}}}}},
        "Problems":{"type":"object","required":["detail"],"properties":{"detail":{"type":"array","maxItems":100,"items":{
        "type":"object","required":["type","loc","msg"],"properties":{"type":{"type":"string"},
        "loc":{"type":"array","items":{"type":["string","integer"]}},"msg":{"type":"string"}}}}}},
        "Detail":{"type":"object","required":["detail"],"properties":{"detail":{"type":"string"}}},
        "Status":{"type":"object","required":["status"],"properties":{"status":{"type":"string"}}},
        "QueueStatistics":{"type":"object","required":["period","total_logs","from_queue","devices","last_insert"],"properties":{
        "period":{"const":"24h"},"total_logs":{"type":"integer"},"from_queue":{"type":"integer"},
        "devices":{"type":"integer"},"last_insert":{"type":["string","null"]}}},
        "DevicePage":{"type":"object",
        "required":["devices","next","total","silent","matching","silent_after_seconds","database"],"properties":{
        "devices":{"type":"array","items":{"$ref":"#/components/schemas/Device"}},
        "next":{"type":["string","null"],"description":"The after of the next page"},
        "total":{"type":"integer","minimum":0},"silent":{"type":"integer","minimum":0},
        "matching":{"type":"integer","minimum":0,"description":"Devices that the query finds on all its pages"},
        "silent_after_seconds":{"type":"integer"},"database":{"enum":["ok","away"]}}},
        "Device":{"type":"object","required":["id","last_seen","silent","channels","activity"],"properties":{
        "id":{"type":"string"},"last_seen":{"type":"string","format":"date-time"},"silent":{"type":"boolean"},
        "channels":{"type":"array","items":{"type":"object",
        "required":["channel","last_seen","power","power_at","hourly_power"],"properties":{
        "channel":{"type":"integer","minimum":0,"maximum":3},"last_seen":{"type":"string","format":"date-time"},
        "power":{"type":["number","null"],"description":"Watts, the newest that the database has"},
        "power_at":{"type":["string","null"],"format":"date-time"},
        "hourly_power":{"type":"array","maxItems":24,"items":{"type":["number","null"]},
        "description":"Watts at the newest reading of each of the last 24 hours; empty on a page of more than 50 devices"}}}},
        "activity":{"type":"array","minItems":24,"maxItems":24,"items":{"type":"integer","minimum":0},
        "description":"Readings in each of the last 24 hours"}}},
        "DeviceDay":{"type":"object","required":["id","last_seen","silent","from","to","channels","database"],"properties":{
        "id":{"type":"string"},"last_seen":{"type":["string","null"],"format":"date-time"},"silent":{"type":"boolean"},
        "from":{"type":"string","format":"date-time"},"to":{"type":"string","format":"date-time"},
        "channels":{"type":"array","items":{"type":"object","required":["channel","points"],"properties":{
        "channel":{"type":"integer","minimum":0,"maximum":3},
        "points":{"type":"array","maxItems":1440,"items":{"type":"object","required":["timestamp","power"],"properties":{
        "timestamp":{"type":"integer","description":"The minute's beginning in Unix seconds; minutes without a reading are left out"},
        "power":{"type":["number","null"],"description":"Watts, null as long as the database does not tell"}}}}}}},
        "database":{"enum":["ok","away"]}}},
        "SpoolStatistics":{"type":"object",
        "required":["spool","backlog","pending_segments","loaded_segments","bytes","dead_letter_bytes",
        "disk_available_bytes","last_load","last_drain","devices","ledger_bytes","failure"],
        "properties":{"spool":{"type":"string"},"backlog":{"type":"object","properties":{"segments":{"type":"integer"},
        "bytes":{"type":"integer"},"records":{"type":"integer"},"oldest_age_seconds":{"type":["number","null"]}}},
        "pending_segments":{"type":"integer"},"loaded_segments":{"type":"integer"},"bytes":{"type":"integer"},
        "dead_letter_bytes":{"type":"integer"},"disk_available_bytes":{"type":"integer"},
        "last_load":{"type":["string","null"]},"last_drain":{"type":["string","null"]},"devices":{"type":"integer"},"ledger_bytes":{"type":"integer"},
        "failure":{"type":["string","null"]}}}}}}
        """#
}
