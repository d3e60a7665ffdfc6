// App: the program: settings, wiring, routes, start and stop.
// Begin here, then Receiver.swift.
// Uses any other folder.

import ArgumentParser
import Checkup
import Hummingbird
import Ledger
import Logging
import Logs
import NIOCore
import NIOPosix
import Postgres
import Readings
import ServiceLifecycle
import Settings
import Spool
import SystemPackage

@main
enum Program {
    static func main() async {
        StandardStreams.secure()
        await App.main()
    }
}

/// `shelly-receiver`: accepts batches over HTTP and acknowledges them once they are durable in the spool.
struct App: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shelly-receiver",
        abstract: "Takes batches of Shelly readings and stores them durably in a spool.",
        discussion:
            "Settings come from flags, the environment and --env-file, in this order; see docs/CONFIGURATION.md.",
        version: Version.line
    )

    @Option(help: "Directory of the spool (SPOOL_DIR).")
    var spool: String?
    @Option(help: "Address to listen on (HOST).")
    var host: String?
    @Option(help: "Port to listen on (PORT).")
    var port: String?
    @Option(help: "PostgreSQL for the statistics (DATABASE_URL).")
    var databaseURL: String?
    @Option(help: "File with NAME=value lines.")
    var envFile: String?
    @OptionGroup(title: "Check")
    var checking: CheckOptions

    func run() async throws {
        if checking.check {
            var problems: [String] = []
            let settings = Settings(flags: flags, file: envFile, problems: &problems)
            return try await runCheck(settings, problems: problems)
        }
        do {
            if checking.ready { return try await askWhetherReady(try settings()) }
            try await receive()
        } catch let error as SpoolError {
            try fail(error.description)
        } catch let error as SettingsError {
            try fail(error.description)
        } catch let error as PostgresError {
            try fail(error.description)
        } catch let error as OpenFiles.TooFew {
            try fail(error.description)
        } catch let error as ListeningError {
            try fail(error.description)
        }
    }

    private var flags: [String: String?] {
        ["SPOOL_DIR": spool, "HOST": host, "PORT": port, "DATABASE_URL": databaseURL]
    }

    /// Runs the receiver from configuration to shutdown.
    private func receive() async throws {
        let settings = try settings()
        let logger = settings.logger("shelly-receiver")

        let secrets = try Secrets(settings, logger: logger)
        let manager = ServiceManager(environment: Settings.processEnvironment, logger: logger)
        let reloading = SIGHUPHandler { manager.reload { secrets.reload(self.settings) } }
        let path = FilePath(settings.required(.spoolDirectory))
        let risk = try SpoolFileSystem.admit(path, settings)
        if let risk { logger.warning("spool \(path): \(risk)") }
        let directory = try SpoolDirectory(creating: path)
        let lock = try SpoolLock(.receiver, of: directory.path)
        let recovery = try SpoolRecovery(
            of: directory, logger: logger, readers: min(System.coreCount, 4))
        let receiver = try Receiver(
            settings: settings, directory: directory, risk: risk, recovery: recovery, secrets: secrets, logger: logger)
        logger.info(
            "spool is ready",
            metadata: [
                "spool": "\(directory.path)", "segments": "\(recovery.records.count)",
                "records": "\(recovery.records.values.reduce(0, +))", "devices": "\(recovery.ledger.deviceCount)",
            ])

        // Runs until SIGTERM or SIGINT, and then until every request in flight is answered.
        do {
            let heartbeat = Heartbeat(
                for: manager, readiness: receiver.routes.readiness, eventLoops: NIOSingletons.posixEventLoopGroup)
            let application = receiver.application(settings, onListening: heartbeat.serverListens)
            // Services stop in reverse order, so the heartbeat notifies the service manager first.
            try await ServiceGroup(
                services: [
                    receiver.connectionTasks, application, receiver.backlog, receiver.deviceSnapshots, heartbeat,
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            ).run()
        } catch let error where !(error is OpenFiles.TooFew) {
            throw ListeningError(settings: settings, cause: error)
        }
        await receiver.groupCommit.stop()
        let cut = receiver.connections.cutCount
        if cut > 0 {
            logger.notice("the stop cut connections that did not end in time", metadata: ["connections": "\(cut)"])
        }
        logger.info("stopped; the segment is sealed")
        withExtendedLifetime((lock, reloading)) {}
    }

    private func settings() throws -> Settings {
        try Settings(flags: flags, file: envFile)
    }

    /// The server cannot listen on its address.
    private struct ListeningError: Error, CustomStringConvertible {
        let settings: Settings
        let cause: any Error

        var description: String {
            "cannot listen on HOST \(settings.required(.host)) PORT \(settings.required(.port)): \(cause.cause)"
        }
    }

    func fail(_ reason: String) throws -> Never {
        LogOutput.standardError.reportError(reason, by: "shelly-receiver")
        throw ExitCode.failure
    }
}
