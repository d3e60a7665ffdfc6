import Foundation
import Postgres
import Testing

/// `GET /api/stats/queue` and the page with a database that is slow, locked or far away.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct StatisticsTests {
    private func load(_ rig: Rig, _ device: String) throws {
        #expect(try rig.post(Rig.batch(device, minutes: 0..<10)).count("inserted") == 10)
        try rig.expect(rig.load("drain"), status: 0)
    }

    private func isWaiting(_ rig: Rig) throws -> Bool {
        try rig.query(
            """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'shelly-receiver' AND wait_event_type = 'Lock'
            """) != "0"
    }

    /// A lock makes the query slow.
    @Test func theFirstAnswerWaitsForTheQueryAndLaterOnesComeFromTheCache() throws {
        let rig = try Rig()
        try rig.startReceiver()
        try load(rig, "plug")
        let holder = try rig.connect()
        _ = try holder.execute("BEGIN; LOCK TABLE power_logs")
        let process = holder.processID
        Thread.detachNewThread {
            try? rig.wait("the query does not wait") { try isWaiting(rig) }
            _ = try? rig.query("SELECT pg_terminate_backend(\(process))")
        }
        // On a busy machine a step of connecting can time out.
        let first = try rig.get("/api/stats/queue") { $0.status == 200 }
        #expect(first.count("total_logs") == 10 && first.headers.contains("\r\nage: "), "\(first.headers)")

        try load(rig, "other")
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 20 }
        let second = try rig.connect()
        _ = try second.execute("BEGIN; LOCK TABLE power_logs; DELETE FROM power_logs")
        let locked = try rig.get("/api/stats/queue") { answer in
            #expect(answer.status == 200 && answer.count("total_logs") == 20)
            return answer.headers.firstMatch(of: /\r\nage: ([0-9]+)\r\n/).flatMap { Int($0.1) } ?? 0 >= 3
        }
        #expect(locked.status == 200)
        let page = try rig.get("/")
        #expect(page.text.contains("20 rows") && !page.text.contains("Database unavailable"))
        _ = try second.execute("COMMIT")
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 0 }
    }

    /// The server refuses the query and stays: a conflict with a standby's recovery, a deadlock, no memory.
    @Test func aRefusalThatPassesIsAnsweredFromMemory() throws {
        let rig = try Rig()
        try rig.startReceiver()
        try load(rig, "plug")
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 10 }
        // A view in the table's place, since a function can raise what a server of these tests does not come to by itself.
        try rig.query(
            """
            ALTER TABLE power_logs RENAME TO rows_of_power;
            CREATE TABLE mood (state text); INSERT INTO mood VALUES ('40001');
            CREATE FUNCTION fail() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'refused' USING ERRCODE = (SELECT state FROM mood); END $$;
            CREATE VIEW power_logs AS SELECT * FROM rows_of_power WHERE fail()
            """)
        func isOlder() throws {
            let age = { (answer: Rig.Answer) in
                answer.headers.firstMatch(of: /\r\nage: ([0-9]+)\r\n/).flatMap { Int($0.1) } ?? 0
            }
            let known = age(try rig.get("/api/stats/queue"))
            _ = try rig.get("/api/stats/queue") { answer in
                #expect(answer.status == 200 && answer.count("total_logs") == 10, "\(answer.text)")
                return age(answer) >= known + 3
            }
        }
        for state in ["40001", "40P01", "53200"] {
            try rig.query("UPDATE mood SET state = '\(state)'")
            try isOlder()
        }
        // A fault of the table does not pass.
        try rig.query("UPDATE mood SET state = '42501'")
        _ = try rig.get("/api/stats/queue") { $0.status == 503 }
    }

    /// A round trip of 150 ms, with TLS: connecting takes a second, and each statement part of a second.
    @Test func aDatabaseWithLongRoundTripsAnswers() throws {
        let rig = try Rig(hasCluster: true)
        // The server's working directory is its data directory.
        try rig.query(
            """
            COPY (SELECT 1) TO PROGRAM 'openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
            -subj /CN=far -keyout server.key -out server.crt 2>/dev/null && chmod 600 server.key'
            """)
        try rig.query("ALTER SYSTEM SET ssl = on")
        try rig.query("SELECT pg_reload_conf()")
        let proxy = try DatabaseProxy(to: rig.databasePort, delay: .milliseconds(75))
        defer { proxy.close() }
        let far = ["DATABASE_URL": proxy.url + "?sslmode=require"]
        try rig.wait("the server does not speak TLS") {
            try rig.load("stats", environment: far).status == 0
        }
        try rig.startReceiver(far)
        try load(rig, "plug")
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 10 }
        _ = try rig.get("/") { $0.text.contains("10 rows") }
        _ = try rig.get("/api/devices/plug") { $0.text.contains("8.9") }
        try load(rig, "other")
        try rig.expect(rig.load("replay", environment: far), status: 0)
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 20 }

        // Connecting takes more than two seconds, and the first request of a receiver waits for it.
        let slow = try DatabaseProxy(to: rig.databasePort, delay: .milliseconds(400))
        defer { slow.close() }
        let settings = ["DATABASE_URL": slow.url + "?sslmode=require"]
        let first = try rig.get("/api/stats/queue", within: Double(Rig.hangSeconds), settings) { $0.status == 200 }
        #expect(first.seconds > 2 && first.count("total_logs") == 20)
    }
}
