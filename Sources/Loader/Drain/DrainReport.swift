import Logging

/// The results of one `drain` run so far. It logs each problem once.
final class DrainReport {
    struct Summary: Encodable, Equatable {
        /// Segments that were finished in this run.
        var segments = 0
        var records = 0
        /// Always inserted + duplicates + rejected.
        var readings = 0
        var inserted = 0
        var duplicates = 0
        /// Duplicates with another value or second than the first reading with the same key.
        var conflicts = 0
        var rejected = 0
        /// Messages, and records without a valid batch, that are in `rejected/` with their reason. They have no
        /// readings to count.
        var invalidMessages = 0
        /// Byte ranges that are not records.
        var damagedRanges = 0
        /// Segments and files with an error.
        var problems = 0
        var seconds = 0.0

        /// Whether there was nothing to load and nothing to report.
        var isEmpty: Bool { segments + records + damagedRanges + problems == 0 }

        /// The same as human-readable text.
        var text: String {
            let time = (seconds * 100).rounded() / 100
            return "\(segments.counted("segment")), \(records.counted("record")), \(readings.counted("reading")): "
                + "\(inserted) inserted, \(duplicates.counted("duplicate")) (\(conflicts) with another value or second), "
                + "\(rejected) rejected; \(invalidMessages.counted("invalid message")), "
                + "\(damagedRanges.counted("damaged range")), \(problems.counted("problem")), \(time) s"
        }

        private enum CodingKeys: String, CodingKey {
            case segments, records, readings, inserted, duplicates, conflicts, rejected, problems, seconds
            case invalidMessages = "invalid_messages"
            case damagedRanges = "damaged_ranges"
        }
    }

    /// The results so far.
    var summary: Summary {
        var summary = counted
        summary.seconds = (ContinuousClock.now - start) / .seconds(1)
        return summary
    }

    private var counted = Summary()
    private let logger: Logger
    private let start = ContinuousClock.now
    private var reported: Set<String> = []
    /// Maximum number of remembered messages. After more than these, a message may be repeated.
    private static let remembered = 10_000

    init(logger: Logger) { self.logger = logger }

    /// Reports an error that makes the run end with exit code 1, though not at once.
    func problem(_ message: String) {
        guard isNew(message) else { return }
        counted.problems += 1
        logger.error("\(message)")
    }

    /// Reports useful information that is not a fault.
    func note(_ message: String) {
        if isNew(message) { logger.notice("\(message)") }
    }

    /// Reports bytes that are not records. The segment is kept and its other records are loaded (invariant 7).
    func damage(_ message: String) {
        guard isNew(message) else { return }
        counted.damagedRanges += 1
        logger.error("\(message)")
    }

    /// Adds the counts of a committed transaction.
    func advanced(_ from: Progress, to: Progress, invalidMessages: Int) {
        counted.invalidMessages += invalidMessages
        counted.records += to.records - from.records
        counted.readings += to.readings - from.readings
        counted.inserted += to.inserted - from.inserted
        counted.duplicates += to.duplicates - from.duplicates
        counted.conflicts += to.conflicts - from.conflicts
        counted.rejected += to.rejected - from.rejected
        if to.finished, !from.finished { counted.segments += 1 }
    }

    private func isNew(_ message: String) -> Bool {
        if reported.count >= Self.remembered { reported.removeAll() }
        return reported.insert(message).inserted
    }
}
