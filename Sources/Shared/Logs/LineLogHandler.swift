public import Logging

/// Writes log events as lines in the output's format, with metadata in alphabetical order.
public struct LineLogHandler: LogHandler {
    public var logLevel = Logger.Level.info
    public var metadata = Logger.Metadata()
    public var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let output: LogOutput

    public init(label: String, output: LogOutput = .standardError) {
        self.label = label
        self.output = output
    }

    public subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        guard output.write(line(event)) else { return }
        let lost = output.takeLost()
        guard lost > 0 else { return }
        let message = "standard error accepted no data for a time: log lines are missing"
        var notice = begin(.warning, message)
        notice.add("lines", lost)
        // If this line is dropped too, the lines before it still count as missing.
        if !output.write(notice.finished()) { output.addLost(lost - 1) }
    }

    private func line(_ event: LogEvent) -> [UInt8] {
        var line = begin(event.level, event.message.description)
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
        if let own = event.metadata { if fields.isEmpty { fields = own } else { fields.merge(own) { $1 } } }
        if let error = event.error { fields["error"] = "\(error)" }
        if fields.count == 1, let field = fields.first {
            line.add(metadata: field.key, field.value)
        } else {
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) { line.add(metadata: name, value) }
        }
        return line.finished()
    }

    private func begin(_ level: Logger.Level, _ message: String) -> LogLine {
        LogLine(output.format, level, message, label: label, at: .now, isForJournal: output.isJournal)
    }
}
