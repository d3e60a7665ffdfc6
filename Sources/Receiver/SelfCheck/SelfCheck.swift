// SelfCheck: `--check` and `--probe`, which find in advance the faults that would stop the receiver.
// Begin here.
// Uses Access, Process, Checkup, Logs, Postgres, Readings, Settings, Spool, Time.

import Checkup
import NIOCore
import NIOPosix
import Postgres
import Settings
import Spool
import SystemPackage

/// `--check`: checks everything that the receiver needs, in the order of a start, and says how to fix any fault.
///
/// It takes no lock and may run beside a working receiver. Its calls block, which does no harm because nothing else
/// runs in this process.
struct SelfCheck {
    let settings: Settings

    func run(_ checkup: inout Checkup) async {
        addKeys(&checkup)
        addCertificate(&checkup)
        addProxies(&checkup)
        let path = FilePath(settings.required(.spoolDirectory))
        let spool = SpoolCheck(path, for: .receiver).run(&checkup)
        if let spool {
            checkup.add(RoomCheck(spool, limits: SpoolWriter.Limits(settings)).results())
            checkup.add(DiskCheck(path, acceptsLosses: settings.acceptsLosses).results())
        }
        checkup.add(ClockCheck(spool).result())
        checkup.add(openFiles())
        if SpoolLock.holder(of: .receiver, in: path) == nil { checkup.add(await address()) }
        checkup.add(database())
    }

    private func addKeys(_ checkup: inout Checkup) {
        do throws(SettingsError) {
            let check = KeyCheck(ingest: try KeySource.ingest.keys(settings), read: try KeySource.read.keys(settings))
            checkup.add(check.results(isReceiver: true))
        } catch {
            checkup.add(.fail("key", "\(error)", do: "correct it: the receiver cannot start with this error"))
        }
        for file in [Setting.ingestAPIKeyFile, .readAPIKeyFile].compactMap(settings.text) {
            checkup.add(KeyCheck.result(ofFile: file, as: "key file"))
        }
    }

    private func addCertificate(_ checkup: inout Checkup) {
        let subject = "certificate"
        do throws(SettingsError) {
            guard let files = try TLSFiles(settings) else { return }
            checkup.add(KeyCheck.result(ofFile: files.key, as: "key file"))
            let validity = try files.load().validity
            if let fault = validity.fault(now: .now) {
                let isValid = validity.begin <= .now && .now <= validity.end
                let remedy = "renew it, and send the receiver a SIGHUP"
                checkup.add(
                    isValid
                        ? .warn(subject, "\(files.certificate) \(fault)", do: remedy)
                        : .fail(subject, "\(files.certificate) \(fault)", do: remedy))
            } else {
                checkup.add(.ok(subject, "\(files.certificate), valid until \(validity.end.text(.seconds))Z"))
            }
        } catch {
            checkup.add(.fail(subject, "\(error)", do: "correct it: the receiver cannot start with this error"))
        }
    }

    private func addProxies(_ checkup: inout Checkup) {
        do throws(SettingsError) {
            _ = try ProxyAddresses(settings)
        } catch {
            checkup.add(.fail("proxies", "\(error)", do: "correct it: a start fails like this"))
        }
    }

    private func openFiles() -> CheckResult {
        let limit = OpenFiles.raiseLimit()
        let wanted = settings.integer(.connections)
        let text = "the process may open \(limit) files"
        let remedy = "raise ulimit -n (LimitNOFILE= in the unit) to \(wanted + OpenFiles.reserved)"
        if limit < 2 * OpenFiles.reserved {
            return .fail("open files", "\(text), too few to start", do: remedy)
        }
        if limit < wanted + OpenFiles.reserved {
            return .warn("open files", "\(text), so \(limit - OpenFiles.reserved) of \(wanted) connections", do: remedy)
        }
        return .ok("open files", text)
    }

    /// Whether the address is free to listen on; checked only while no receiver listens on it.
    private func address() async -> CheckResult {
        let host = settings.required(.host)
        let port = settings.integer(.port)
        do {
            let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try await channel.close()
            return .ok("address", "HOST \(host) PORT \(port) is free to listen on")
        } catch {
            return .fail(
                "address", "cannot listen on HOST \(host) PORT \(port): \(error.cause)",
                do: "stop the process that listens there (ss -ltnp), or set another HOST or PORT")
        }
    }

    /// Checks the database, which is only a source of statistics for the receiver.
    private func database() -> CheckResult {
        do throws(PostgresError) {
            let table = try TableName(settings.required(.table))
            let connection = try Connection(
                settings.text(.databaseURL) ?? "", applicationName: "shelly-receiver --check", timeout: .seconds(5))
            _ = try QueueStatistics.read(from: connection, table: table, timeout: .seconds(5))
            return .ok("database", "statistics of \(table.quoted) can be read")
        } catch {
            let remedy = "run 'shelly-loader doctor' for details; batches are taken meanwhile, without statistics"
            return error.isOurs
                ? .fail("database", "\(error)", do: "correct it") : .warn("database", "\(error)", do: remedy)
        }
    }
}
