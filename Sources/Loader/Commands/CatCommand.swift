import ArgumentParser
import Spool

struct CatCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Print records, or their readings, as lines of JSON.",
        discussion: "With --device, --from or --to, a record is printed if one of its readings matches.")

    @OptionGroup var options: CommonOptions
    @OptionGroup var selection: ReadingSelection
    @Argument(help: "Files or segment numbers; without any, the whole spool.")
    var files: [String] = []
    @Flag(help: "Print one line per reading instead of one line per record.")
    var readings = false

    func execute() throws {
        let output = StandardOutput()
        var isDamaged = false
        let dump = RecordDump(selection: selection, readings: readings, put: output.put) {
            isDamaged = true
            reportError($0)
        }
        for file in try SegmentFile.named(files, in: { try options.settings().spool() }) { try dump.run(file) }
        try output.flush()
        if isDamaged { throw ExitCode.failure }
    }
}
