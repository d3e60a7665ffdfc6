import Time

/// The database's lag behind the spool, minute by minute: for at most a day, and since the start of the process.
struct BacklogHistory: Sendable {
    struct Sample: Sendable, Equatable {
        /// Minutes since 1970.
        let minute: Int64
        /// Number of records that waited.
        let records: Int
        /// Age of the oldest of them in seconds; 0 when there was none.
        let oldestSeconds: Double
    }

    private static let minutes: Int64 = 1440

    /// The oldest first, at most one per minute.
    private(set) var samples: [Sample] = []

    /// Adds the latest sample. If the clock was set back, this sample is still the newest.
    mutating func append(_ sample: Sample) {
        samples.removeAll { $0.minute >= sample.minute || $0.minute <= sample.minute - Self.minutes }
        samples.append(sample)
    }

    /// The history with a sample added.
    func appending(_ sample: Sample) -> BacklogHistory {
        var history = self
        history.append(sample)
        return history
    }
}

extension BacklogHistory.Sample {
    init(_ statistics: SpoolStatistics, now: Timestamp) {
        self.init(
            minute: now.minute, records: statistics.backlog.records,
            oldestSeconds: statistics.backlog.oldestAgeSeconds ?? 0)
    }
}
