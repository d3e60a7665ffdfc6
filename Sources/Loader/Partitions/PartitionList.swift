// Partitions: the parts of a table that is partitioned by time: those that are there, those that are needed, those that expire.
// Begin here, then PartitionUpkeep.swift.
// Uses CommandLine, Postgres, Time.

/// The partitions of a table, by which its rows are distributed, and the ones that it lacks.
struct PartitionList: Equatable, Sendable {
    /// In the order of time. They do not overlap.
    let ranges: [Partition]
    /// The default partition, which takes the rows without another one.
    let standard: Partition?

    init(_ partitions: [Partition] = []) {
        ranges = partitions.filter { $0.minutes != nil }.sorted { $0.start < $1.start }
        standard = partitions.first { $0.minutes == nil }
    }

    /// All partitions, the default one last.
    var all: [Partition] { ranges + (standard.map { [$0] } ?? []) }

    /// The partition of the rows of a minute as an index of `all`, or nil if there is none.
    func index(of minute: Int64) -> Int? {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].start <= minute { low = middle + 1 } else { high = middle }
        }
        if low > 0, ranges[low - 1].minutes?.contains(minute) == true { return low - 1 }
        return standard == nil ? nil : ranges.count
    }

    func has(_ minute: Int64) -> Bool { index(of: minute) != nil }

    /// The range of a new partition for a minute that has none.
    ///
    /// It is one day, week or month, as far as its neighbours leave room. Rows that are older than all partitions share
    /// one, so that wrong clocks cannot make thousands.
    func missingRange(for minute: Int64, width: PartitionWidth) -> Range<Int64>? {
        guard !has(minute) else { return nil }
        let next = ranges.first { $0.start > minute }?.start
        guard let previous = ranges.last(where: { $0.start <= minute })?.minutes?.upperBound else {
            if let next { return .min..<next }
            return width.range(of: minute)
        }
        let range = width.range(of: minute)
        return max(range.lowerBound, previous)..<min(range.upperBound, next ?? .max)
    }

    /// The width of further partitions: that of the newest one that is exactly a day, a week or a month in UTC; else the
    /// nearest to the newest one's.
    var width: PartitionWidth {
        let bounded = ranges.compactMap(\.minutes).filter { $0.lowerBound != .min && $0.upperBound != .max }.reversed()
        for minutes in bounded {
            if let width = PartitionWidth.allCases.first(where: { $0.range(of: minutes.lowerBound) == minutes }) {
                return width
            }
        }
        let days = bounded.first.map { ($0.upperBound - $0.lowerBound) / PartitionWidth.minutesOfDay } ?? 0
        return days <= 1 ? .day : days <= 7 ? .week : .month
    }
}

extension Partition {
    fileprivate var start: Int64 { minutes?.lowerBound ?? .min }
}
