import Glibc
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Postgres
import Settings
import Spool

/// The receiver's parts, wired together.
struct Receiver {
    let authentication: Authentication
    let groupCommit: GroupCommit
    let routes: Routes
    private let logger: Logger

    init(settings: Settings, directory: SpoolDirectory, recovery: SpoolRecovery, logger: Logger) throws {
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = settings.integer(.segmentBytes)
        limits.segmentAge = settings.duration(.segmentSeconds)
        limits.reserveBytes = settings.integer(.reserveBytes)
        limits.spoolBytes = settings.integer(.spoolBytes) == 0 ? nil : settings.integer(.spoolBytes)
        let holdings = SpoolHoldings(records: recovery.records)
        let groupCommit = GroupCommit(
            ledger: recovery.ledger,
            writer: SpoolWriter(directory: directory, newest: recovery.newest, limits: limits),
            ledgerBytes: settings.integer(.ledgerBytes), holdings: holdings, logger: logger)
        let authentication = Authentication(keys: settings.text(.ingestAPIKey))

        self.authentication = authentication
        self.groupCommit = groupCommit
        self.logger = logger
        routes = Routes(
            ingest: IngestHandler(
                authentication: authentication,
                intake: BodyIntake(inFlight: InFlight(limitBytes: settings.integer(.inFlightBytes))),
                decoders: DecoderPool(), groupCommit: groupCommit, logger: logger, now: Self.unixMilliseconds),
            queueStatistics: QueueStatisticsSource(
                url: settings.text(.databaseURL) ?? "", table: try TableName(settings.required(.table)),
                logger: logger),
            spoolStatistics: SpoolStatisticsSource(
                directory: directory, holdings: holdings, now: Self.unixMilliseconds),
            readiness: Readiness(
                authentication: authentication, directory: directory, reserveBytes: limits.reserveBytes,
                holdings: holdings, groupCommit: groupCommit),
            logger: logger)
    }

    /// The HTTP server around the routes.
    func application(_ settings: Settings) -> some ApplicationProtocol {
        let stallSeconds = settings.integer(.bodySeconds)
        return Application(
            responder: routes,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [ConnectionGuard(stallSeconds: stallSeconds)],
                    idleTimeout: .seconds(Int64(settings.integer(.idleSeconds))))),
            configuration: ApplicationConfiguration(
                address: .hostname(settings.required(.host), port: settings.integer(.port)),
                backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(settings.integer(.connections))),
            logger: logger)
    }

    @Sendable private static func unixMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
