import ArgumentParser
import Settings
import Spool
import SystemPackage

struct ReplayCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Insert again what segments hold.",
        discussion: """
            Readings that the table has are left as they are, so it can be repeated. The spool's progress is not moved, \
            no file is moved, and what cannot be inserted is counted but not set aside again. With --rejected it is the dead \
            letters that are tried again, after their cause was mended.
            Exit code 1 when a file is damaged or holds nothing.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var selection: ReadingSelection
    @OptionGroup(title: "Reading rules") var rules: RuleChange
    @Flag(help: "Try dead letters again: the given files, or all of the spool's rejected/.")
    var rejected = false
    @Argument(help: "Files or segment numbers, files from elsewhere included; without any, the whole spool.")
    var files: [String] = []
    @Flag(help: "Count what would be inserted again, without asking the database.")
    var dryRun = false
    @Flag(help: "Print the counts as JSON, a line a file.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        let work = try work(settings)
        let destination = try dryRun ? nil : destination(settings)
        let replay = Replay(selection: selection, rules: rules, destination: destination, damaged: complain)
        var isFlawed = false
        for (path, run) in work {
            let counts = try run(replay)
            show(counts, of: path)
            if counts.records == 0, !files.isEmpty { complain("\(path): holds no record") }
            if counts.damagedRanges > 0 || (counts.records == 0 && !files.isEmpty) { isFlawed = true }
        }
        if isFlawed { throw ExitCode.failure }
    }

    /// The files to replay, each with its operation.
    private func work(_ settings: Settings) throws -> [(FilePath, (Replay) throws -> Replay.Counts)] {
        guard rejected else {
            return try SegmentFile.named(files, in: settings.spool).map { file in (file.path, { try $0.run(file) }) }
        }
        let paths = try files.isEmpty ? DeadLetters(directory: settings.spool()).files() : files.map { FilePath($0) }
        return paths.map { path in (path, { try $0.run(letters: path) }) }
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
            : "\(counts.inserted) inserted, \(counts.duplicates) duplicates (\(counts.conflicts) with other values), "
                + "\(counts.rejected) rejected"
        let flaws =
            counts.invalidMessages + counts.damagedRanges == 0
            ? "" : "; \(counts.invalidMessages) invalid messages, \(counts.damagedRanges) damaged ranges"
        print("\(file): \(counts.records) records, \(counts.readings) readings selected: \(fate)\(flaws)")
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
