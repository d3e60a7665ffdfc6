import Spool
import SystemPackage

/// The segments of a spool in order. Each names its predecessor, which reveals a segment that is missing, has lost its
/// end, or was put back (invariant 7).
struct SegmentChain {
    struct Link {
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
    private var links: [Int: Link] = [:]
    /// Segments that were listed but could not be read, or are gone.
    private var unreadable: Set<Int> = []
    private var last: Int?

    init(pruned: Int) { self.pruned = pruned }

    /// Adds the next segment, and checks the predecessor that its header names.
    mutating func add(_ link: Link, _ report: VerificationReport) {
        defer {
            links[link.number] = link
            last = link.number
        }
        if link.number <= pruned, !link.hasDamage {
            report.problem(
                ofFile: link.path,
                "the retention had removed it, or was about to remove it; 'shelly-loader prune' removes it again")
        }
        guard let header = link.header else {
            if let last, link.number > last + 1, last >= pruned {
                report.note("no segment between \(SpoolPosition.digits(last)) and \(SpoolPosition.digits(link.number))")
            }
            return
        }
        guard let predecessor = header.predecessor, predecessor.segment < link.number else { return }
        let name = SpoolPosition.digits(predecessor.segment)
        guard let before = links[predecessor.segment] else {
            // An unreadable segment has already been reported.
            guard predecessor.segment > pruned, !unreadable.contains(predecessor.segment) else { return }
            return report.problem(
                ofFile: link.path, "segment \(name), which it follows, is missing, and the retention has not removed it"
            )
        }
        guard before.records < predecessor.records, !before.hasDamage else { return }
        report.problem(
            ofFile: before.path,
            "has \(before.records) records, but had \(predecessor.records) when segment "
                + "\(SpoolPosition.digits(link.number)) was created; its end is missing")
    }

    /// Skips a segment that could not be read or has been removed since it was listed.
    mutating func add(unreadable number: Int) {
        unreadable.insert(number)
        last = number
    }
}
