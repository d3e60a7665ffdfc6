/// Numbers of segments, stored as ranges because they are nearly always consecutive.
public struct SegmentNumbers: Codable, Sendable, Equatable {
    /// The first and the last number of each range, in ascending order.
    private var ranges: [[Int]] = []

    /// - Parameter numbers: in ascending order.
    public init(_ numbers: [Int]) {
        guard var first = numbers.first else { return }
        var last = first
        for number in numbers.dropFirst() {
            if number != last + 1 {
                ranges.append([first, last])
                first = number
            }
            last = number
        }
        ranges.append([first, last])
    }

    public init(from decoder: any Decoder) throws {
        ranges = try decoder.singleValueContainer().decode([[Int]].self)
        guard ranges.allSatisfy({ $0.count == 2 }) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not ranges"))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(ranges)
    }

    public func contains(_ number: Int) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle][1] < number { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low][0] <= number
    }
}
