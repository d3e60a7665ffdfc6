import Commit
import Logs
import Readings
import Spool

/// The result of a batch, as its one log line reports it.
struct BatchOutcome: LogFields {
    private let position: SpoolPosition
    private let new: Int
    private let duplicates: Int
    private let errors: Int
    private let untaken: Int
    private let messages: Int
    private let devices: Int
    private let seconds: Double

    init(_ batch: Batch, _ acknowledgement: Acknowledgement, _ seconds: Double) {
        position = acknowledgement.position
        new = acknowledgement.inserted
        duplicates = acknowledgement.duplicates
        errors = batch.faults.count
        untaken = batch.untaken.count
        messages = batch.messageCount
        devices = batch.devices.count
        self.seconds = seconds
    }

    func add(to line: inout LogLine) {
        line.add("record", position.description)
        line.add("new", new)
        line.add("duplicates", duplicates)
        line.add("errors", errors)
        if untaken > 0 { line.add("untaken", untaken) }
        line.add("messages", messages)
        line.add("devices", devices)
        line.add("seconds", seconds)
    }
}
