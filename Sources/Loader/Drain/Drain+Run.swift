import Postgres
import Spool
import SystemPackage

/// Loads the spool once, or continuously until interrupted.
extension Drain {
    /// The pause after a fault of the table, whose rows were tried one by one. A timer's pause is as long.
    private static let tablePause = Duration.seconds(15)

    /// Loads the records that the spool has now.
    func run(_ report: DrainReport) throws {
        let directory = try SpoolDirectory(existing: path)
        let lock = try SpoolLock(.loader, of: path)
        defer { withExtendedLifetime(lock) {} }
        if try isAtRest(directory) {
            return logger.info("the database is left alone (DATABASE_SLEEP_SECONDS); 'drain --now' loads at once")
        }
        try directory.synchronize()
        let segments = try load(directory, report)
        if isCompressing { compression(of: directory).run(segments) }
    }

    private func load(_ directory: SpoolDirectory, _ report: DrainReport) throws -> [SpoolDirectory.Segment] {
        let session = try DrainSession(self, directory: directory, report: report, lockTimeout: lockTimeout)
        defer { session.end() }
        return try session.pass()
    }

    private func compression(of directory: SpoolDirectory) -> Compression {
        Compression(directory: directory, logger: logger, shutdown: shutdown)
    }

    /// Loads present and future records until it is interrupted. It waits for the spool and for the database.
    ///
    /// An error from the database can be fixed there, for example a missing table or an unreachable server. It is
    /// logged and retried. Only an error that waiting cannot fix ends the loop.
    func follow(_ report: DrainReport) throws {
        guard let directory = try awaitSpool() else { return }
        let lock = try SpoolLock(.loader, of: path)
        defer { withExtendedLifetime(lock) {} }
        try directory.synchronize()
        let awaitCompression = isCompressing ? compression(of: directory).follow() : {}
        defer {
            shutdown.request()
            awaitCompression()
        }
        logger.info("following", metadata: ["spool": "\(path)", "table": "\(database.table.quoted)"])
        var pause = RetryPause(followPause: followPause)
        var wasConnected = false
        // A loader that was killed in another container, which had another host name, keeps its lease for this long.
        let leaseTimeout = max(lockTimeout, .seconds(SpoolLease.seconds + 5))
        var warned: (text: String, at: ContinuousClock.Instant)?
        // At each attempt it would be 43,000 lines a day. After a pass that succeeds it is another fault.
        func warn(_ text: String) {
            if let warned, warned.text == text, ContinuousClock.now - warned.at < .seconds(60) { return }
            warned = (text, .now)
            logger.warning("\(text); trying again until it succeeds")
        }
        while !shutdown.isRequested {
            do {
                // At its start the loader looks at the database in any case.
                if try !wasConnected || !isAtRest(directory) {
                    let session = try DrainSession(
                        self, directory: directory, report: report, lockTimeout: leaseTimeout)
                    wasConnected = true
                    defer { session.end() }
                    repeat {
                        try session.pass()
                        pause.reset()
                        warned = nil
                        guard databaseSleep == .zero else { break }
                        shutdown.pause(followPause)
                    } while !shutdown.isRequested
                }
                shutdown.pause(followPause)
                continue
            } catch let error as PostgresError where !error.isOurs {
                warn(error.withRemedy)
            } catch let error as LoaderError where error.isOfTheTable || wasConnected && error.isBusy {
                // The table may be corrected meanwhile, or the server has not ended our own previous session yet.
                warn("\(error)")
                if error.isOfTheTable { shutdown.pause(Self.tablePause) }
            }
            shutdown.pause(pause.duration)
            pause.lengthen()
        }
    }

    /// Waits until the receiver has created the spool. Returns nil if it is interrupted before.
    private func awaitSpool() throws -> SpoolDirectory? {
        var isFirst = true
        while (try? SystemDisk().open(path.appending("spool.json"))) == nil {
            if isFirst { logger.info("there is no spool at \(path) yet; waiting for the receiver to make it") }
            isFirst = false
            shutdown.pause(followPause)
            if shutdown.isRequested { return nil }
        }
        return try SpoolDirectory(existing: path)
    }
}

extension LoaderError {
    fileprivate var isBusy: Bool {
        switch self {
        case .spoolBusy, .progressMoved: true
        default: false
        }
    }
}
