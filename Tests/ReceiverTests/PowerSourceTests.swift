import Foundation
import Logging
import Postgres
import Readings
import Testing

@testable import Receiver

private let databaseURL = ProcessInfo.processInfo.environment["SHELLY_TEST_DATABASE_URL"]

/// Powers from a real database.
@Suite(.enabled(if: databaseURL != nil, "SHELLY_TEST_DATABASE_URL is not set; make test sets it"))
struct PowerSourceTests {
    /// A database in which a device's name cannot be written has the powers of the others.
    @Test func aNameThatTheEncodingLacksLeavesThePowersOfOtherDevices() async throws {
        let url = try #require(databaseURL)
        let connection = try Connection(
            url, applicationName: "ReceiverTests", connectTimeout: .seconds(600), timeout: .seconds(600))
        let name = "latin-" + UUID().uuidString.lowercased()
        _ = try connection.execute(
            "CREATE DATABASE \"\(name)\" ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        defer { _ = try? connection.execute("DROP DATABASE \"\(name)\" WITH (FORCE)") }
        let latin = url[...(try #require(url.lastIndex(of: "/")))] + name
        let minute: Int64 = 29_398_333
        _ = try Connection(
            String(latin), applicationName: "ReceiverTests", connectTimeout: .seconds(600), timeout: .seconds(600)
        ).execute(
            """
            CREATE TABLE power_logs (power float8, timestamp timestamptz, idempotency_key text);
            INSERT INTO power_logs SELECT n, to_timestamp(\(minute * 60)), 'plug-' || n || '_0_\(minute)' FROM generate_series(0, 9) n
            """)
        let source = PowerSource(
            url: String(latin), table: try TableName("power_logs"), databaseSleep: .zero,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let devices = try (0..<10).map { try DeviceID("plug-\($0)") } + [try DeviceID("plug-☀"), try DeviceID("☂")]
        let keys = devices.map { ReadingKey(device: $0, channel: 0, minute: minute) }
        var powers: [ReadingKey: Double]?
        let deadline = ContinuousClock.now + .seconds(600)
        // A busy machine can exceed the time in which a page needs the answer.
        repeat {
            powers = await source.powers(of: keys, for: .list(devices))
        } while powers?.count != 10 && ContinuousClock.now < deadline
        #expect(powers == Dictionary(uniqueKeysWithValues: (0..<10).map { (keys[$0], Double($0)) }))
    }
}
