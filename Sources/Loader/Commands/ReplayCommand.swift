import ArgumentParser
import Settings
import Spool
import SystemPackage

struct ReplayCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Insert the spooled readings again.",
        discussion: """
            Rows that are in the table stay unchanged, so a replay can be repeated. The spool's progress does not change, \
            no file is moved, and readings that cannot be inserted are counted but not written to rejected/ again. With \
            --rejected, the dead letters are tried again; fix their cause first.
            Exit code 1 when a file is damaged or contains no record.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var selection: ReadingSelection
    @OptionGroup(title: "Reading rules") var rules: RuleChange
    @Flag(help: "Try dead letters again: the given files, or all of the spool's rejected/.")
    var rejected = false
    @Argument(help: "Files, also of other spools, or segment numbers; without any, the whole spool.")
    var files: [String] = []
    @Flag(
        help:
            "Count the selected readings, and insert nothing. The database is not used, so duplicates are not counted.")
    var dryRun = false
    @Flag(help: "Print the counts as JSON, one line per file.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        let work = try work(settings)
        let destination = try dryRun ? nil : destination(settings)
        let replay = Replay(selection: selection, rules: rules, destination: destination, damaged: reportError)
        var isFlawed = false
        for (path, run) in work {
            let counts = try run(replay)
            show(counts, of: path)
            if counts.records == 0, !files.isEmpty { reportError("\(path): contains no record") }
            if counts.damagedRanges > 0 || (counts.records == 0 && !files.isEmpty) { isFlawed = true }
        }
        if isFlawed { throw ExitCode.failure }
        if work.isEmpty, !json { print(rejected ? "no dead letters in the spool" : "no segments in the spool") }
    }

    /// The files to replay, each with its operation.
    private func work(_ settings: Settings) throws -> [(FilePath, (Replay) throws -> Replay.Counts)] {
        guard rejected else {
            return try SegmentFile.named(files, in: settings.spool).map { file in (file.path, { try $0.run(file) }) }
        }
        let paths = try files.isEmpty ? DeadLetters(directory: settings.spool()).files() : files.map { FilePath($0) }
        return paths.map { path in (path, { try $0.run(deadLetters: path) }) }
    }

    private func destination(_ settings: Settings) throws -> Replay.Destination {
        let database = try settings.database()
        return Replay.Destination(
            connection: try database.connect(), table: ReadingTable(name: database.table),
            statementRows: settings.integer(.statementRows))
    }

    private func show(_ counts: Replay.Counts, of file: FilePath) {
        if json { return printJSON(Line(file: file.string, dryRun: dryRun, counts: counts)) }
        let fate =
            dryRun
            ? "nothing inserted (dry run)"
            : "\(counts.inserted) inserted, \(counts.duplicates.counted("duplicate")) (\(counts.conflicts) with another "
                + "value or second), \(counts.rejected) rejected"
        let flaws =
            counts.invalidMessages + counts.damagedRanges == 0
            ? ""
            : "; \(counts.invalidMessages.counted("invalid message")), \(counts.damagedRanges.counted("damaged range"))"
        let selected = "\(counts.records.counted("record")), \(counts.readings.counted("reading")) selected"
        print("\(file): \(selected): \(fate)\(flaws)")
    }

    private struct Line: Encodable {
        let file: String
        let dryRun: Bool
        let counts: Replay.Counts

        private enum CodingKeys: String, CodingKey {
            case file
            case dryRun = "dry_run"
        }

        func encode(to encoder: any Encoder) throws {
            try counts.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(file, forKey: .file)
            try container.encode(dryRun, forKey: .dryRun)
        }
    }
}
