import Commit
import Logs
import Readings
import Text

/// The result of a batch, as its answer and its one log line report it.
struct BatchOutcome: LogFields {
    /// The position of the batch's record.
    let record: String
    private let new: Int
    private let duplicates: Int
    private let errors: Int
    /// The invalid messages of a lenient batch.
    private let rejected: Int
    private let untaken: Int
    private let messages: Int
    private let devices: Int
    private let seconds: Double

    init(_ batch: Batch, _ acknowledgement: Acknowledgement, _ seconds: Double) {
        record = acknowledgement.position.description
        new = acknowledgement.inserted
        duplicates = acknowledgement.duplicates
        errors = batch.faults.count
        rejected = batch.invalid.count
        untaken = batch.untaken.count
        messages = batch.messageCount
        devices = batch.devices.count
        self.seconds = seconds
    }

    func add(to line: inout LogLine) {
        line.add("record", record)
        line.add("new", new)
        line.add("duplicates", duplicates)
        line.add("errors", errors)
        if rejected > 0 { line.add("rejected", rejected) }
        if untaken > 0 { line.add("untaken", untaken) }
        line.add("messages", messages)
        line.add("devices", devices)
        line.add("seconds", seconds)
    }

    func add(to json: inout JSONText) {
        json.add("inserted", new)
        json.add("duplicates", duplicates)
        json.add("errors", errors)
        json.add("total_messages", messages)
        json.add("devices", devices)
        json.add("processing_time", seconds)
        json.add("record", record)
        if untaken > 0 { json.add("untaken", untaken) }
    }
}
