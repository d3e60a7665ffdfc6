import Spool
import SystemPackage

/// The segments of a spool in order. Each names its predecessor, which reveals a segment that is missing, has lost its
/// end, or was put back (invariant 7).
struct SegmentChain {
    struct CheckedSegment {
        let number: Int
        let path: FilePath
        /// Nil if it cannot be read.
        let header: SegmentHeader?
        /// Number of valid records.
        let records: Int
        let hasDamage: Bool
    }

    /// Retention may have removed segments up to this number.
    let pruned: Int
    private var segments: [Int: CheckedSegment] = [:]
    /// Segments that were listed but could not be read, or are gone.
    private var unreadable: Set<Int> = []
    private var last: Int?

    init(pruned: Int) { self.pruned = pruned }

    /// Adds the next segment, and checks the predecessor that its header names.
    mutating func add(_ segment: CheckedSegment, _ report: VerificationReport) {
        defer {
            segments[segment.number] = segment
            last = segment.number
        }
        if segment.number <= pruned, !segment.hasDamage {
            report.problem(
                ofFile: segment.path,
                "the retention had removed it, or was about to remove it; 'shelly-loader prune' removes it again")
        }
        guard let header = segment.header else {
            if let last, segment.number > last + 1, last >= pruned {
                report.note(
                    "no segment between \(SpoolPosition.digits(last)) and \(SpoolPosition.digits(segment.number))")
            }
            return
        }
        guard let predecessor = header.predecessor, predecessor.segment < segment.number else { return }
        let name = SpoolPosition.digits(predecessor.segment)
        guard let before = segments[predecessor.segment] else {
            // An unreadable segment has already been reported.
            guard predecessor.segment > pruned, !unreadable.contains(predecessor.segment) else { return }
            return report.problem(
                ofFile: segment.path,
                "segment \(name), which it follows, is missing, and the retention has not removed it"
            )
        }
        guard before.records < predecessor.records, !before.hasDamage else { return }
        report.problem(
            ofFile: before.path,
            "has \(before.records.counted("record")), but had \(predecessor.records) when segment "
                + "\(SpoolPosition.digits(segment.number)) was created; its end is missing")
    }

    /// Skips a segment that could not be read or has been removed since it was listed.
    mutating func add(unreadable number: Int) {
        unreadable.insert(number)
        last = number
    }
}
