import Glibc
import Postgres
import Testing

/// The PostgreSQL that `make test` starts, of which each test gets a schema of its own.
enum TestDatabase {
    static let url: String? = getenv("SHELLY_TEST_DATABASE_URL").map { String(cString: $0) }

    static func connect(timeout: Duration = .seconds(30)) throws -> Connection {
        let url = try #require(url)
        // A time zone that must not come through.
        let options = "\(url.contains("?") ? "&" : "?")options=-c%20TimeZone%3DEurope%2FParis"
        return try Connection(url + options, applicationName: "tests", timeout: timeout)
    }

    /// Runs `body` with a connection whose search path is a fresh schema, dropped afterwards.
    static func withSchema(_ body: (Connection) throws -> Void) throws {
        let connection = try connect()
        let schema = try connection.quoteIdentifier("test_\(UInt64.random(in: 0 ... .max))")
        _ = try connection.execute("CREATE SCHEMA \(schema); SET search_path TO \(schema)")
        defer { _ = try? connect().execute("DROP SCHEMA \(schema) CASCADE") }
        try body(connection)
        // Else the drop would wait for its locks.
        connection.close()
    }

    /// Ends another connection's back end, and waits until it is gone.
    static func terminate(_ processID: Int32) throws {
        let rows = try connect().execute("SELECT pg_terminate_backend($1, 10000)", [.integer(Int64(processID))])
        #expect(rows[0, 0] == "t")
    }
}

extension Trait where Self == ConditionTrait {
    static var needsDatabase: Self {
        .enabled(if: TestDatabase.url != nil, "SHELLY_TEST_DATABASE_URL is not set; make test sets it")
    }
}

/// What a body throws, which has to be a `PostgresError`.
func failure(_ body: () throws -> Void) throws -> PostgresError {
    try #require(throws: PostgresError.self, performing: body)
}

extension PostgresError {
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
    var isInvalid: Bool { if case .invalid = self { true } else { false } }
    var isOutcomeUnknown: Bool { if case .outcomeUnknown = self { true } else { false } }
}
