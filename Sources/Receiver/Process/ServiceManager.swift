// Process: the process among others: systemd, signals, the limit of open files.
// Begin here.
// Uses HTTP, Statistics.

import Glibc
import Logging
import Synchronization
import SystemPackage

/// The service manager that started the process, normally systemd, and its notifications (sd_notify(3)).
///
/// Without a service manager nothing is sent.
final class ServiceManager: Sendable {
    /// The manager's watchdog timeout, after which it restarts the process; nil when there is no watchdog.
    let watchdog: Duration?
    private let socket: NotifySocket?
    private let isReady = Atomic(false)
    private let failures: RateLimitedLogger

    private static let ready = "STATUS=Taking batches"
    /// Attempts before a notification is given up because the manager does not read it: five seconds.
    private static let attempts = 50
    private static let pauseMilliseconds = 100

    init(environment: [String: String], logger: Logger) {
        socket = environment["NOTIFY_SOCKET"].flatMap(NotifySocket.init)
        watchdog = Self.watchdog(environment, process: getpid())
        failures = RateLimitedLogger(logger)
    }

    /// The manager's watchdog timeout, if it applies to this process (sd_watchdog_enabled(3)).
    static func watchdog(_ environment: [String: String], process: pid_t) -> Duration? {
        guard let microseconds = environment["WATCHDOG_USEC"].flatMap(Int64.init), microseconds > 0 else { return nil }
        guard (environment["WATCHDOG_PID"] ?? "\(process)") == "\(process)" else { return nil }
        return .microseconds(microseconds)
    }

    /// Whether there is a manager that accepts notifications.
    var isListening: Bool { socket != nil }

    /// Reports that batches are accepted, for the first time or again.
    func becomeReady() async {
        // Set first, since a reload may follow at once.
        isReady.store(true, ordering: .relaxed)
        await notify("READY=1\n" + Self.ready)
    }

    /// Reports the status for people, in one line.
    func notify(status: String?) async { await notify(status.map { "STATUS=" + $0 } ?? Self.ready) }

    func signOfLife() async { await notify("WATCHDOG=1") }

    func stop() async {
        isReady.store(false, ordering: .relaxed)
        await notify("STOPPING=1\nSTATUS=Stopping: answering requests in flight")
    }

    /// Runs a reload and notifies the manager of its start and its end. Call it where it may block.
    func reload(_ work: () -> Void) {
        // A process that is not ready yet must not appear ready.
        guard isReady.load(ordering: .relaxed) else { return work() }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        notifyBlocking("RELOADING=1\nMONOTONIC_USEC=\(Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000)")
        work()
        notifyBlocking("READY=1")
    }

    private func notify(_ assignments: String) async {
        var attempts = 0
        while !attempt(assignments), attempts < Self.attempts {
            try? await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
            attempts += 1
        }
    }

    private func notifyBlocking(_ assignments: String) {
        var attempts = 0
        while !attempt(assignments), attempts < Self.attempts {
            usleep(useconds_t(1000 * Self.pauseMilliseconds))
            attempts += 1
        }
    }

    /// Whether the notification was sent or cannot be sent; false while the manager has too many unread messages.
    private func attempt(_ assignments: String) -> Bool {
        do throws(Errno) {
            try socket?.send(assignments)
        } catch {
            if error == .resourceTemporarilyUnavailable { return false }
            failures.warn("cannot notify the service manager: \(error)")
        }
        return true
    }
}
