import ArgumentParser
import Spool
import Text
import Time

struct StatusCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show pending and loaded segments, and the processes that use the spool.")

    @OptionGroup var options: CommonOptions
    @Flag(help: "Print the result as JSON.")
    var json = false

    private static let listed = 10

    func execute() throws {
        let settings = try options.settings()
        let status = try SpoolStatus.read(try settings.spool(), try settings.database())
        json ? printJSON(status) : show(status)
    }

    private func show(_ status: SpoolStatus) {
        let oldest = status.oldestUnloadedSeconds.map { ", the oldest for \(Age(seconds: Int64($0)))" } ?? ""
        let waiting =
            status.backlogRecords == 0
            ? "nothing: all records are loaded"
            : "\(status.backlogRecords.counted("record")), \(status.backlogBytes.inBytes)\(oldest)"
        print(
            """
            spool         \(status.path) (\(status.spool))
            receiver      \(status.receiver.map { "process \($0)" } ?? "not running")
            loader        \(status.loader.map { "process \($0)" } ?? "not running")
            database      \(status.databaseProblem?.trimmingPrefix("database ") ?? "reachable")
            to load       \(waiting)
            pending/      \(status.pending.segments.counted("segment")), \(status.pending.bytes.inBytes)
            loaded/       \(status.loadedText)
            last load     \(status.lastLoad?.description ?? "never")
            last drain    \(status.lastDrain.map { "\($0) (of the whole spool)" } ?? "never")
            dead letters  \(status.deadLetters.lines) in \(status.deadLetters.files.counted("file"))
            """)
        for segment in status.pendingSegments.prefix(Self.listed) {
            let percent = segment.bytes > 0 ? segment.loadedBytes * 100 / segment.bytes : 100
            print("  \(SpoolPosition.digits(segment.segment))    \(segment.bytes.inBytes), \(percent) % loaded")
        }
        let rest = status.pending.segments - Self.listed
        if rest > 0 { print("  and \(rest) more") }
    }
}
