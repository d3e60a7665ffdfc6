import Readings
import Spool
import SystemPackage

extension SegmentHeader {
    /// The rules by which the segment's records become readings.
    func readingRules(of path: FilePath) throws(SpoolError) -> ReadingRules {
        guard let known = ReadingRules(header: rules) else {
            throw .unfit(path, "its reading rules are unknown to this version; use a newer one")
        }
        return known
    }
}
