import Glibc
import Postgres
import Testing

/// The PostgreSQL that `make test` starts. Each test gets a schema in it.
enum TestDatabase {
    static let url: String? = getenv("SHELLY_TEST_DATABASE_URL").map { String(cString: $0) }
    /// A test that waits longer than this hangs; a busy machine needs far less.
    static let hang = Duration.seconds(300)

    static func connect(timeout: Duration = hang) throws -> Connection {
        let url = try #require(url)
        // A time zone that must have no effect.
        let options = "\(url.contains("?") ? "&" : "?")options=-c%20TimeZone%3DEurope%2FParis"
        return try Connection(url + options, applicationName: "tests", connectTimeout: hang, timeout: timeout)
    }

    /// Runs `body` with a connection whose search path is a fresh schema, dropped afterwards.
    static func withSchema(_ body: (Connection) throws -> Void) throws {
        let connection = try connect()
        let schema = TableName.quote("test_\(UInt64.random(in: 0 ... .max))")
        _ = try connection.execute("CREATE SCHEMA \(schema); SET search_path TO \(schema)")
        defer { _ = try? connect().execute("DROP SCHEMA \(schema) CASCADE") }
        try body(connection)
        // Otherwise the DROP would wait for its locks.
        connection.close()
    }

    /// Ends another connection's back end, and waits until it has ended.
    static func terminate(_ processID: Int32) throws {
        let rows = try connect().execute("SELECT pg_terminate_backend($1, 250000)", [.integer(Int64(processID))])
        #expect(rows[0, 0] == "t")
    }

    /// Waits within the server until another connection's back end has ended, and returns whether it has.
    static func awaitEnd(of processID: Int64) throws -> Bool {
        let rows = try connect().execute(
            """
            DO $$ BEGIN FOR i IN 1..2500 LOOP
                EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(processID));
                PERFORM pg_stat_clear_snapshot(), pg_sleep(0.1);
            END LOOP; END $$;
            SELECT count(*) FROM pg_stat_activity WHERE pid = \(processID)
            """)
        return rows.integer(0, 0) == 0
    }
}

extension Trait where Self == ConditionTrait {
    static var needsDatabase: Self {
        .enabled(if: TestDatabase.url != nil, "SHELLY_TEST_DATABASE_URL is not set; make test sets it")
    }
}

/// Runs the body, which must throw a `PostgresError`, and returns that error.
func failure(_ body: () throws -> Void) throws -> PostgresError {
    try #require(throws: PostgresError.self, performing: body)
}

extension PostgresError {
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
    var isInvalid: Bool { if case .invalid = self { true } else { false } }
    var isOutcomeUnknown: Bool { if case .outcomeUnknown = self { true } else { false } }
}
