// Logs: log lines, as text or JSON, that a slow reader cannot hold up.
// Begin here.
// Uses Text, Time.

internal import Glibc
internal import Synchronization

/// The destination of log lines: standard error, which may be journald's socket, a pipe, a terminal or a file.
///
/// A slow reader blocks the process only briefly. If a pipe, a socket or a terminal is full, a line waits for a tenth
/// of a second, once. Later lines are dropped and counted until a line can be written again, and a warning then gives
/// the number of missing lines. If the reader has closed its end, the process continues.
public final class LogOutput: Sendable {
    /// The process's standard error. Until the settings are read, the environment determines the format.
    public static let standardError = LogOutput(
        descriptor: STDERR_FILENO, format: variable("LOG_FORMAT").flatMap(LogFormat.init(rawValue:)) ?? .text,
        journalStream: variable("JOURNAL_STREAM"))

    private enum Way { case socket, ownNonBlocking, file, shared }

    /// Timeout for writing one line, after which lines are dropped.
    private static let timeout = Duration.milliseconds(100)

    /// Whether journald reads the output. journald adds its own times and expects levels as `<6>`.
    let isJournal: Bool
    private let descriptor: CInt
    private let way: Way
    private let isJSON: Atomic<Bool>
    private let isStuck = Atomic(false)
    private let isMidLine = Atomic(false)
    private let lost = Atomic(0)

    /// - Parameter journalStream: the variable `JOURNAL_STREAM`, which names the socket by device and inode
    ///   (systemd.exec(5)).
    init(descriptor: CInt, format: LogFormat, journalStream: String? = nil) {
        var status = stat()
        let kind = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
        isJournal = kind == S_IFSOCK && journalStream == "\(status.st_dev):\(status.st_ino)"
        isJSON = Atomic(format == .json)
        // All processes with the same open file description share its non-blocking flag, so we open our own. We do not
        // for a regular file, because our own description would have its own position.
        let own =
            kind == S_IFIFO || kind == S_IFCHR
            ? open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1
        self.descriptor = own >= 0 ? own : descriptor
        way =
            switch kind {
            case S_IFSOCK: .socket
            case S_IFREG: .file
            default: own >= 0 ? .ownNonBlocking : .shared
            }
    }

    deinit {
        if way == .ownNonBlocking { close(descriptor) }
    }

    public var format: LogFormat {
        get { isJSON.load(ordering: .relaxed) ? .json : .text }
        set { isJSON.store(newValue == .json, ordering: .relaxed) }
    }

    /// Reports why a program ends at once: in the usual format of Unix programs for people, otherwise as a log line.
    public func reportError(_ reason: String, by program: String) {
        let isForPeople = format == .text && !isJournal
        let line =
            isForPeople
            ? LogLine(complaint: reason, by: program)
            : LogLine(format, .error, reason, label: program, at: .now, isForJournal: isJournal)
        write(line.finished())
    }

    /// The number of lines that were dropped since the last call.
    func takeLost() -> Int { lost.load(ordering: .relaxed) == 0 ? 0 : lost.exchange(0, ordering: .relaxed) }

    /// Adds lines that are still missing to the count.
    func addLost(_ lines: Int) { lost.add(lines, ordering: .relaxed) }

    /// Writes a line, if possible with one write(2). Returns whether it was written. A line that was not is counted.
    @discardableResult
    func write(_ line: [UInt8]) -> Bool {
        var line = line
        if isMidLine.load(ordering: .relaxed), isMidLine.exchange(false, ordering: .relaxed) {
            line.insert(UInt8(ascii: "\n"), at: 0)
        }
        var deadline: ContinuousClock.Instant?
        var rest = line[...]
        while !rest.isEmpty {
            let count = put(rest)
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno != EAGAIN {
                return drop(begun: rest.count < line.count)
            } else {
                guard !isStuck.load(ordering: .relaxed) else { return drop(begun: rest.count < line.count) }
                let end = deadline ?? .now + Self.timeout
                deadline = end
                guard isReady(for: end - .now) else {
                    isStuck.store(true, ordering: .relaxed)
                    return drop(begun: rest.count < line.count)
                }
            }
        }
        if isStuck.load(ordering: .relaxed) { isStuck.store(false, ordering: .relaxed) }
        return true
    }

    private func put(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes { bytes in
            switch way {
            case .socket:
                return send(
                    descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            case .ownNonBlocking, .file: return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            case .shared:
                guard isReady(for: .zero) else {
                    errno = EAGAIN
                    return -1
                }
                return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            }
        }
    }

    private func isReady(for duration: Duration) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let milliseconds = max(0, Int32(duration / .milliseconds(1)))
        // If there is an error, write(2) will report it.
        return poll(&wanted, 1, milliseconds) > 0
    }

    private func drop(begun: Bool) -> Bool {
        if begun { isMidLine.store(true, ordering: .relaxed) }
        lost.add(1, ordering: .relaxed)
        return false
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
