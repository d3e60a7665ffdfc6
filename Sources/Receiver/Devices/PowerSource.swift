import Logging
import Postgres
import Readings
import Time

/// Powers from the database, by idempotency key, which always has an index.
///
/// An actor on its own queue, since libpq blocks. Calls run one after another, so one query is in flight. For some
/// seconds the same query is answered from memory. For the same time after a failure, every query fails.
///
/// If the database may sleep, a repeated query is answered from memory for as long as that, without the minutes that
/// have come since.
actor PowerSource {
    private static let freshFor = Duration.seconds(3)
    private static let maximumCached = 8
    /// A page waits for these. Connecting takes seven round trips with TLS and SCRAM, and a query three.
    private static let connectTimeout = Duration.milliseconds(1300)
    private static let queryTimeout = Duration.milliseconds(1100)

    private let executor = BlockingExecutor(label: "devices.database")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The page that asks for powers. A page that is opened again is recognised, although its minutes have moved on.
    enum Purpose: Equatable {
        case list([DeviceID])
        case day(DeviceID, CalendarDay?)
    }

    private struct CachedPowers {
        let purpose: Purpose
        let keys: [ReadingKey]
        let at: ContinuousClock.Instant
        let powers: [ReadingKey: Double]
    }

    private let table: TableName
    private let databaseSleep: Duration
    private let logger: Logger
    private var database: ReadConnection
    private var cache: [CachedPowers] = []
    private var failed: ContinuousClock.Instant?

    /// - Parameter databaseSleep: minimum interval between two queries of the same kind, without a connection; zero to
    ///   stay connected.
    init(url: String, table: TableName, databaseSleep: Duration, logger: Logger) {
        database = ReadConnection(
            url: url, connectTimeout: Self.connectTimeout, queryTimeout: Self.queryTimeout,
            isKept: databaseSleep == .zero)
        self.databaseSleep = databaseSleep
        self.table = table
        self.logger = logger
    }

    /// The powers of these readings, as far as the database has them; nil when the database does not answer.
    func powers(of keys: [ReadingKey], for purpose: Purpose) -> [ReadingKey: Double]? {
        let now = ContinuousClock.now
        cache.removeAll { $0.at.duration(to: now) >= max(Self.freshFor, databaseSleep) }
        if let known = cache.first(where: { cached in
            cached.purpose == purpose && (cached.at.duration(to: now) < databaseSleep || cached.keys == keys)
        }) {
            return known.powers
        }
        if let failed, failed.duration(to: .now) < Self.freshFor { return nil }
        do {
            let deadline = ContinuousClock.now + Self.queryTimeout
            let powers = try database.query { (connection) throws(PostgresError) in
                try query(keys, on: connection, until: deadline)
            }
            failed = nil
            if cache.count == Self.maximumCached { cache.removeFirst() }
            cache.append(CachedPowers(purpose: purpose, keys: keys, at: .now, powers: powers))
            return powers
        } catch {
            logger.notice("device power query failed: \(error)")
            failed = .now
            return nil
        }
    }

    /// The powers without those of devices whose names the database's encoding cannot express: it has no rows of them.
    ///
    /// - Parameter deadline: when the search for such devices ends.
    private func query(
        _ keys: [ReadingKey], on connection: Connection, until deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> [ReadingKey: Double] {
        do throws(PostgresError) {
            return try query(keys, on: connection)
        } catch {
            guard error.isAboutValues else { throw error }
        }
        let devices = Array(Dictionary(grouping: keys, by: \.device).values)
        guard devices.count > 1, .now < deadline else { return [:] }
        let middle = devices.count / 2
        let first = try query(devices[..<middle].flatMap { $0 }, on: connection, until: deadline)
        let second = try query(devices[middle...].flatMap { $0 }, on: connection, until: deadline)
        return first.merging(second) { power, _ in power }
    }

    private func query(_ keys: [ReadingKey], on connection: Connection) throws(PostgresError) -> [ReadingKey: Double] {
        var texts = BinaryArray(.text)
        var text: [UInt8] = []
        // In a partitioned table, only the partitions of this time are looked through.
        let minutes = keys.map(\.minute)
        let (first, end) = (minutes.min() ?? 0, (minutes.max() ?? 0) + 1)
        func literal(_ minute: Int64) -> String { "'\(Timestamp(minute: minute).text(.seconds))Z'" }
        for key in keys {
            text.removeAll(keepingCapacity: true)
            IdempotencyKey.append(device: key.device, channel: key.channel, minute: key.minute, to: &text)
            texts.append(utf8: text)
        }
        // LIMIT leaves the planner only an index lookup for each key. As text, the value is as the column's type
        // formats it: 8.9, whether the type is real, numeric or double precision.
        let sql = """
            SELECT place, found.power::text FROM unnest($1::text[]) WITH ORDINALITY AS wanted(key, place)
            CROSS JOIN LATERAL (
                SELECT power FROM \(table.quoted)
                WHERE idempotency_key = wanted.key AND idempotency_key IS NOT NULL
                    AND "timestamp" >= \(literal(first)) AND "timestamp" < \(literal(end)) LIMIT 1
            ) AS found
            """
        let rows = try connection.query(sql, [.array(texts)])
        var powers: [ReadingKey: Double] = [:]
        for row in 0..<rows.count {
            guard let place = rows.integer(row, 0), let power = rows[row, 1].flatMap(Double.init), power.isFinite else {
                continue
            }
            powers[keys[place - 1]] = power
        }
        return powers
    }
}
