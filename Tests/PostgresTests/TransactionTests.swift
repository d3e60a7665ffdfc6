import Postgres
import Testing

@Suite(.needsDatabase) struct TransactionTests {
    @Test func committedRowsStay() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute("CREATE TABLE t (i int)")
            let affected = try connection.transaction {
                #expect(connection.isInTransaction)
                return try connection.execute("INSERT INTO t VALUES ($1)", [.integer(1)]).affected
            }
            #expect(affected == 1 && !connection.isInTransaction)
            #expect(try connection.execute("SELECT count(*) FROM t").integer(0, 0) == 1)
        }
    }

    @Test(arguments: ["the server", "the body"]) func errorRollsBack(of whose: String) throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute("CREATE TABLE t (i int)")
            let error = try failure {
                try connection.transaction {
                    _ = try connection.execute("INSERT INTO t VALUES (2)")
                    if whose == "the body" { throw PostgresError.invalid("the body") }
                    _ = try connection.execute("SELECT 1/0")
                }
            }
            #expect(error.sqlState == "22012" || error.description == "the body")
            #expect(connection.isUsable && !connection.isInTransaction)
            #expect(try connection.execute("SELECT count(*) FROM t").integer(0, 0) == 0)
        }
    }

    @Test func anErrorThatTheBodyCatchesStillRollsBack() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute("CREATE TABLE t (i int)")
            let error = try failure {
                try connection.transaction {
                    _ = try connection.execute("INSERT INTO t VALUES (1)")
                    _ = try? connection.execute("SELECT 1/0")
                }
            }
            #expect(error.sqlState == "25P02" && !connection.isInTransaction)
            #expect(try connection.execute("SELECT count(*) FROM t").integer(0, 0) == 0)
        }
    }

    @Test func constraintCheckedAtCommitIsRefused() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute("CREATE TABLE t (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let error = try failure {
                try connection.transaction { _ = try connection.execute("INSERT INTO t VALUES (1), (1)") }
            }
            #expect(error.sqlState == "23505" && !connection.isInTransaction)
        }
    }

    @Test func transactionWithinAnotherIsInvalidAndTheOuterIsRolledBack() throws {
        try TestDatabase.withSchema { connection in
            let error = try failure { try connection.transaction { try connection.transaction {} } }
            #expect(error.isInvalid && connection.isUsable && !connection.isInTransaction)
        }
    }
}
