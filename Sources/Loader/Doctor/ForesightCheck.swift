import Checkup
import Postgres

/// Checks the table for faults that later rows will meet: ids that run out, columns that refuse or round readings,
/// triggers and rules that discard rows.
struct ForesightCheck {
    private let connection: Connection
    private let table: TableName
    /// Power in watts that a column must be able to hold. A Shelly measures up to some 25 kW per phase.
    private static let largestPower = 100_000.0
    /// Bytes of the longest name of a device, and of the longest key.
    private static let nameBytes = 128
    private static let keyBytes = 128 + 13
    private static let largestIntegers = ["int2": "32767", "int4": "2147483647", "int8": "9.2e18"]
    /// The fraction of its ids that a sequence may have used.
    private static let usedPart = 0.9

    init(_ connection: Connection, _ table: TableName) {
        self.connection = connection
        self.table = table
    }

    func results() throws(PostgresError) -> [CheckResult] {
        try sequences() + columns() + triggers() + rules() + encoding()
    }

    private func sequences() throws(PostgresError) -> [CheckResult] {
        try IDSequence.all(of: table, on: connection).filter { $0.used > Self.usedPart }.map { sequence in
            let text =
                "\(sequence.name) is at \(sequence.last) of \(sequence.end), for \(sequence.column) \(sequence.type)"
            return sequence.isExhausted
                ? .fail("ids", "\(text): it has no id left, and the loader stops", do: sequence.enlargement)
                : .warn("ids", "\(text): without ids the loader stops", do: sequence.enlargement)
        }
    }

    private func columns() throws(PostgresError) -> [CheckResult] {
        let rows = try connection.execute(
            """
            \(ColumnTypes.query)
            SELECT name, declared || CASE WHEN declared = base THEN '' ELSE ' (' || base || ')' END, typname,
                CASE WHEN modifier >= 4 THEN ((modifier - 4) >> 16) & 65535 END,
                CASE WHEN modifier >= 4 THEN (modifier - 4) & 65535 END, modifier - 4
            FROM column_types JOIN pg_type t ON t.oid = type CROSS JOIN format_type(type, modifier) AS base
            WHERE name IN ('device_id', 'power', 'voltage', 'current', 'idempotency_key') ORDER BY number
            """, [.text(table.quoted)])
        var narrow: [(column: String, text: String)] = []
        var rounding: [(column: String, text: String)] = []
        for row in 0..<rows.count {
            let name = rows[row, 0] ?? ""
            let column = (name, "\(name) \(rows[row, 1] ?? "")")
            func add(upTo limit: String) { narrow.append((name, "\(column.1) (up to \(limit))")) }
            switch (name, rows[row, 2] ?? "") {
            case ("device_id", "varchar"), ("device_id", "bpchar"):
                if let length = rows.integer(row, 5), 0..<Self.nameBytes ~= length { narrow.append(column) }
            case ("idempotency_key", "varchar"), ("idempotency_key", "bpchar"):
                if let length = rows.integer(row, 5), 0..<Self.keyBytes ~= length { narrow.append(column) }
            case (_, "float4"): add(upTo: "3.4e38")
            case (_, let type) where Self.largestIntegers[type] != nil:
                add(upTo: Self.largestIntegers[type] ?? "")
                rounding.append(column)
            case (_, "numeric"):
                guard let precision = rows.integer(row, 3), let scale = rows.integer(row, 4) else { break }
                if scale == 0 { rounding.append(column) }
                let holds = pow10(precision - scale)
                if holds < (name == "power" ? Self.largestPower : 1000) { narrow.append(column) }
            default: break
            }
        }
        func texts(_ columns: [(column: String, text: String)]) -> String {
            columns.map(\.text).joined(separator: ", ")
        }
        /// A statement that gives the columns types that hold every value.
        func widening(_ columns: [(column: String, text: String)]) -> String {
            let changes = columns.map { (column, _) in
                "ALTER COLUMN \"\(column)\" TYPE "
                    + (column == "device_id" || column == "idempotency_key" ? "text" : "double precision")
            }
            return "ALTER TABLE \(table.quoted) " + changes.joined(separator: ", ")
        }
        var results: [CheckResult] = []
        if !narrow.isEmpty {
            results.append(
                .warn(
                    "narrow columns", "\(texts(narrow)): readings that do not fit are set aside", do: widening(narrow)))
        }
        if !rounding.isEmpty {
            results.append(.warn("rounding", "\(texts(rounding)): 0.4 becomes 0", do: widening(rounding)))
        }
        return results
    }

    private func pow10(_ exponent: Int) -> Double { (0..<max(0, exponent)).reduce(1.0) { power, _ in power * 10 } }

    /// Triggers that may discard a row without an error.
    private func triggers() throws(PostgresError) -> [CheckResult] {
        guard let names = try DiscardingTriggers(table: table).names(on: connection) else { return [] }
        return [
            .warn(
                "triggers",
                "\(names) of \(table.quoted) may discard rows: such readings are set aside, and if all are discarded, the "
                    + "loader stops",
                do:
                    "return NEW in the trigger; to distribute rows, partition the table; to drop some, delete them later"
            )
        ]
    }

    /// Rules that replace an INSERT. PostgreSQL refuses ON CONFLICT for other rules, but not for DO INSTEAD NOTHING.
    private func rules() throws(PostgresError) -> [CheckResult] {
        let rows = try connection.execute(
            """
            SELECT string_agg(quote_ident(rulename), ', ' ORDER BY rulename), bool_or(ev_qual = '<>')
            FROM pg_rewrite WHERE ev_class = to_regclass($1) AND ev_type = '3' AND is_instead AND ev_enabled IN ('O', 'A')
            """, [.text(table.quoted)])
        guard let names = rows[0, 0] else { return [] }
        let remedy = "drop the rule; to distribute rows, partition the table; to drop some, delete them later"
        return [
            rows[0, 1] == "t"
                ? .fail("rules", "\(names) of \(table.quoted) discards every row, and the loader stops", do: remedy)
                : .warn(
                    "rules", "\(names) of \(table.quoted) may discard rows: such readings are set aside", do: remedy)
        ]
    }

    private func encoding() throws(PostgresError) -> [CheckResult] {
        let name = try connection.execute("SHOW server_encoding")[0, 0] ?? "UTF8"
        guard name != "UTF8" else { return [] }
        return [
            .warn(
                "encoding",
                "the database has \(name): readings of devices with other characters in their names are set aside",
                do: "load into a database with ENCODING 'UTF8'")
        ]
    }
}
