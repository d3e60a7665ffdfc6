/// How far the database was behind the spool, minute by minute: at most a day, and since the start of the process.
struct BacklogHistory: Sendable {
    struct Sample: Sendable, Equatable {
        /// Since 1970.
        let minute: Int64
        /// Records that waited.
        let records: Int
        /// For how long the oldest of them did; 0 when there was none.
        let oldestSeconds: Double
    }

    private static let minutes: Int64 = 1440

    /// The oldest first, one a minute at most.
    private(set) var samples: [Sample] = []

    /// Adds what was seen last. Where the clock was put back, it is the newest still.
    mutating func note(_ sample: Sample) {
        samples.removeAll { $0.minute >= sample.minute || $0.minute <= sample.minute - Self.minutes }
        samples.append(sample)
    }

    /// With what is seen now.
    func noting(_ sample: Sample) -> BacklogHistory {
        var history = self
        history.note(sample)
        return history
    }
}

extension BacklogHistory.Sample {
    /// - Parameter now: Unix milliseconds.
    init(_ statistics: SpoolStatistics, now: Int64) {
        self.init(
            minute: now / 60_000, records: statistics.backlog.records,
            oldestSeconds: statistics.backlog.oldestAgeSeconds ?? 0)
    }
}
