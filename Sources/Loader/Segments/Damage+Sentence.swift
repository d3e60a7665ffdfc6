import Spool
import SystemPackage

extension SegmentReader.Damage {
    /// A sentence with the damage's position and reason.
    func sentence(_ path: FilePath) -> String {
        "\(path) bytes \(range.lowerBound) to \(range.upperBound): \(reason)"
    }
}
