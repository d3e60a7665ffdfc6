import Postgres

extension ReadingTable {
    /// Inserts the rows, within the caller's transaction: by `RowCopy` if their keys are probably new, else, and if that
    /// fails, in one statement. Of rows with the same key, the first is inserted. Duplicates consume no id, except in a
    /// `COPY` that fails.
    ///
    /// If the statement is refused because of a row, each part is tried in a savepoint of its own, down to single rows.
    /// Throws `LoaderError.takesNoRow` if the table refuses other rows as well (invariant 13).
    ///
    /// - Parameters:
    ///   - laterReadings: returns readings that were received after the rows, if there are any. It is called if the table
    ///     refuses every row.
    ///   - meanwhile: does a piece of work while the server runs a long statement, if there is one, and returns whether
    ///     there is more.
    func insert(
        _ rows: RowBuffer, on connection: Connection, laterReadings: @escaping () throws -> [ControlReading] = { [] },
        meanwhile: @escaping () -> Bool = { false }
    ) throws -> Outcome {
        guard !rows.isEmpty else { return Outcome() }
        var outcome = Outcome()
        for part in try parts(of: rows, on: connection) {
            var table = self
            table.partition = part.partition
            var insertion = RowInsertion(
                rows: rows, sorted: part.sorted, connection: connection, table: table, laterReadings: laterReadings,
                meanwhile: meanwhile)
            do {
                try insertion.run()
            } catch let error as PostgresError where error.faultKind == .table {
                throw table.explained(error, on: connection)
            }
            outcome += insertion.outcome
        }
        return outcome
    }

    /// The error with its fix, if the fix is known only from the table.
    private func explained(_ error: PostgresError, on connection: Connection) -> any Error {
        // The transaction has failed, and reads nothing until a savepoint is restored. If there is none, the error remains.
        guard connection.isUsable, (try? connection.execute("ROLLBACK TO SAVEPOINT part")) != nil,
            let remedy = try? remedy(for: error, on: connection)
        else { return error }
        return LoaderError.unfit(table: name.quoted, reason: "takes no row: \(error)", remedy: remedy)
    }
}

/// One call of `ReadingTable.insert`.
struct RowInsertion {
    private let rows: RowBuffer
    private let sorted: [Int32]
    private let connection: Connection
    private let table: ReadingTable
    private(set) var outcome = ReadingTable.Outcome()
    /// The caller's work, run during long statements.
    private let meanwhile: () -> Bool
    /// Readings that were received after the rows; see `RowControl`.
    private let laterReadings: () throws -> [ControlReading]
    /// Whether the table has taken a row. Only then a refusal can be the row's own fault.
    private var hasTaken = false
    private var isRace = false
    /// Refused positions of `sorted`.
    private var refused: Set<Int> = []

    /// Errors that were a row's own fault, without their values. The server tries many rows at once, and does not report
    /// everything that tells whose fault an error is.
    private var known: Set<ErrorKind> = []
    private var canTry = true

    /// A refused statement of so many rows or fewer is tried row by row, without further halves.
    private static let singles = 1000

    init(
        rows: RowBuffer, sorted: [Int32], connection: Connection, table: ReadingTable,
        laterReadings: @escaping () throws -> [ControlReading], meanwhile: @escaping () -> Bool
    ) {
        self.laterReadings = laterReadings
        self.meanwhile = meanwhile
        self.rows = rows
        self.sorted = sorted
        self.connection = connection
        self.table = table
    }

    mutating func run() throws {
        defer { table.hint.copyRest.inserted(sorted.count, areNew: outcome.inserted == sorted.count) }
        let firsts = sorted.indices.filter { $0 == 0 || !rows.haveSameKey(sorted[$0 - 1], sorted[$0]) }
        if table.hint.expectsDuplicates {
            // A lookup alone is cheaper than an insertion, after which duplicates are looked up once more.
            let found = try compare(Array(sorted.indices))
            if found.absent.isEmpty, found.uncomparable == 0 {
                (outcome.duplicates, outcome.conflicts) = (sorted.count, found.conflicts)
                return
            }
        }
        outcome.duplicates = sorted.count
        // With a constraint deferred to COMMIT, the whole transaction would fail there, and the refused row would be
        // unknown.
        _ = try connection.execute("SET CONSTRAINTS ALL IMMEDIATE; \(table.indexCheck); SAVEPOINT part")
        if table.partition != nil { try table.checkPartition(on: connection) }
        if try !isCopied(firsts.count) { try insertWithinSavepoint(firsts[...]) }
        table.hint.expectsDuplicates = outcome.inserted < sorted.count / 10
        // The table now has a row for each key that it takes.
        if outcome.duplicates > 0 {
            let found = try compare(sorted.indices.filter { !refused.contains($0) })
            // A column that cannot hold a value has another one.
            outcome.conflicts = found.conflicts + found.uncomparable
            try refuseVanished(found.absent)
        }
        // A fault of the table that began meanwhile, or that concerns all times from some time on, shows at the latest row.
        if let latest = outcome.refusedRows.max(by: { timestamp(of: $0) < timestamp(of: $1) }) {
            try expectAnotherRowToBeTaken(latest)
        }
    }

    /// Tries `COPY`, if no two rows have the same key and the table probably has none of the keys, within the savepoint. Any
    /// error that would not end the transaction leaves the rows to the statement.
    private mutating func isCopied(_ keys: Int) throws -> Bool {
        let copy = RowCopy(rows: rows, sorted: sorted, table: table)
        let rest = table.hint.copyRest
        guard keys == sorted.count, keys >= RowCopy.least, rest.isOver, !table.hint.expectsDuplicates,
            try copy.isExact(on: connection)
        else { return false }
        do throws(PostgresError) {
            // A COPY that fails burns ids. Before the first one of a session, hardly anything is known about the keys.
            let sample = table.hint.hasCopied ? RowCopy.furtherSample : RowCopy.firstSample
            guard try !copy.isSomeKeyPresent(of: sample, on: connection) else { return false }
            table.hint.hasCopied = false
            table.hint.copyRest.begin(keys)
            count(inserted: try copy.run(on: connection, meanwhile: meanwhile))
        } catch {
            guard connection.isUsable, error.faultKind != .server else { throw error }
            _ = try connection.execute("ROLLBACK TO SAVEPOINT part")
            return false
        }
        table.hint.hasCopied = true
        table.hint.copyRest = rest
        return true
    }

    /// Inserts the rows at these positions of `sorted`.
    private mutating func insert(_ positions: ArraySlice<Int>) throws {
        _ = try connection.execute("SAVEPOINT part")
        try insertWithinSavepoint(positions)
        _ = try connection.execute("RELEASE SAVEPOINT part")
    }

    private mutating func insertWithinSavepoint(_ positions: ArraySlice<Int>) throws {
        do throws(PostgresError) {
            try take(positions)
        } catch {
            guard error.faultKind == .row else { throw error }
            _ = try connection.execute("ROLLBACK TO SAVEPOINT part")
            guard positions.count > Self.singles else { return try insertSingly(positions, error) }
            let middle = positions.startIndex + positions.count / 2
            try insert(positions[..<middle])
            try insert(positions[middle...])
        }
    }

    /// Inserts rows of which at least one is refused, within the savepoint: in the server, as far as its errors are known
    /// to be the rows' own.
    private mutating func insertSingly(_ positions: ArraySlice<Int>, _ error: PostgresError) throws {
        guard positions.count > 1, canTry, let trial = try trial(positions) else {
            return try insertOneByOne(positions, error)
        }
        outcome.inserted += trial.inserted
        outcome.duplicates -= trial.inserted
        if trial.inserted > 0 { hasTaken = true }
        for refusal in trial.failedRows {
            let position = positions[positions.startIndex + refusal.place]
            guard !refusal.error.isAboutKey, known.contains(ErrorKind(refusal.error)) else {
                try insertOneByOne([position], nil)
                continue
            }
            try refuse(position, refusal.error)
            let next = position + 1
            if next < sorted.count, rows.haveSameKey(sorted[position], sorted[next]) { try insertOneByOne([next], nil) }
        }
    }

    /// Nil if the server cannot do this, for example because it has no PL/pgSQL.
    private mutating func trial(_ positions: ArraySlice<Int>) throws -> RowTrial? {
        do throws(PostgresError) {
            let trial = try RowTrial(
                positions.map { rows.rows[Int(sorted[$0])] }, of: rows, into: table, on: connection)
            _ = try connection.execute("RELEASE SAVEPOINT part; SAVEPOINT part")
            return trial
        } catch {
            guard connection.isUsable, error.faultKind != .server else { throw error }
            _ = try connection.execute("ROLLBACK TO SAVEPOINT part")
            if error.faultKind == .table { canTry = false }
            return nil
        }
    }

    /// Inserts rows of which at least one is refused, within the savepoint.
    ///
    /// - Parameter error: of these rows, if they have been tried.
    private mutating func insertOneByOne(_ positions: ArraySlice<Int>, _ error: PostgresError?) throws {
        var queue = Array(positions.reversed())
        // A single row has been tried already.
        var found = positions.count == 1 ? error : nil
        while let position = queue.popLast() {
            do {
                if let found { throw found }
                try take([position])
                _ = try connection.execute("RELEASE SAVEPOINT part; SAVEPOINT part")
            } catch let error as PostgresError where error.faultKind == .row {
                if found == nil { _ = try connection.execute("ROLLBACK TO SAVEPOINT part") }
                found = nil
                known.insert(ErrorKind(error))
                try refuse(position, error)
                // The next row with this key is no longer a duplicate, as if it had come in a later statement.
                let next = position + 1
                if next < sorted.count, rows.haveSameKey(sorted[position], sorted[next]) { queue.append(next) }
            }
        }
    }

    /// Refuses rows that the table took without an error and does not have. Of those with the same key, the first that
    /// stays is inserted.
    private mutating func refuseVanished(_ vanished: [Int]) throws {
        var positions = vanished
        if isRace, table.partition != nil, !positions.isEmpty {
            // Without a target, ON CONFLICT passes over rows for any unique index. Without ON CONFLICT, the error names it.
            isRace = false
            try insert(positions[...])
            positions = try compare(positions.filter { !refused.contains($0) }).absent
        }
        var last: (position: Int, isTaken: Bool)?
        for position in positions {
            let isSameKey = last.map { rows.haveSameKey(sorted[$0.position], sorted[position]) } ?? false
            if isSameKey, last?.isTaken == true { continue }
            let before = outcome.inserted
            if isSameKey { try insert([position]) }
            let isTaken = outcome.inserted > before
            if !isTaken, !refused.contains(position) { try refuse(position, nil) }
            last = (position, isTaken)
        }
    }

    private mutating func take(_ positions: ArraySlice<Int>) throws(PostgresError) {
        count(inserted: try insertedRows(positions))
    }

    private mutating func count(inserted: Int) {
        outcome.inserted += inserted
        outcome.duplicates -= inserted
        if inserted > 0 { hasTaken = true }
    }

    /// Runs the statement within the savepoint, and once more if another writer has inserted one of the keys since it
    /// was looked up.
    private mutating func insertedRows(_ positions: ArraySlice<Int>) throws(PostgresError) -> Int {
        let parameters = parameters(positions)
        do throws(PostgresError) {
            return try execute(table.statement(isRace: isRace), parameters).affected
        } catch {
            guard !isRace, error.isAboutKey else { throw error }
        }
        isRace = true
        _ = try connection.execute("ROLLBACK TO SAVEPOINT part")
        return try execute(table.statement(isRace: true), parameters).affected
    }

    /// - Parameter error: nil if the row vanished without an error.
    private mutating func refuse(_ position: Int, _ error: PostgresError?) throws {
        let refusal = ReadingTable.RefusedRow(row: sorted[position], error: error)
        if !hasTaken { try expectAnotherRowToBeTaken(refusal) }
        outcome.refusedRows.append(refusal)
        outcome.duplicates -= 1
        refused.insert(position)
    }

    /// Throws if the table refuses other rows as well: then the fault is not the row's.
    private mutating func expectAnotherRowToBeTaken(_ refusal: ReadingTable.RefusedRow) throws {
        let control = RowControl(
            rows: rows, refused: refusal.row, table: table, connection: connection, laterReadings: laterReadings)
        hasTaken = try control.isAnotherRowTaken()
        guard hasTaken else {
            let remedy = try refusal.error.flatMap { error throws(PostgresError) in
                try table.remedy(for: error, on: connection) ?? error.remedy
            }
            throw LoaderError.takesNoRow(
                table: table.name.quoted, reason: refusal.reason + (remedy.map { "; \($0)" } ?? ""))
        }
    }

    private struct Comparison {
        /// Positions of rows whose key is not in the table.
        var absent: [Int] = []
        /// Number of rows whose key is there with other values.
        var conflicts = 0
        /// Number of rows that do not fit the columns' types.
        var uncomparable = 0
    }

    /// Compares rows with those of the table that have the same keys.
    private mutating func compare(_ positions: [Int]) throws -> Comparison {
        let types = try connection.execute(
            """
            SELECT format_type(atttypid, atttypmod) FROM pg_attribute, unnest($2::text[]) WITH ORDINALITY AS u(n, place)
            WHERE attrelid = to_regclass($1) AND attname = n ORDER BY place
            """, [.text(table.name.quoted), .array(Self.names(["power", "voltage", "current", "timestamp"]))])
        func same(_ column: String, _ type: Int) -> String {
            // A column may be narrower than the sent type, so values are compared after a cast to the column's type.
            "t.\"\(column)\" IS NOT DISTINCT FROM new.\(column)_\(types[type, 0].map { "::" + $0 } ?? "")"
        }
        // LIMIT forces one index lookup per row, in the index's own order.
        let sql = """
            SELECT string_agg(place::text, ' ') FILTER (WHERE t.idempotency_key IS NULL),
                count(*) FILTER (WHERE t.idempotency_key IS NOT NULL AND NOT (\(same("power", 0))
                    AND \(same("voltage", 1)) AND \(same("current", 2)) AND \(same("timestamp", 3))))
            FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::timestamptz[], $5::text[]) WITH ORDINALITY
                AS new(power_, voltage_, current_, timestamp_, key_, place)
            LEFT JOIN LATERAL (
                SELECT idempotency_key, power, voltage, "current", "timestamp" FROM \(table.name.quoted)
                AS present WHERE idempotency_key = new.key_ AND idempotency_key IS NOT NULL\(table.condition(on: "present"))
                LIMIT 1
            ) AS t ON true
            """
        var found = Comparison()
        try compare(positions[...], sql, &found)
        return found
    }

    private mutating func compare(
        _ positions: ArraySlice<Int>, _ sql: String, _ found: inout Comparison
    ) throws {
        guard !positions.isEmpty else { return }
        _ = try connection.execute("SAVEPOINT comparison")
        do throws(PostgresError) {
            let answer = try execute(sql, Array(parameters(positions).dropFirst(2)))
            let places = (answer[0, 0] ?? "").split(separator: " ").compactMap { Int($0) }
            found.absent += places.map { positions[positions.startIndex + $0 - 1] }
            found.conflicts += answer.integer(0, 1) ?? 0
            _ = try connection.execute("RELEASE SAVEPOINT comparison")
        } catch {
            guard error.faultKind == .row else { throw error }
            _ = try connection.execute("ROLLBACK TO SAVEPOINT comparison; RELEASE SAVEPOINT comparison")
            guard positions.count > 1 else {
                found.uncomparable += 1
                return
            }
            let middle = positions.startIndex + positions.count / 2
            try compare(positions[..<middle], sql, &found)
            try compare(positions[middle...], sql, &found)
        }
    }

    /// Runs one of the long statements.
    private mutating func execute(_ sql: String, _ parameters: [Parameter]) throws(PostgresError) -> Rows {
        try connection.execute(sql, parameters, meanwhile: meanwhile)
    }

    private static func names(_ names: [String]) -> BinaryArray {
        var array = BinaryArray(.text)
        for name in names { array.append(utf8: name.utf8) }
        return array
    }

    private func parameters(_ positions: some Sequence<Int>) -> [Parameter] {
        rows.parameters(positions.lazy.map { sorted[$0] })
    }

    private func timestamp(of refusal: ReadingTable.RefusedRow) -> Int64 { rows.rows[Int(refusal.row)].timestamp }
}

/// An error without the values of its row.
private struct ErrorKind: Hashable {
    let sqlState: String?
    let constraint: String?
    let table: String?
    let column: String?
    let isInFunction: Bool
    let isRaised: Bool

    init(_ error: PostgresError) {
        var origin = PostgresError.Origin()
        if case .refused(_, _, _, let found) = error { origin = found }
        sqlState = error.sqlState
        constraint = origin.constraint
        table = origin.table
        column = origin.column
        isInFunction = origin.isInFunction
        isRaised = origin.isRaised
    }
}

extension PostgresError {
    /// Whether a row with the same idempotency key is there.
    fileprivate var isAboutKey: Bool {
        guard case .refused("23505", _, let detail?, _) = self else { return false }
        return detail.contains("(idempotency_key)=(")
    }
}
