import Foundation
import Settings
import Spool
import SystemPackage
import Testing

@testable import Checkup

struct CheckupTests {
    @Test func theExitCodeDistinguishesTemporaryFailures() {
        var checkup = Checkup()
        #expect(checkup.exitCode == 0 && checkup.verdict == .ok)
        checkup.add(.warn("one", "is so so", do: "mend it"))
        #expect(checkup.exitCode == 0 && checkup.verdict == .warn)
        checkup.add(.fail("two", "is away", do: "wait", isTemporary: true))
        #expect(checkup.exitCode == 75 && checkup.verdict == .fail)
        checkup.add(.fail("three", "is gone", do: "mend it"))
        #expect(checkup.exitCode == 1)
    }

    @Test func eachResultIsOneEscapedLine() throws {
        var lines: [String] = []
        var checkup = Checkup { lines.append($0) }
        checkup.add(.ok("spool", "fine"))
        checkup.add(.fail("table", "server says \u{1B}[2J\n\"x\"", do: "mend it"))
        #expect(lines[0] == "ok    spool           fine")
        #expect(lines[1] == #"FAIL  table           server says \u001b[2J\n"x"; mend it"#)
        let json = try JSONSerialization.jsonObject(with: Data(checkup.json.utf8)) as? [String: Any]
        let checks = try #require(json?["checks"] as? [[String: Any]])
        #expect(json?["verdict"] as? String == "fail" && checks.count == 2)
        #expect(checks[0]["remedy"] == nil && checks[1]["remedy"] as? String == "mend it")
        #expect(!checkup.json.contains("\n"))
    }

    @Test(arguments: [
        ("", CheckResult.Level.fail), ("0123456789abcdef0123456789abcdef", .ok), ("short-one", .warn),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", .warn), ("my-secret-key-for-the-queue", .warn), ("changeme-changeme-4711", .warn),
        ("0123456789abcdef 123456789abcdef", .fail), ("0123456789abcdéf0123456789", .fail),
    ])
    func guessableKeysAreReportedAndNotShown(key: String, verdict: CheckResult.Level) {
        let results = KeyCheck(ingest: key.isEmpty ? [] : [key], read: []).results(isReceiver: true)
        #expect(results.map(\.verdict) == [verdict])
        #expect(key.isEmpty || !"\(results)".contains(key))
    }

    @Test func aLoaderNeedsNoKey() {
        #expect(KeyCheck(ingest: [], read: []).results(isReceiver: false).isEmpty)
        let shared = "0123456789abcdef0123456789abcdef"
        let results = KeyCheck(ingest: [shared], read: [shared]).results(isReceiver: false)
        #expect(results.map(\.verdict) == [.ok, .ok, .warn])
    }

    @Test func aKeyFileThatOtherUsersCanReadIsAFault() throws {
        let file = NSTemporaryDirectory() + "checkup-" + UUID().uuidString
        #expect(KeyCheck.result(ofFile: file, as: "key file").verdict == .fail)
        try "INGEST_API_KEY=x".write(toFile: file, atomically: false, encoding: .utf8)
        defer { unlink(file) }
        for (mode, verdict) in [(0o600, CheckResult.Level.ok), (0o640, .ok), (0o644, .fail), (0o660, .fail)] {
            chmod(file, mode_t(mode))
            #expect(KeyCheck.result(ofFile: file, as: "key file").verdict == verdict, "\(String(mode, radix: 8))")
        }
    }

    /// All settings with an error are named at once, and the others are used.
    @Test func everyInvalidSettingIsNamed() {
        var problems: [String] = []
        let settings = Settings(
            flags: ["PORT": "x"], environment: ["SPOOL_BITES": "1", "LOG_LEVEL": "loud", "HOST": "::1"],
            problems: &problems)
        #expect(problems.count == 3 && settings.text(.host) == "::1" && settings.integer(.port) == 8080)
        let results = SettingsCheck.results(settings, problems: problems)
        #expect(results.count == 3 && results.allSatisfy { $0.verdict == .fail })
        #expect(SettingsCheck.results(settings, problems: [])[0].finding == "given: HOST")
    }
}
