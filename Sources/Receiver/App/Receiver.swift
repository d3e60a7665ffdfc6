import Checkup
import Commit
import Hummingbird
import HummingbirdCore
import Ledger
import Logging
import NIOCore
import Postgres
import Readings
import Settings
import Spool
import Time

/// The receiver's parts, wired together.
struct Receiver {
    let authentication: Authentication
    let groupCommit: GroupCommit
    let routes: Routes
    private let ingest: IngestHandler
    /// Runs beside the HTTP server.
    let backlog: BacklogWatch
    let deviceSnapshots: DeviceSnapshots
    let connections: Connections
    /// Ends after the HTTP server.
    let connectionTasks = ConnectionTasks()
    private let certificate: LiveCertificate?
    private let logger: Logger

    /// - Parameter risk: why acknowledged readings can be lost where the spool lies, nil if they cannot.
    init(
        settings: Settings, directory: SpoolDirectory, risk: String?, recovery: SpoolRecovery, secrets: Secrets,
        logger: Logger
    ) throws {
        try Connection.check(settings.text(.databaseURL) ?? "")
        let now: @Sendable () -> Timestamp = { .now }
        let limits = SpoolWriter.Limits(settings)
        let spoolState = SpoolState(
            records: recovery.records, ledgerBytes: recovery.ledger.approximateBytes,
            devices: recovery.ledger.deviceCount)
        let metrics = Metrics()
        let rules = ReadingRules(settings)
        let groupCommit = GroupCommit(
            ledger: recovery.ledger,
            writer: SpoolWriter(
                directory: directory, newest: recovery.newest, newestRecords: recovery.records[recovery.newest] ?? 0,
                limits: limits, rules: rules.text, observer: metrics.committed),
            ledgerBytes: settings.integer(.ledgerBytes), spoolState: spoolState,
            timeout: settings.duration(.commitSeconds), logger: logger)
        let authentication = Authentication(keys: secrets.ingestKeys)

        connections = Connections(
            limit: try Self.connectionLimit(settings, logger),
            addressLimit: settings.integer(.connectionsPerAddress), proxies: try ProxyAddresses(settings))
        self.authentication = authentication
        self.groupCommit = groupCommit
        self.logger = logger
        certificate = secrets.certificate
        let table = try TableName(settings.required(.table))
        let spoolStatistics = SpoolStatisticsSource(
            directory: directory, spoolState: spoolState, now: now)
        let readiness = Readiness(
            authentication: authentication, room: SpoolRoom(directory: directory, limits: limits),
            spoolState: spoolState, groupCommit: groupCommit, ledgerLimitBytes: settings.integer(.ledgerBytes),
            risk: risk)
        let databaseSleep = settings.duration(.databaseSleepSeconds)
        let queueStatistics = QueueStatisticsSource(
            url: settings.text(.databaseURL) ?? "", table: table, databaseSleep: databaseSleep, logger: logger)
        deviceSnapshots = DeviceSnapshots(
            groupCommit: groupCommit, silentAfterSeconds: settings.integer(.silentSeconds), now: now)
        let devices = DeviceSource(
            groupCommit: groupCommit, snapshots: deviceSnapshots,
            powers: PowerSource(
                url: settings.text(.databaseURL) ?? "", table: table, databaseSleep: databaseSleep, logger: logger),
            silentAfterSeconds: settings.integer(.silentSeconds), now: now)
        backlog = BacklogWatch(spoolStatistics, now: now)
        ingest = IngestHandler(
            authentication: authentication,
            inFlight: ConcurrencyLimiter(
                limitRequests: settings.integer(.inFlightRequests), limitBytes: settings.integer(.inFlightBytes)),
            decoders: DecoderPool(rules: rules), groupCommit: groupCommit, logger: logger,
            rejections: RateLimitedLogger(logger), authFailures: RateLimitedLogger(logger),
            untaken: RateLimitedLogger(logger),
            rules: rules, metrics: metrics,
            now: now)
        routes = Routes(
            queueStatistics: queueStatistics,
            spoolStatistics: spoolStatistics,
            devices: devices,
            readiness: readiness,
            readAccess: ReadAccess(keys: secrets.readKeys, authFailures: RateLimitedLogger(logger)),
            statisticsAreLocked: settings.text(.statsAccess) == "key",
            readFailures: RateLimitedLogger(logger), metrics: metrics,
            metricsPage: MetricsPage(
                metrics: metrics, spoolState: spoolState, groupCommit: groupCommit, limits: limits,
                ledgerLimitBytes: settings.integer(.ledgerBytes), certificate: secrets.certificate,
                devices: devices, spool: spoolStatistics, readiness: readiness),
            pages: PageHandler(
                devices: devices, metrics: metrics, readiness: readiness, queueStatistics: queueStatistics,
                spoolStatistics: spoolStatistics, backlog: backlog, spoolState: spoolState,
                rules: rules, databaseSleepSeconds: databaseSleep.components.seconds, now: now))
    }

    /// The HTTP server around the routes.
    ///
    /// - Parameter onListening: called once the server listens.
    func application(
        _ settings: Settings, onListening: @escaping @Sendable () -> Void
    ) -> some ApplicationProtocol {
        let limits = ConnectionGuard.Limits(
            head: .seconds(Int64(settings.integer(.headSeconds))),
            body: .seconds(Int64(settings.integer(.bodySeconds))),
            answer: .seconds(Int64(settings.integer(.answerSeconds))),
            idle: .seconds(Int64(settings.integer(.idleSeconds))),
            stop: .seconds(Int64(settings.integer(.stopSeconds))))
        return Application(
            responder: routes,
            server: server(limits),
            configuration: ApplicationConfiguration(
                address: .hostname(settings.required(.host), port: settings.integer(.port)),
                backlog: Self.backlog),
            onServerRunning: { listener in
                // Else four connections are accepted in a turn of the event loop, and a client waits behind a crowd.
                try? await listener.setOption(.maxMessagesPerRead, value: Self.acceptedAtOnce).get()
                onListening()
            },
            logger: logger)
    }

    /// Plain HTTP, or HTTP over TLS when there is a certificate.
    private func server(_ limits: ConnectionGuard.Limits) -> HTTPServerBuilder {
        HTTPServerBuilder { [certificate, connections, connectionTasks, logger, ingest] responder in
            let http = ReceiverChannel(
                responder: responder, limits: limits, connections: connections, tasks: connectionTasks, ingest: ingest)
            guard let certificate else { return http }
            return TLSChannel(
                base: http, certificate: certificate, handshake: limits.head, failures: RateLimitedLogger(logger))
        }
    }

    private static let acceptedAtOnce: UInt = 256
    /// Connections that wait to be accepted; Linux takes no more unless `net.core.somaxconn` is raised.
    private static let backlog = 4096

    /// The configured number of connections, or fewer when the process may not open that many files.
    private static func connectionLimit(_ settings: Settings, _ logger: Logger) throws -> Int {
        let wanted = settings.integer(.connections)
        let openFiles = OpenFiles.raiseLimit()
        guard wanted > openFiles - OpenFiles.reserved else { return wanted }
        guard openFiles >= 2 * OpenFiles.reserved else { throw OpenFiles.TooFew(limit: openFiles) }
        let possible = openFiles - OpenFiles.reserved
        logger.notice(
            """
            INGEST_CONNECTIONS is \(wanted), but the process may open only \(openFiles) files (ulimit -n): \
            \(possible) connections are served
            """)
        return possible
    }
}
