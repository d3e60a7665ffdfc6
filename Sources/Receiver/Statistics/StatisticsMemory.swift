import Postgres

/// The newest statistics, or why there are none, and whether a request gets them or waits for a query. A value without
/// threads and clock.
///
/// A query may take longer than a client waits. So statistics that are in memory are served with their age while a
/// query is in flight.
struct StatisticsMemory {
    /// The answer to a request.
    enum Outcome {
        /// - Parameter age: time since the query began.
        case statistics(QueueStatistics, age: Duration)
        /// The database is away, or does not let the table be read.
        case failure(PostgresError)
        /// A query is in flight on an open connection, and there are no statistics in memory.
        case counting
        /// The database is accepting the connection, and there are no statistics in memory.
        case connecting
    }

    private enum Phase { case idle, connecting, querying }

    /// Minimum interval between two queries. A query that takes longer than a fifth of it makes the interval longer, so
    /// that clients that poll do not keep a processor of the database busy.
    private static let interval = Duration.seconds(1)
    private static let intervalPerQueryTime = 4
    /// A database that has made no step of connecting for so long is silent.
    static let silence = Duration.milliseconds(1500)

    /// Minimum interval between two queries if the database may sleep, zero if it does not.
    private let databaseSleep: Duration
    private var phase = Phase.idle
    private var lastStep: ContinuousClock.Instant?
    private var queryStart: ContinuousClock.Instant?
    private var newest: (statistics: QueueStatistics, asOf: ContinuousClock.Instant)?
    /// Why the last query failed, nil if it succeeded.
    private var failure: PostgresError?
    private var freshUntil: ContinuousClock.Instant?

    init(databaseSleep: Duration = .zero) { self.databaseSleep = databaseSleep }

    /// The outcome that needs no new query; nil if the request has to wait for one.
    func fresh(at now: ContinuousClock.Instant) -> Outcome? {
        guard let freshUntil, now < freshUntil else { return nil }
        return known(at: now)
    }

    /// The outcome for a request that has waited as long as it may, or until the query's end.
    func outcome(at now: ContinuousClock.Instant) -> Outcome {
        // After a failure only a new answer shows that the database is back.
        if failure != nil || newest == nil {
            if phase == .querying { return .counting }
            if phase == .connecting, let lastStep, lastStep.duration(to: now) < Self.silence { return .connecting }
        }
        return known(at: now) ?? .failure(.unavailable("it did not answer in time"))
    }

    private func known(at now: ContinuousClock.Instant) -> Outcome? {
        if let failure { return .failure(failure) }
        return newest.map { .statistics($0.statistics, age: $0.asOf.duration(to: now)) }
    }

    /// Connecting begins, or makes a step.
    mutating func connecting(at now: ContinuousClock.Instant) {
        phase = .connecting
        lastStep = now
    }

    mutating func querying(at now: ContinuousClock.Instant) {
        phase = .querying
        queryStart = now
    }

    mutating func ended(_ result: Result<QueueStatistics, PostgresError>, at now: ContinuousClock.Instant) {
        var queryTime = Duration.zero
        // After a failure, only a query shows that the database is back.
        var sleep = Duration.zero
        switch result {
        case .success(let statistics):
            let asOf = queryStart ?? now
            queryTime = asOf.duration(to: now)
            newest = (statistics, asOf)
            failure = nil
            sleep = databaseSleep
        // The server is up: older statistics are better than none.
        case .failure(let error) where Self.isPassing(error) && newest != nil && failure == nil: break
        case .failure(let error): failure = error
        }
        phase = .idle
        queryStart = nil
        freshUntil = now + max(Self.interval, sleep, queryTime * Self.intervalPerQueryTime)
    }

    /// Whether the server has refused this query on a connection that stays open, for a reason that is neither the table's
    /// nor a setting's: a conflict with a standby's recovery, a deadlock, no memory, a lock, a timeout, its full disk.
    private static func isPassing(_ error: PostgresError) -> Bool {
        guard case .refused(let state, _, _, let origin) = error, !origin.isStart else { return false }
        return ["40", "53", "57"].contains(state.prefix(2)) || state == "55P03"
    }
}
