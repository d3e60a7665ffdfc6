import Spool
import SystemPackage

/// The findings of a verification so far. Each is printed at once, and only the first ones are kept.
final class VerificationReport {
    struct Summary: Encodable, Equatable {
        var segments = 0
        var records = 0
        var problems = 0
        var damagedBytes = 0
        /// Only with `--database`.
        var database: DatabaseCounts?
        /// The first thousand.
        var findings: [Finding] = []
        var notes: [String] = []

        private enum CodingKeys: String, CodingKey {
            case segments, records, problems, database, findings, notes
            case damagedBytes = "damaged_bytes"
        }
    }

    struct DatabaseCounts: Encodable, Equatable {
        /// Readings that should be loaded.
        var readings = 0
        /// Readings that are not in the table but in `rejected/`.
        var rejected = 0
        /// Readings that are neither in the table nor in `rejected/`.
        var missing = 0
        /// Readings that are not in the table because their partition was dropped, past the retention of rows.
        var expired = 0
        /// Readings after the progress, which the next drain loads.
        var notLoadedYet = 0

        private enum CodingKeys: String, CodingKey {
            case readings, rejected, missing, expired
            case notLoadedYet = "not_loaded_yet"
        }
    }

    struct Finding: Encodable, Equatable {
        var file: String?
        var from: Int?
        var to: Int?
        /// `00000017:42`, for a reading that is missing in the database.
        var record: String?
        let reason: String

        var text: String {
            let place = [
                file, from.flatMap { from in to.map { "bytes \(from) to \($0)" } }, record.map { "record \($0)" },
            ]
            return place.compactMap { $0 }.joined(separator: " ") + ": " + reason
        }
    }

    private static let kept = 1000
    private static let missingListed = 20

    var summary = Summary()
    /// Called with each finding and note as a line.
    private let printLine: (String) -> Void

    init(printLine: @escaping (String) -> Void) { self.printLine = printLine }

    func damage(_ file: FilePath, _ damage: SegmentReader.Damage) {
        summary.damagedBytes += damage.range.count
        problem(file, damage.range, damage.reason)
    }

    func problem(_ file: FilePath, _ range: Range<Int>, _ reason: String) {
        add(Finding(file: file.string, from: range.lowerBound, to: range.upperBound, reason: reason))
    }

    func problem(ofFile file: FilePath, _ reason: String) {
        add(Finding(file: file.string, reason: reason))
    }

    /// Reports a reading that should be in the database and is missing. The first ones are listed.
    func missing(_ record: String, _ reason: String) {
        summary.database?.missing += 1
        guard summary.database?.missing ?? 0 <= Self.missingListed else {
            summary.problems += 1
            return
        }
        add(Finding(record: record, reason: reason))
    }

    /// Reports useful information that is not a fault.
    func note(_ text: String) {
        if summary.notes.count < Self.kept { summary.notes.append(text) }
        printLine("note: \(text)")
    }

    private func add(_ finding: Finding) {
        summary.problems += 1
        if summary.findings.count < Self.kept { summary.findings.append(finding) }
        printLine(finding.text)
    }
}
