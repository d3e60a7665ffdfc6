import Logging
import Postgres
import Spool
import SystemPackage

/// Loads a spool into the database, once or for as long as it is let.
struct Drain {
    let path: FilePath
    let database: Database
    /// Readings that go in with one statement, more only when a single record has them.
    var statementRows = 50_000
    /// How long loaded segments are kept.
    var retention = Retention(age: .seconds(14 * 86_400))
    /// Pause between two looks at the spool.
    var followPause = Duration.seconds(1)
    /// How long a loader that was just killed may still hold its lock in the database.
    var lockPatience = Duration.seconds(5)
    let logger: Logger
    let interruption: Interruption

    private static let longestPause = Duration.seconds(30)

    /// Loads what is there.
    func run(_ report: DrainReport) throws {
        let directory = try SpoolDirectory(existing: path)
        let lock = try SpoolLock(.loader, of: path)
        defer { withExtendedLifetime(lock) {} }
        try directory.synchronize()
        try DrainSession(self, directory: directory, report: report, lockPatience: lockPatience).pass()
    }

    /// Loads what is there and what comes, until it is interrupted; waits for the spool and for the database.
    ///
    /// Whatever the database refuses can be mended there, so it is said and tried again: a table that is missing as well
    /// as a server that is away. Only what waiting cannot mend ends it.
    func follow(_ report: DrainReport) throws {
        guard let directory = try awaitSpool() else { return }
        let lock = try SpoolLock(.loader, of: path)
        defer { withExtendedLifetime(lock) {} }
        try directory.synchronize()
        logger.info("following", metadata: ["spool": "\(path)", "table": "\(database.table.quoted)"])
        var pause = followPause
        var wasConnected = false
        while !interruption.isRequested {
            do {
                let session = try DrainSession(self, directory: directory, report: report, lockPatience: lockPatience)
                wasConnected = true
                while !interruption.isRequested {
                    try session.pass()
                    pause = followPause
                    interruption.pause(followPause)
                }
            } catch let error as PostgresError where !error.isOurs {
                logger.warning("\(error.withRemedy); trying again in \(pause.components.seconds) s")
            } catch let error as LoaderError where wasConnected && error.isBusy {
                // Our own session of before, which the server has not given up yet.
                logger.warning("\(error); trying again in \(pause.components.seconds) s")
            }
            interruption.pause(pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// The spool, as soon as the receiver has made it; nil when interrupted before.
    private func awaitSpool() throws -> SpoolDirectory? {
        var isFirst = true
        while (try? SystemDisk().open(path.appending("spool.json"))) == nil {
            if isFirst { logger.info("there is no spool at \(path) yet; waiting for the receiver to make it") }
            isFirst = false
            interruption.pause(followPause)
            if interruption.isRequested { return nil }
        }
        return try SpoolDirectory(existing: path)
    }
}

extension LoaderError {
    fileprivate var isBusy: Bool {
        if case .spoolBusy = self { true } else { false }
    }
}
