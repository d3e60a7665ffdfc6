// Settings: the settings of both programs, from environment, file and options.
// Begin here.
// Uses Logs.

internal import Logs

/// One configuration setting. Its name is that of the environment variable and of the entry in the `.env` file.
public struct Setting: Sendable {
    /// The format of a valid value.
    public enum Kind: Sendable {
        case text
        /// Like `text`, but never shown.
        case secret
        /// A whole number, in the unit at the end of the setting's name.
        case integer(ClosedRange<Int>)
        case choice([String])
        /// Some of these, each once, separated by commas, or `all`.
        case list([String])
    }

    public let name: String
    public let kind: Kind
    /// The default value. With nil, the setting is absent unless it is set.
    public let standard: String?
    /// One human-readable line.
    public let purpose: String

    init(_ name: String, _ kind: Kind, standard: String? = nil, _ purpose: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.purpose = purpose
    }
}

// docs/CONFIGURATION.md has a row for each of these; a test compares the two.
extension Setting {
    public static let ingestAPIKey = Setting(
        "INGEST_API_KEY", .secret,
        "Key that a batch must carry in X-API-Key; several keys, separated by commas, are all valid")
    public static let ingestAPIKeyFile = Setting(
        "INGEST_API_KEY_FILE", .text, "File with ingest keys, one per line; read again on SIGHUP")
    public static let readAPIKey = Setting(
        "READ_API_KEY", .secret,
        "Key to read device data and operational endpoints; without one, they are served only on loopback")
    public static let readAPIKeyFile = Setting(
        "READ_API_KEY_FILE", .text, "File with read keys, one per line; read again on SIGHUP")
    public static let statsAccess = Setting(
        "STATS_ACCESS", .choice(["open", "key"]), standard: "open",
        "Who may read /api/stats/queue and /api/stats/spool: every client, or clients with read access")
    public static let tlsCertificateFile = Setting(
        "TLS_CERTIFICATE_FILE", .text,
        "Certificate and intermediate certificates in PEM, to serve HTTPS in place of HTTP; read again on SIGHUP")
    public static let tlsKeyFile = Setting(
        "TLS_KEY_FILE", .text, "Private key of the certificate, in PEM; read again on SIGHUP")
    public static let spoolDirectory = Setting(
        "SPOOL_DIR", .text, standard: "./spool", "Directory of the spool")
    public static let spoolFileSystem = Setting(
        "SPOOL_FILE_SYSTEM", .choice(["durable", "any"]), standard: "durable",
        "Where the spool may lie: durable refuses memory and disks without fsync, and warns of containers' layers and network disks; any accepts losses"
    )
    public static let host = Setting(
        "HOST", .text, standard: "127.0.0.1", "Address that the receiver listens on")
    public static let port = Setting(
        "PORT", .integer(0...65535), standard: "8080", "TCP port that the receiver listens on; 0 chooses a free one")
    public static let databaseURL = Setting(
        "DATABASE_URL", .secret, "PostgreSQL, as URL or key/value list; without it, libpq's own PG… variables apply")
    public static let table = Setting(
        "DATABASE_TABLE", .text, standard: "power_logs", "Table of the readings, with its schema if needed")
    public static let databaseSleepSeconds = Setting(
        "DATABASE_SLEEP_SECONDS", .integer(0...86_400), standard: "0",
        "Minimum time between two uses of the database by the loader, and by a page, so that a serverless database can sleep; 0 to stay connected"
    )
    public static let logLevel = Setting(
        "LOG_LEVEL", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), standard: "info",
        "Lowest level that is logged")
    public static let logFormat = Setting(
        "LOG_FORMAT", .choice(LogFormat.allCases.map(\.rawValue)), standard: "text",
        "Log lines as text, or one JSON object per line")

    public static let segmentBytes = Setting(
        "SPOOL_SEGMENT_BYTES", .integer(4096...(1 << 40)), standard: "67108864",
        "Length at which a segment is sealed")
    public static let segmentSeconds = Setting(
        "SPOOL_SEGMENT_SECONDS", .integer(1...86_400), standard: "3600", "Age at which a segment is sealed")
    public static let reserveBytes = Setting(
        "SPOOL_RESERVE_BYTES", .integer(0...(1 << 50)), standard: "67108864",
        "Free bytes of the disk below which batches are refused with 503")
    public static let spoolBytes = Setting(
        "SPOOL_BYTES", .integer(0...(1 << 50)), standard: "0",
        "Bytes of all segments and dead letters together above which batches are refused with 503; 0 for no limit except the disk's"
    )
    public static let inFlightBytes = Setting(
        "INGEST_IN_FLIGHT_BYTES", .integer((1 << 24)...(1 << 40)), standard: "134217728",
        "Bytes of bodies in flight, above which batches are refused with 503")
    public static let inFlightRequests = Setting(
        "INGEST_IN_FLIGHT_REQUESTS", .integer(1...1_000_000), standard: "4096",
        "Batches in flight, above which further batches are refused with 503")
    public static let connections = Setting(
        "INGEST_CONNECTIONS", .integer(1...1_000_000), standard: "10000",
        "Maximum number of connections; a further one replaces one without a key or an idle one, or is refused with 503"
    )
    public static let connectionsPerAddress = Setting(
        "INGEST_CONNECTIONS_PER_ADDRESS", .integer(1...1_000_000), standard: "1000",
        "Maximum number of connections per IPv4 address or IPv6 network of 64 bits; a further one replaces one of them, or is refused with 503"
    )
    public static let proxies = Setting(
        "INGEST_PROXIES", .text, standard: "127.0.0.0/8, ::1",
        "Addresses and networks of proxies, separated by commas, which INGEST_CONNECTIONS_PER_ADDRESS does not limit")
    public static let headSeconds = Setting(
        "INGEST_HEAD_SECONDS", .integer(1...3600), standard: "10",
        "Time for a request's header to arrive, after which it is answered with 408")
    public static let bodySeconds = Setting(
        "INGEST_BODY_SECONDS", .integer(1...3600), standard: "30",
        "Time for a request's body to arrive, after which it is answered with 408")
    public static let commitSeconds = Setting(
        "INGEST_COMMIT_SECONDS", .integer(1...3600), standard: "20",
        "Time for a batch to become durable; after it the answer is 503, though the batch may still become durable")
    public static let answerSeconds = Setting(
        "INGEST_ANSWER_SECONDS", .integer(1...3600), standard: "30",
        "Time for a client to read 64 KiB of an answer or its rest, after which the connection is cut")
    public static let stopSeconds = Setting(
        "INGEST_STOP_SECONDS", .integer(1...3600), standard: "30",
        "Time for a stop to answer the batches in progress, after which their connections are cut")
    public static let idleSeconds = Setting(
        "INGEST_IDLE_SECONDS", .integer(1...86_400), standard: "120", "Time after which an idle connection is closed")
    public static let ledgerBytes = Setting(
        "INGEST_LEDGER_BYTES", .integer((1 << 20)...(1 << 35)), standard: "2147483648",
        "Memory for the ledger of minute keys; from 7/8 of it on, batches with new devices are refused with 503")

    public static let components = Setting(
        "INGEST_COMPONENTS", .list(["switch", "pm1", "em1", "em", "cover", "light", "rgb", "rgbw", "cct"]),
        standard: "switch",
        "Components whose power becomes readings; if two components of a message have the same channel, the reading is of the one that is earlier in the list"
    )
    public static let power = Setting(
        "INGEST_POWER", .choice(["sample", "energy"]), standard: "sample",
        "Power of a reading: at the time of its message, or the mean of each whole minute by the energy counters")

    public static let silentSeconds = Setting(
        "DEVICE_SILENT_SECONDS", .integer(60...31_536_000), standard: "900",
        "Time without a message after which a device counts as silent, and time without a reading after which it counts as one without readings"
    )

    public static let statementRows = Setting(
        "LOADER_STATEMENT_ROWS", .integer(1...1_000_000), standard: "50000", "Readings inserted with one statement")
    public static let statementSeconds = Setting(
        "LOADER_STATEMENT_SECONDS", .integer(1...3600), standard: "120",
        "Timeout of a statement, after which the database counts as unavailable, and of a pause in a transaction")
    public static let followSeconds = Setting(
        "LOADER_FOLLOW_SECONDS", .integer(1...3600), standard: "1",
        "Pause of drain --follow when there is nothing to load; while the database is unavailable it retries after 1 to 2 s"
    )

    public static let compress = Setting(
        "LOADER_COMPRESS", .choice(["on", "off"]), standard: "on",
        "Whether loaded segments are compressed with zstd; with off, they stay text; segments of both kinds can be read"
    )
    public static let retentionSeconds = Setting(
        "LOADER_RETENTION_SECONDS", .integer(0...(1 << 32)), standard: "1209600",
        "Age at which a loaded segment is removed; keep at least as long as the queue keeps a message")
    public static let retentionBytes = Setting(
        "LOADER_RETENTION_BYTES", .integer(0...(1 << 50)), standard: "0",
        "Bytes of loaded segments together above which the oldest are removed; 0 for no such limit")

    public static let rejectedRetentionSeconds = Setting(
        "LOADER_REJECTED_RETENTION_SECONDS", .integer(0...(1 << 32)), standard: "0",
        "Age at which a day's dead letters are removed, once their segments are removed; 0 to keep them all")

    public static let rowRetentionDays = Setting(
        "LOADER_ROW_RETENTION_DAYS", .integer(0...36_500), standard: "0",
        "Age at which partitions of a partitioned table are dropped with their rows; 0 to keep all rows")

    /// All settings, in the order of the documentation.
    public static let all: [Setting] = [
        ingestAPIKey, ingestAPIKeyFile, readAPIKey, readAPIKeyFile, statsAccess, tlsCertificateFile, tlsKeyFile,
        spoolDirectory, spoolFileSystem, host, port, databaseURL, table, databaseSleepSeconds, logLevel, logFormat,
        segmentBytes, segmentSeconds, reserveBytes, spoolBytes, inFlightBytes, inFlightRequests, connections,
        connectionsPerAddress, proxies, headSeconds, bodySeconds, commitSeconds, answerSeconds, idleSeconds,
        stopSeconds, ledgerBytes, components, power, silentSeconds,
        statementRows, statementSeconds, followSeconds, compress, retentionSeconds, retentionBytes,
        rejectedRetentionSeconds, rowRetentionDays,
    ]
}
