import FoundationEssentials
import Settings

/// The HTTP interface as an OpenAPI 3.1 document, `GET /openapi.json`; `GET /docs` is made from it.
enum OpenAPI {
    /// The time of the examples, Unix seconds: a recent one, so that an example that is sent is seen on the page.
    private static let exampleTimestamp = Int(Date.now.timeIntervalSince1970)

    static let document = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Shelly Collector ingest",
            "version": "\#(Version.text)",
            "summary": "Takes batches of readings from Shelly devices and makes them durable before it answers.",
            "description": "Errors are JSON, `{\"detail\": …}`, and repeat nothing of the request. Unknown paths are 404, known ones with another method 405 with `Allow`. Each GET answers HEAD as well. Unknown query parameters are ignored, and an empty one counts as absent.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
          },
          "tags": [
            {"name": "ingest", "description": "Readings in."},
            {
              "name": "devices",
              "description": "What is known of the devices. With the read key; without one configured, on loopback alone."
            },
            {"name": "operation", "description": "How it goes."},
            {"name": "documents", "description": "This page, for people and for machines."}
          ],
          "paths": {
            "/api/ingest/batch": {
              "post": {
                "operationId": "ingestBatch",
                "tags": ["ingest"],
                "summary": "Make a batch of readings durable",
                "description": "A 200 means that the batch is on the disk. The key is judged before the body is read. Batches may come again: each reading, that is device, channel and minute, is kept once, and the first one wins. An invalid message refuses its batch, and nothing of it is kept, unless the client prefers lenient handling. After a 503 send the same batch again.",
                "security": [{"ingestKey": []}],
                "parameters": [
                  {
                    "name": "Prefer",
                    "in": "header",
                    "required": false,
                    "description": "`handling=lenient` (RFC 7240) takes the valid messages, sets the others aside and lists them as `rejected`.",
                    "schema": {"type": "string", "examples": ["handling=lenient"]}
                  }
                ],
                "requestBody": {
                  "required": true,
                  "description": "Up to 16 MiB, nested at most 64 levels.",
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/Batch"},
                      "example": {
                        "messages": [
                          {
                            "src": "shellypro4pm-f008d1d8b8b8",
                            "timestamp": \#(exampleTimestamp),
                            "params": {"switch:0": {"apower": 8.9, "voltage": 231.2, "current": 0.04}}
                          }
                        ]
                      }
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The batch is durable.",
                    "headers": {
                      "Preference-Applied": {
                        "description": "When lenient handling was preferred.",
                        "required": false,
                        "schema": {"const": "handling=lenient"}
                      }
                    },
                    "content": {
                      "application/json": {
                        "schema": {"$ref": "#/components/schemas/Acknowledgement"},
                        "example": {
                          "inserted": 1,
                          "duplicates": 0,
                          "errors": 0,
                          "total_messages": 1,
                          "devices": 1,
                          "processing_time": 0.0009,
                          "record": "00000017:42"
                        }
                      }
                    }
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "413": {"$ref": "#/components/responses/TooLarge"},
                  "415": {"$ref": "#/components/responses/Encoding"},
                  "422": {"$ref": "#/components/responses/InvalidBatch"},
                  "500": {"$ref": "#/components/responses/Misconfigured"},
                  "503": {"$ref": "#/components/responses/IngestUnavailable"}
                },
                "x-codeSamples": [
                  {
                    "lang": "Shell",
                    "source": "curl http://localhost:8080/api/ingest/batch -H \"X-API-Key: $INGEST_API_KEY\" -d '{\"messages\": [\n  {\"src\": \"shellypro4pm-f008d1d8b8b8\", \"timestamp\": '$(date +%s)',\n   \"params\": {\"switch:0\": {\"apower\": 8.9, \"voltage\": 231.2, \"current\": 0.04}}}]}'"
                  }
                ]
              }
            },
            "/api/devices": {
              "get": {
                "operationId": "listDevices",
                "tags": ["devices"],
                "summary": "The devices, a page at a time",
                "description": "Sorted by the bytes of their names. Read from the spool, with powers from the database.",
                "security": [{"readKey": []}, {"readBearer": []}, {"readBasic": []}, {}],
                "parameters": [
                  {
                    "name": "limit",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Devices on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
                  },
                  {
                    "name": "after",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only names behind this one: the `next` of the page before. At most 128 bytes of UTF-8.",
                    "schema": {"type": "string", "maxLength": 128, "format": "device-name"}
                  },
                  {
                    "name": "search",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only names with this in them, in upper or lower case. At most 128 bytes of UTF-8.",
                    "schema": {"type": "string", "maxLength": 128, "format": "device-name"}
                  },
                  {
                    "name": "silent",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only devices that are silent, or only those that are not.",
                    "schema": {"type": "boolean"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of devices.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      }
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DevicePage"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "422": {"$ref": "#/components/responses/BadParameter"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [
                  {
                    "lang": "Shell",
                    "source": "curl 'http://localhost:8080/api/devices?silent=true&limit=10' -H \"X-API-Key: $READ_KEY\""
                  }
                ]
              }
            },
            "/api/devices/{id}": {
              "get": {
                "operationId": "readDevice",
                "tags": ["devices"],
                "summary": "A device's day, minute by minute",
                "security": [{"readKey": []}, {"readBearer": []}, {"readBasic": []}, {}],
                "parameters": [
                  {
                    "name": "id",
                    "in": "path",
                    "required": true,
                    "description": "The device's name, percent-encoded.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "format": "device-name"},
                    "example": "shellypro4pm-f008d1d8b8b8"
                  },
                  {
                    "name": "day",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "The day, in UTC, from 1970-01-01 on; without it the last 24 hours.",
                    "schema": {
                      "type": "string",
                      "format": "date",
                      "pattern": "^(19[7-9]|[2-9][0-9]{2})[0-9]-",
                      "examples": ["2026-11-24"]
                    }
                  }
                ],
                "responses": {
                  "200": {
                    "description": "The day.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      }
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DeviceDay"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "404": {"$ref": "#/components/responses/NotFound"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "422": {"$ref": "#/components/responses/BadParameter"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [
                  {
                    "lang": "Shell",
                    "source": "curl 'http://localhost:8080/api/devices/shellypro4pm-f008d1d8b8b8?day=2026-11-24' -H \"Authorization: Bearer $READ_KEY\""
                  }
                ]
              }
            },
            "/api/stats/queue": {
              "get": {
                "operationId": "queueStatistics",
                "tags": ["operation"],
                "summary": "The last 24 hours of the database",
                "description": "At most a second old, and answered within two seconds. Open, unless STATS_ACCESS=key.",
                "security": [{}, {"readKey": []}, {"readBearer": []}, {"readBasic": []}],
                "responses": {
                  "200": {
                    "description": "Statistics.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/QueueStatistics"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/api/stats/queue"}]
              }
            },
            "/api/stats/spool": {
              "get": {
                "operationId": "spoolStatistics",
                "tags": ["operation"],
                "summary": "What waits for the loader",
                "description": "Answers also while the database is away. Open, unless STATS_ACCESS=key.",
                "security": [{}, {"readKey": []}, {"readBearer": []}, {"readBasic": []}],
                "responses": {
                  "200": {
                    "description": "Statistics.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SpoolStatistics"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/api/stats/spool"}]
              }
            },
            "/healthz": {
              "get": {
                "operationId": "health",
                "tags": ["operation"],
                "summary": "The process lives",
                "security": [],
                "responses": {
                  "200": {
                    "description": "It does.",
                    "content": {
                      "application/json": {
                        "schema": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
                      }
                    }
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/healthz"}]
              }
            },
            "/readyz": {
              "get": {
                "operationId": "readiness",
                "tags": ["operation"],
                "summary": "A batch would be taken now, and for a while",
                "security": [],
                "responses": {
                  "200": {
                    "description": "It would.",
                    "content": {
                      "application/json": {
                        "schema": {
                          "type": "object",
                          "required": ["status"],
                          "properties": {"status": {"const": "ready"}}
                        }
                      }
                    }
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/NotReady"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl -i http://localhost:8080/readyz"}]
              }
            },
            "/metrics": {
              "get": {
                "operationId": "metrics",
                "tags": ["operation"],
                "summary": "Figures for Prometheus",
                "description": "docs/MONITORING.md explains each family.",
                "security": [{"readKey": []}, {"readBearer": []}, {"readBasic": []}, {}],
                "responses": {
                  "200": {
                    "description": "Prometheus' text format.",
                    "content": {"text/plain; version=0.0.4; charset=utf-8": {"schema": {"type": "string"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [
                  {
                    "lang": "Shell",
                    "source": "curl http://localhost:8080/metrics -H \"Authorization: Bearer $READ_KEY\""
                  }
                ]
              }
            },
            "/": {
              "get": {
                "operationId": "statusPage",
                "tags": ["operation"],
                "summary": "The status page",
                "security": [{"readKey": []}, {"readBearer": []}, {"readBasic": []}, {}],
                "parameters": [
                  {
                    "name": "after",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only names behind this one: the `next` of the page before. At most 128 bytes of UTF-8.",
                    "schema": {"type": "string", "maxLength": 128, "format": "device-name"}
                  },
                  {
                    "name": "search",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only names with this in them, in upper or lower case. At most 128 bytes of UTF-8.",
                    "schema": {"type": "string", "maxLength": 128, "format": "device-name"}
                  },
                  {
                    "name": "silent",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "Only devices that are silent, or only those that are not.",
                    "schema": {"type": "boolean"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "The page.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      },
                      "Content-Security-Policy": {
                        "description": "Nothing is loaded from anywhere else.",
                        "required": true,
                        "schema": {"type": "string"}
                      },
                      "Referrer-Policy": {"required": true, "schema": {"const": "no-referrer"}},
                      "X-Content-Type-Options": {"required": true, "schema": {"const": "nosniff"}}
                    },
                    "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "422": {"$ref": "#/components/responses/BadParameter"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/ -u \":$READ_KEY\""}]
              }
            },
            "/devices/{id}": {
              "get": {
                "operationId": "devicePage",
                "tags": ["devices"],
                "summary": "The page of a device's day",
                "security": [{"readKey": []}, {"readBearer": []}, {"readBasic": []}, {}],
                "parameters": [
                  {
                    "name": "id",
                    "in": "path",
                    "required": true,
                    "description": "The device's name, percent-encoded.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "format": "device-name"},
                    "example": "shellypro4pm-f008d1d8b8b8"
                  },
                  {
                    "name": "day",
                    "in": "query",
                    "required": false,
                    "allowEmptyValue": true,
                    "description": "The day, in UTC, from 1970-01-01 on; without it the last 24 hours.",
                    "schema": {
                      "type": "string",
                      "format": "date",
                      "pattern": "^(19[7-9]|[2-9][0-9]{2})[0-9]-",
                      "examples": ["2026-11-24"]
                    }
                  }
                ],
                "responses": {
                  "200": {
                    "description": "The page.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      },
                      "Content-Security-Policy": {
                        "description": "Nothing is loaded from anywhere else.",
                        "required": true,
                        "schema": {"type": "string"}
                      },
                      "Referrer-Policy": {"required": true, "schema": {"const": "no-referrer"}},
                      "X-Content-Type-Options": {"required": true, "schema": {"const": "nosniff"}}
                    },
                    "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "401": {"$ref": "#/components/responses/ReadUnauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "404": {
                    "description": "The page says that the device is not known.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      },
                      "Content-Security-Policy": {
                        "description": "Nothing is loaded from anywhere else.",
                        "required": true,
                        "schema": {"type": "string"}
                      },
                      "Referrer-Policy": {"required": true, "schema": {"const": "no-referrer"}},
                      "X-Content-Type-Options": {"required": true, "schema": {"const": "nosniff"}}
                    },
                    "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
                  },
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "422": {"$ref": "#/components/responses/BadParameter"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [
                  {
                    "lang": "Shell",
                    "source": "curl http://localhost:8080/devices/shellypro4pm-f008d1d8b8b8 -u \":$READ_KEY\""
                  }
                ]
              }
            },
            "/openapi.json": {
              "get": {
                "operationId": "openapi",
                "tags": ["documents"],
                "summary": "This document",
                "security": [],
                "responses": {
                  "200": {
                    "description": "OpenAPI 3.1.",
                    "content": {
                      "application/json": {
                        "schema": {
                          "type": "object",
                          "required": ["openapi", "info", "paths"],
                          "properties": {
                            "openapi": {"const": "3.1.0"},
                            "info": {"type": "object"},
                            "paths": {"type": "object"}
                          }
                        }
                      }
                    }
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/openapi.json"}]
              }
            },
            "/docs": {
              "get": {
                "operationId": "documents",
                "tags": ["documents"],
                "summary": "This document as a page",
                "security": [],
                "responses": {
                  "200": {
                    "description": "The page; it needs no script and nothing from elsewhere.",
                    "headers": {
                      "Cache-Control": {
                        "description": "No cache may store the answer.",
                        "required": true,
                        "schema": {"const": "no-store"}
                      },
                      "Content-Security-Policy": {
                        "description": "Nothing is loaded from anywhere else.",
                        "required": true,
                        "schema": {"type": "string"}
                      },
                      "Referrer-Policy": {"required": true, "schema": {"const": "no-referrer"}},
                      "X-Content-Type-Options": {"required": true, "schema": {"const": "nosniff"}}
                    },
                    "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
                  },
                  "400": {"$ref": "#/components/responses/Malformed"},
                  "408": {"$ref": "#/components/responses/Stalled"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                },
                "x-codeSamples": [{"lang": "Shell", "source": "curl http://localhost:8080/docs"}]
              }
            }
          },
          "components": {
            "securitySchemes": {
              "ingestKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "In `X-API-Key`, one of the ingest keys."
              },
              "readKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "In `X-API-Key`, one of the read keys; an ingest key does not do."
              },
              "readBearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "In `Authorization: Bearer`, one of the read keys."
              },
              "readBasic": {
                "type": "http",
                "scheme": "basic",
                "description": "In `Authorization: Basic`, one of the read keys as the password of any user; a browser asks for it."
              }
            },
            "headers": {
              "RetryAfter": {
                "description": "Seconds after which trying again makes sense.",
                "required": false,
                "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"}
              },
              "WWWAuthenticate": {
                "description": "What a browser asks for.",
                "required": true,
                "schema": {"const": "Basic realm=\"shelly-collector\", charset=\"UTF-8\""}
              }
            },
            "responses": {
              "Malformed": {
                "description": "Not HTTP, or the body ended before its Content-Length.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "Unauthorized": {
                "description": "X-API-Key is missing or wrong.",
                "content": {
                  "application/json": {
                    "schema": {"$ref": "#/components/schemas/Detail"},
                    "example": {"detail": "Unauthorized"}
                  }
                }
              },
              "ReadUnauthorized": {
                "description": "A read key is configured, and the request has none or a wrong one.",
                "headers": {"WWW-Authenticate": {"$ref": "#/components/headers/WWWAuthenticate"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "Forbidden": {
                "description": "No read key is configured, and the request did not come over loopback, or through a proxy, or for another name than localhost.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "NotFound": {
                "description": "No message of that device has come.",
                "content": {
                  "application/json": {
                    "schema": {"$ref": "#/components/schemas/Detail"},
                    "example": {"detail": "Not Found"}
                  }
                }
              },
              "Stalled": {
                "description": "The header or the body took too long to arrive.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "TooLarge": {
                "description": "The body has more than 16 MiB.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "Encoding": {
                "description": "A Content-Encoding, or a Transfer-Encoding other than chunked.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "InvalidBatch": {
                "description": "Not JSON, or not a valid batch; nothing of it was kept.",
                "content": {
                  "application/json": {
                    "schema": {"$ref": "#/components/schemas/Problems"},
                    "example": {
                      "detail": [
                        {
                          "type": "value_error",
                          "loc": ["body", "messages", 3, "timestamp"],
                          "msg": "Invalid timestamp"
                        }
                      ]
                    }
                  }
                }
              },
              "BadParameter": {
                "description": "A parameter is not valid.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problems"}}}
              },
              "Misconfigured": {
                "description": "No ingest key is configured.",
                "content": {
                  "application/json": {
                    "schema": {"$ref": "#/components/schemas/Detail"},
                    "example": {"detail": "Server configuration error"}
                  }
                }
              },
              "IngestUnavailable": {
                "description": "The batch is not taken now: spool full or not writable, too much in flight, too many connections, or stopping. An unavailable database is no reason. Send the same batch again.",
                "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "Unavailable": {
                "description": "No answer now: database or spool not available, too many requests or connections, or stopping.",
                "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              },
              "NotReady": {
                "description": "It would not; `detail` says why.",
                "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
              }
            },
            "schemas": {
              "Batch": {
                "type": "object",
                "required": ["messages"],
                "properties": {
                  "messages": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1000,
                    "items": {"$ref": "#/components/schemas/Message"}
                  }
                },
                "description": "Other members are allowed and kept."
              },
              "Message": {
                "type": "object",
                "required": ["src", "timestamp", "params"],
                "description": "What a device sent, with the time it was sent at. Other members are allowed and kept.",
                "properties": {
                  "src": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 128,
                    "format": "device-name",
                    "description": "The device's name: 1 to 128 bytes of UTF-8 without the white space around it, no control characters, no separators of lines."
                  },
                  "timestamp": {
                    "type": "number",
                    "minimum": 1,
                    "description": "Unix seconds, at most a day ahead of the receiver's clock; a fraction is dropped."
                  },
                  "params": {
                    "type": "object",
                    "description": "`switch:0` to `switch:3` are the channels, with a reading each when `apower` is there and not null. Everything else is kept as it is.",
                    "properties": {
                      "switch:0": {"anyOf": [{"$ref": "#/components/schemas/Channel"}, {}]},
                      "switch:1": {"anyOf": [{"$ref": "#/components/schemas/Channel"}, {}]},
                      "switch:2": {"anyOf": [{"$ref": "#/components/schemas/Channel"}, {}]},
                      "switch:3": {"anyOf": [{"$ref": "#/components/schemas/Channel"}, {}]}
                    }
                  }
                }
              },
              "Channel": {
                "type": "object",
                "required": ["apower"],
                "description": "A channel's reading. One with a value that is not a number is counted in `errors` and set aside; its neighbours are taken.",
                "properties": {
                  "apower": {"type": "number", "description": "Watts; negative when power is fed in."},
                  "voltage": {"type": ["number", "null"], "description": "Volts."},
                  "current": {"type": ["number", "null"], "description": "Amperes."}
                }
              },
              "Acknowledgement": {
                "type": "object",
                "required": [
                  "inserted",
                  "duplicates",
                  "errors",
                  "total_messages",
                  "devices",
                  "processing_time",
                  "record"
                ],
                "properties": {
                  "inserted": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Readings that are new to this spool; durable now, and the loader will insert them."
                  },
                  "duplicates": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Readings whose device, channel and minute were durable before, or came earlier in the batch."
                  },
                  "errors": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Readings with a value that is not a number; set aside by the loader."
                  },
                  "total_messages": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1000,
                    "description": "Messages of the batch."
                  },
                  "devices": {"type": "integer", "minimum": 0, "description": "Different devices among them."},
                  "processing_time": {"type": "number", "minimum": 0, "description": "Seconds."},
                  "record": {
                    "type": "string",
                    "pattern": "^[0-9]{8,}:[0-9]+$",
                    "description": "Where it is spooled: segment and record."
                  },
                  "rejected": {
                    "type": "array",
                    "maxItems": 1000,
                    "description": "With lenient handling: the messages that were not taken.",
                    "items": {
                      "type": "object",
                      "required": ["index", "msg"],
                      "properties": {
                        "index": {"type": "integer", "minimum": 0, "description": "Place in `messages`, from 0."},
                        "msg": {"type": "string"}
                      }
                    }
                  }
                }
              },
              "Problems": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                  "detail": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "description": "Everything that is wrong, the first hundred.",
                    "items": {"$ref": "#/components/schemas/Problem"}
                  }
                }
              },
              "Problem": {
                "type": "object",
                "required": ["type", "loc", "msg"],
                "properties": {
                  "type": {"type": "string", "description": "A short name of the kind."},
                  "loc": {
                    "type": "array",
                    "items": {"type": ["string", "integer"]},
                    "description": "The way to it, `[\"body\",\"messages\",3,\"timestamp\"]`."
                  },
                  "msg": {"type": "string", "description": "A sentence for people."}
                }
              },
              "Detail": {
                "type": "object",
                "required": ["detail"],
                "properties": {"detail": {"type": "string", "description": "A sentence for people."}}
              },
              "QueueStatistics": {
                "type": "object",
                "required": ["period", "total_logs", "from_queue", "devices", "last_insert"],
                "properties": {
                  "period": {"const": "24h"},
                  "total_logs": {"type": "integer", "minimum": 0, "description": "Rows."},
                  "from_queue": {"type": "integer", "minimum": 0, "description": "Rows with an idempotency key."},
                  "devices": {"type": "integer", "minimum": 0, "description": "Different devices among them."},
                  "last_insert": {
                    "type": ["string", "null"],
                    "format": "date-time",
                    "description": "The newest timestamp; null when there is none."
                  }
                }
              },
              "SpoolStatistics": {
                "type": "object",
                "required": [
                  "spool",
                  "backlog",
                  "pending_segments",
                  "loaded_segments",
                  "bytes",
                  "dead_letter_bytes",
                  "disk_available_bytes",
                  "last_load",
                  "last_drain",
                  "devices",
                  "ledger_bytes",
                  "failure"
                ],
                "properties": {
                  "spool": {"type": "string", "format": "uuid", "description": "The spool's identity."},
                  "backlog": {
                    "type": "object",
                    "required": ["segments", "bytes", "records", "oldest_age_seconds"],
                    "description": "What is not loaded.",
                    "properties": {
                      "segments": {"type": "integer", "minimum": 0},
                      "bytes": {"type": "integer", "minimum": 0},
                      "records": {"type": "integer", "minimum": 0},
                      "oldest_age_seconds": {
                        "type": ["number", "null"],
                        "minimum": 0,
                        "description": "Age of the oldest record; null when all are loaded."
                      }
                    }
                  },
                  "pending_segments": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Segments that are written to or not wholly loaded."
                  },
                  "loaded_segments": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Segments that are wholly loaded and kept for replay."
                  },
                  "bytes": {"type": "integer", "minimum": 0, "description": "Bytes of all segments."},
                  "dead_letter_bytes": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Bytes of the dead letters."
                  },
                  "disk_available_bytes": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Bytes that are free on the spool's disk."
                  },
                  "last_load": {
                    "type": ["string", "null"],
                    "format": "date-time",
                    "description": "When the loader last made progress."
                  },
                  "last_drain": {
                    "type": ["string", "null"],
                    "format": "date-time",
                    "description": "When the loader last went through the spool without a problem."
                  },
                  "devices": {"type": "integer", "minimum": 0, "description": "Devices that the ledger knows."},
                  "ledger_bytes": {"type": "integer", "minimum": 0, "description": "Memory of the ledger."},
                  "failure": {
                    "type": ["string", "null"],
                    "description": "Why the last attempt to write failed; null when it succeeded."
                  }
                }
              },
              "DatabaseState": {
                "enum": ["ok", "away"],
                "description": "`away`: members whose values come from the database are null."
              },
              "DevicePage": {
                "type": "object",
                "required": ["devices", "next", "total", "silent", "matching", "silent_after_seconds", "database"],
                "properties": {
                  "devices": {"type": "array", "maxItems": 200, "items": {"$ref": "#/components/schemas/Device"}},
                  "next": {
                    "type": ["string", "null"],
                    "description": "The `after` of the next page; null when this is the last."
                  },
                  "total": {"type": "integer", "minimum": 0, "description": "All devices that the spool knows."},
                  "silent": {"type": "integer", "minimum": 0, "description": "Those of them that are silent."},
                  "matching": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Those that the query finds, on all its pages."
                  },
                  "silent_after_seconds": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Time without a reading after which a device is silent."
                  },
                  "database": {"$ref": "#/components/schemas/DatabaseState"}
                }
              },
              "Device": {
                "type": "object",
                "required": ["id", "last_seen", "silent", "channels", "activity"],
                "properties": {
                  "id": {"type": "string"},
                  "last_seen": {
                    "type": "string",
                    "format": "date-time",
                    "description": "Its newest minute, by its own clock."
                  },
                  "silent": {"type": "boolean"},
                  "channels": {
                    "type": "array",
                    "maxItems": 4,
                    "items": {
                      "type": "object",
                      "required": ["channel", "last_seen", "power", "power_at", "hourly_power"],
                      "properties": {
                        "channel": {"type": "integer", "minimum": 0, "maximum": 3},
                        "last_seen": {"type": "string", "format": "date-time", "description": "Its newest minute."},
                        "power": {
                          "type": ["number", "null"],
                          "description": "Watts, the newest that the database has."
                        },
                        "power_at": {
                          "type": ["string", "null"],
                          "format": "date-time",
                          "description": "When that was."
                        },
                        "hourly_power": {
                          "type": "array",
                          "maxItems": 24,
                          "items": {"type": ["number", "null"]},
                          "description": "Watts at the newest reading of each of the last 24 hours; empty on a page of more than 50 devices."
                        }
                      }
                    }
                  },
                  "activity": {
                    "type": "array",
                    "minItems": 24,
                    "maxItems": 24,
                    "items": {"type": "integer", "minimum": 0},
                    "description": "Readings in each of the last 24 hours, the oldest first."
                  }
                }
              },
              "DeviceDay": {
                "type": "object",
                "required": ["id", "last_seen", "silent", "from", "to", "channels", "database"],
                "properties": {
                  "id": {"type": "string"},
                  "last_seen": {
                    "type": ["string", "null"],
                    "format": "date-time",
                    "description": "Its newest minute; null when only the database remembers it."
                  },
                  "silent": {"type": "boolean"},
                  "from": {"type": "string", "format": "date-time", "description": "Beginning of the day."},
                  "to": {"type": "string", "format": "date-time", "description": "Its end."},
                  "channels": {
                    "type": "array",
                    "maxItems": 4,
                    "items": {
                      "type": "object",
                      "required": ["channel", "points"],
                      "properties": {
                        "channel": {"type": "integer", "minimum": 0, "maximum": 3},
                        "points": {
                          "type": "array",
                          "maxItems": 1440,
                          "description": "The minutes with a reading; others are gaps.",
                          "items": {
                            "type": "object",
                            "required": ["timestamp", "power"],
                            "properties": {
                              "timestamp": {
                                "type": "integer",
                                "minimum": 0,
                                "description": "The minute's beginning in Unix seconds."
                              },
                              "power": {
                                "type": ["number", "null"],
                                "description": "Watts; null as long as the database does not tell."
                              }
                            }
                          }
                        }
                      }
                    }
                  },
                  "database": {"$ref": "#/components/schemas/DatabaseState"}
                }
              }
            }
          }
        }
        """#
}
