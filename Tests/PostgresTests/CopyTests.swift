import Testing

@testable import Postgres

@Suite(.needsDatabase) struct CopyTests {
    private static let sql = "COPY t FROM STDIN (FORMAT binary)"
    private static let table = "CREATE TABLE t (k text PRIMARY KEY, c int4, p float8, at timestamptz)"

    private func input(_ keys: [String], _ power: Double? = -0.0) -> [UInt8] {
        var rows = BinaryRows()
        for (index, key) in keys.enumerated() {
            rows.beginRow(columns: 4)
            Array(key.utf8).withUnsafeBytes { rows.append(utf8: $0) }
            rows.append(Int32(index) - 1)
            rows.append(power)
            rows.append(unixSeconds: Int64(index) - 1)
        }
        return rows.finished()
    }

    @Test func copiedValuesAreReadBack() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute(Self.table)
            #expect(try connection.copy(Self.sql, input(["", "a\t'é\""])) == 2)
            #expect(try connection.copy(Self.sql, input(["n"], nil)) == 1)
            #expect(try connection.copy(Self.sql, input(["s", "t"], .leastNonzeroMagnitude)) == 2)
            #expect(try connection.copy(Self.sql, input([])) == 0)
            let rows = try connection.query("SELECT string_agg(t::text, ' ' ORDER BY k, c) FROM t")
            #expect(
                rows[0, 0] == #"("",-1,-0,"1969-12-31 23:59:59+00") ("a\#t'é""",0,-0,"1970-01-01 00:00:00+00") "#
                    + #"(n,-1,,"1969-12-31 23:59:59+00") (s,-1,5e-324,"1969-12-31 23:59:59+00") "#
                    + #"(t,0,5e-324,"1970-01-01 00:00:00+00")"#)
        }
    }

    /// Far more bytes than fit into the socket's buffer.
    @Test func theCallersWorkIsCompletedAndAllRowsAreCopied() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute(Self.table)
            var left = 10_000
            let keys = (0..<100_000).map { "a-key-that-is-as-long-as-those-of-readings-\($0)" }
            let count = try connection.copy(Self.sql, input(keys)) {
                if left > 0 { left -= 1 }
                return left > 0
            }
            #expect(count == keys.count && left == 0)
            #expect(try connection.query("SELECT count(*) FROM t").integer(0, 0) == keys.count)
        }
    }

    @Test func errorsLeaveTheConnectionUsable() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute(Self.table)
            var calls = 0
            // Refused at once, after one row, and after many rows, most of which are sent after the error.
            let missing = try failure {
                _ = try connection.copy("COPY away FROM STDIN", []) {
                    calls += 1
                    return false
                }
            }
            #expect(missing.sqlState == "42P01" && calls == 0)
            #expect(try failure { _ = try connection.copy(Self.sql, input(["a", "a"])) }.sqlState == "23505")
            let many = ["b", "b"] + (0..<100_000).map { "key-\($0)" }
            #expect(try failure { _ = try connection.copy(Self.sql, input(many)) }.sqlState == "23505")
            #expect(try failure { _ = try connection.copy(Self.sql, input(["c\0"])) }.sqlState == "22021")
            #expect(try failure { _ = try connection.copy(Self.sql, [1, 2, 3]) }.sqlState == "22P04")
            try connection.transaction {
                _ = try connection.execute("SAVEPOINT s")
                #expect(try failure { _ = try connection.copy(Self.sql, input(["a", "a"])) }.sqlState == "23505")
                _ = try connection.execute("ROLLBACK TO SAVEPOINT s")
                #expect(try connection.copy(Self.sql, input(["a"])) == 1)
            }
            #expect(try connection.query("SELECT count(*) FROM t").integer(0, 0) == 1)
        }
    }

    @Test func aLostConnectionIsUnavailable() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute(Self.table)
            let other = try TestDatabase.connect()
            let process = other.processID
            let schema = try #require(try connection.execute("SELECT quote_ident(current_schema())")[0, 0])
            _ = try other.execute("SET search_path TO \(schema)")
            let keys = (0..<100_000).map { "key-\($0)" }
            let lost = try failure {
                _ = try other.copy(Self.sql, input(keys)) {
                    try? TestDatabase.terminate(process)
                    return false
                }
            }
            #expect(lost.isUnavailable && !other.isUsable)
            #expect(try connection.query("SELECT count(*) FROM t").integer(0, 0) == 0)
            #expect(try failure { _ = try connection.execute("COPY t FROM STDIN") }.isInvalid && !connection.isUsable)
        }
    }
}
