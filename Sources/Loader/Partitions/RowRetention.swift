/// How long rows are kept, and which partitions expire.
struct RowRetention: Equatable, Sendable {
    let days: Int

    /// Newer partitions with rows that there must be before one expires.
    private static let filledPartitions = 2

    private var minutes: Int64 { Int64(days) * PartitionWidth.minutesOfDay }

    /// Whether the partition of a minute was dropped because it is past the retention: no partition of a range has it.
    ///
    /// Later readings of such a minute create one partition without a beginning, which lacks the rows that were dropped.
    /// Whether a row was in the default partition cannot be found out; these are not dropped.
    func hasDropped(_ minute: Int64, of list: PartitionList, now: Int64) -> Bool {
        let cut = now - minutes
        guard minute < cut else { return false }
        guard let range = list.ranges.lazy.compactMap(\.minutes).first(where: { $0.contains(minute) }) else {
            return true
        }
        return range.lowerBound == .min && range.upperBound <= cut
    }

    /// The partitions whose rows are all older than the retention.
    ///
    /// A clock that jumps ahead must not empty the table. So newer partitions that have rows must cover the retention too,
    /// and there must be two of them at least: partitions without rows prove nothing about the time.
    ///
    /// - Parameters:
    ///   - now: minutes since 1970, by the clock that is behind the others.
    ///   - hasRows: called for partitions from the newest on, and only if one is old enough.
    func expired(
        _ list: PartitionList, now: Int64, hasRows: (Partition) throws -> Bool
    ) rethrows -> [Partition] {
        let cut = now - minutes
        func isOld(_ range: Range<Int64>) -> Bool { range.upperBound <= cut }
        guard list.ranges.contains(where: { $0.minutes.map(isOld) ?? false }) else { return [] }
        var covered: Int64 = 0
        var filled = 0
        var expired: [Partition] = []
        for partition in list.ranges.reversed() {
            guard let range = partition.minutes else { continue }
            if isOld(range), covered >= minutes, filled >= Self.filledPartitions {
                expired.append(partition)
            } else if try hasRows(partition) {
                filled += 1
                // A partition without a beginning covers an unknown time.
                if range.lowerBound != .min { covered += max(0, min(range.upperBound, now) - range.lowerBound) }
            }
        }
        return expired.reversed()
    }
}
