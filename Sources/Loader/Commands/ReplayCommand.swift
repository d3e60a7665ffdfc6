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
            no file is moved, and what cannot be inserted is counted but not set aside again.
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var selection: ReadingSelection
    @Argument(help: "Files or segment numbers, files from elsewhere included; without any, the whole spool.")
    var files: [String] = []
    @Flag(help: "Count what would be inserted again, without asking the database.")
    var dryRun = false
    @Flag(help: "Print the counts as JSON, a line a file.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        let files = try SegmentFile.named(files, in: settings.spool)
        let destination = try dryRun ? nil : destination(settings)
        let replay = Replay(selection: selection, destination: destination, damaged: complain)
        for file in files { show(try replay.run(file), of: file.path) }
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
            : "\(counts.inserted) inserted, \(counts.duplicates) duplicates, \(counts.rejected) rejected"
        print("\(file): \(counts.records) records, \(counts.readings) readings selected: \(fate)")
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
