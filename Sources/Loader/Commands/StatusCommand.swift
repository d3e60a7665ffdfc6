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
        let oldest = status.oldestUnloadedSeconds.map { "\(Age(seconds: Int64($0))) old" } ?? "none"
        print(
            """
            spool         \(status.path) (\(status.spool))
            receiver      \(status.receiver.map { "process \($0)" } ?? "not running")
            loader        \(status.loader.map { "process \($0)" } ?? "not running")
            database      \(status.databaseProblem ?? "reachable")
            pending       \(status.pending.segments.counted("segment")), \(status.pending.bytes.inBytes), \
            \(status.backlogBytes.inBytes) not loaded
            loaded        \(status.loadedText)
            oldest        \(oldest)
            last load     \(status.lastLoad?.description ?? "never")
            last drain    \(status.lastDrain?.description ?? "never") (read the whole spool)
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
