/// Which devices are silent at one moment: those without a reading for longer than the limit.
struct Silence: Sendable {
    /// A reading may be of the last second of its minute.
    private let firstReportingMinute: Int64

    /// - Parameter now: Unix milliseconds.
    init(afterSeconds: Int, now: Int64) { firstReportingMinute = (now / 1000 - Int64(afterSeconds)) / 60 }

    /// Whether a device whose newest reading is of this minute, since 1970, is silent.
    func includes(lastMinute: Int64) -> Bool { lastMinute < firstReportingMinute }
}
