import Spool
import SystemPackage

/// The segments of a spool in their order, of which each names the one before it: so it shows when one is missing, has
/// lost its end, or was put back (invariant 7).
struct SegmentChain {
    struct Link {
        let number: Int
        let path: FilePath
        /// Nil when it cannot be read.
        let header: SegmentHeader?
        /// Records in good order.
        let records: Int
        let hasDamage: Bool
    }

    /// Segments up to this number may have been removed by the retention.
    let pruned: Int
    private var links: [Int: Link] = [:]
    /// Segments of which nothing is known but that they were there.
    private var unreadable: Set<Int> = []
    private var last: Int?

    init(pruned: Int) { self.pruned = pruned }

    /// Takes the next segment, and reports what its header says of the one before it.
    mutating func add(_ link: Link, _ report: VerificationReport) {
        defer {
            links[link.number] = link
            last = link.number
        }
        if link.number <= pruned, !link.hasDamage {
            report.problem(
                ofFile: link.path,
                "the retention had removed it, or was about to; 'shelly-loader prune' removes it again")
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
            // An unreadable one has been reported as such.
            guard predecessor.segment > pruned, !unreadable.contains(predecessor.segment) else { return }
            return report.problem(
                ofFile: link.path, "segment \(name), which it follows, is missing, and the retention has not removed it"
            )
        }
        guard before.records < predecessor.records, !before.hasDamage else { return }
        report.problem(
            ofFile: before.path,
            "has \(before.records) records, but had \(predecessor.records) when segment "
                + "\(SpoolPosition.digits(link.number)) was begun; its end is missing")
    }

    /// Passes over a segment that could not be read, or is gone since it was listed.
    mutating func add(unreadable number: Int) {
        unreadable.insert(number)
        last = number
    }
}
