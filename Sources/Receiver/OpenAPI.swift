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
