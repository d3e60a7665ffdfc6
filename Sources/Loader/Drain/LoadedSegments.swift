import Spool

/// The segments in `loaded/` that the database has all of, as far as a session knows. They are not opened.
///
/// An earlier session's knowledge is in the drain mark, with the state of the progress that it is true of.
struct LoadedSegments {
    /// The segments that this session has compared with their progress.
    private var compared: [Int: Progress.Key] = [:]
    private var settled: DrainMark.Settled?
    /// Whether `settled` has the present state of the progress.
    private var isStateKnown = true

    /// - Parameter state: the present state of the progress.
    init(mark: DrainMark.Settled?, state: String) {
        if mark?.progress == state { settled = mark }
    }

    /// For the drain mark: nil while the state of the progress is not known, or if the database lacks a loaded segment.
    var mark: DrainMark.Settled? { isStateKnown ? settled : nil }

    func contains(_ number: Int) -> Bool {
        compared[number] != nil || settled?.segments.contains(number) == true
    }

    mutating func insert(_ number: Int, _ key: Progress.Key) { compared[number] = key }

    mutating func remove(_ number: Int) { compared[number] = nil }

    /// Progress was written, so its state is another one.
    mutating func progressMoved() { isStateKnown = false }

    /// Whether the loaded segments, their progress and the retention have not changed since they were settled.
    func areSettled(_ segments: [SpoolDirectory.Segment], _ retention: Retention) -> Bool {
        guard let mark, mark.newest == segments.last?.number, mark.retention == retention.text else { return false }
        return mark.segments == SegmentNumbers(segments.filter(\.isLoaded).map(\.number))
    }

    /// Settles the loaded segments if all of them are known here and finished in the database. Otherwise the next session
    /// opens them again.
    ///
    /// - Parameter state: read before `progress`, so that it is never newer.
    mutating func settle(
        _ segments: [SpoolDirectory.Segment], _ retention: Retention, state: String,
        _ progress: [Progress.Key: Progress]
    ) {
        let finished = Self.finished(progress)
        let loaded = segments.filter(\.isLoaded).map(\.number)
        let isComplete = loaded.allSatisfy { contains($0) && finished[$0] != nil }
        settled =
            isComplete
            ? DrainMark.Settled(
                segments: SegmentNumbers(loaded), progress: state, newest: segments.last?.number ?? 0,
                retention: retention.text) : nil
        isStateKnown = true
    }

    /// Keeps only those of the segments that are finished in the database.
    mutating func refresh(_ segments: [SpoolDirectory.Segment], _ progress: [Progress.Key: Progress]) {
        let finished = Self.finished(progress)
        for segment in segments where segment.isLoaded && compared[segment.number] == nil && contains(segment.number) {
            compared[segment.number] = finished[segment.number]
        }
        settled = nil
        compared = compared.filter { progress[$0.value]?.finished == true }
    }

    /// The finished segments by number, without numbers that two segments got by accident.
    private static func finished(_ progress: [Progress.Key: Progress]) -> [Int: Progress.Key] {
        Dictionary(grouping: progress, by: \.key.segment).compactMapValues { rows in
            rows.count == 1 && rows[0].value.finished ? rows[0].key : nil
        }
    }
}

extension Retention {
    /// Both limits.
    fileprivate var text: String { "\(age) \(bytes.map(String.init) ?? "")" }
}
