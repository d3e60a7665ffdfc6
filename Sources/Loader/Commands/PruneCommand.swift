import ArgumentParser
import Spool
import SystemPackage

struct PruneCommand: LoaderCommand {
    static let whenAway = "nothing was removed"
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove loaded segments that are past the retention.",
        discussion: """
            'drain' does the same at its end. A segment is removed only if the database has all of it; a damaged segment and \
            the newest one are kept. LOADER_RETENTION_SECONDS and LOADER_RETENTION_BYTES set the retention. Dead letters \
            are removed after LOADER_REJECTED_RETENTION_SECONDS, if it is set, and never before their segments.
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "List the segments without removing them.")
    var dryRun = false
    @Flag(help: "Print the result as JSON.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        let directory = try settings.spool()
        let lock = try SpoolLock(.loader, of: directory.path)
        defer { withExtendedLifetime(lock) {} }
        let database = try settings.database()
        let connection = try database.connect()
        let progressTable = ProgressTable(spool: directory.identity, beside: database.table)
        let pruning = Pruning(
            directory: directory, retention: settings.retention, deadLetterRetention: settings.deadLetterRetention,
            progressTable: progressTable, connection: connection)
        let pruned = try pruning.run(try progressTable.read(on: connection), dryRun: dryRun)
        let result = Result(pruned, deadLetters: try pruning.pruneDeadLetters(dryRun: dryRun))
        if json { return printJSON(result) }
        for path in pruned.damaged { print("kept, because it is damaged: \(path)") }
        let verb = dryRun ? "would be removed" : "removed"
        let names = result.segments.isEmpty ? "" : ": " + result.segments.joined(separator: " ")
        print("\(pruned.segments.count.counted("segment")), \(pruned.bytes.counted("byte")) \(verb)\(names)")
        if !result.deadLetters.isEmpty { print("dead letters \(verb): " + result.deadLetters.joined(separator: " ")) }
    }

    private struct Result: Encodable {
        let segments: [String]
        let bytes: Int
        let damaged: [String]
        let deadLetters: [String]

        private enum CodingKeys: String, CodingKey {
            case segments, bytes, damaged
            case deadLetters = "dead_letters"
        }

        init(_ pruned: SpoolDirectory.Pruned, deadLetters: [FilePath]) {
            self.deadLetters = deadLetters.map(\.string)
            segments = pruned.segments.map(SpoolPosition.digits)
            bytes = pruned.bytes
            damaged = pruned.damaged.map(\.string)
        }
    }
}
