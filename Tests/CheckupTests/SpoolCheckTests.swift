import Disks
import Foundation
import Spool
import SystemPackage
import Testing

@testable import Checkup

struct SpoolCheckTests {
    private final class Place {
        let path: FilePath

        init() { path = FilePath(NSTemporaryDirectory()).appending("checkup-" + UUID().uuidString) }

        deinit { try? FileManager.default.removeItem(atPath: path.string) }

        func check(_ role: SpoolLock.Role = .loader) -> [CheckResult] {
            var checkup = Checkup()
            _ = SpoolCheck(path, for: role).run(&checkup)
            return checkup.results
        }

        func files() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: path.string).sorted() }
    }

    @Test func presentObjectsAreLeftUnchanged() throws {
        let place = Place()
        let directory = try SpoolDirectory(creating: place.path)
        let writer = SpoolWriter(directory: directory, newest: 0)
        _ = try writer.append([NewRecord(receivedAt: 1_700_000_000_000, body: Array("{}".utf8)[...])])
        let lock = try SpoolLock(.receiver, of: place.path)
        let before = try place.files()
        var results = place.check()
        results += RoomCheck(directory, limits: SpoolWriter.Limits()).results()
        results += DiskCheck(place.path, acceptsLosses: true).results()
        #expect(results.allSatisfy { $0.verdict != .fail }, "\(results)")
        #expect(results.contains { $0.subject == "receiver" && $0.finding.contains("process \(getpid())") })
        #expect(results.contains { $0.subject == "loader" && $0.finding.contains("none") })
        #expect(try place.files() == before)
        // The test still holds the lock.
        #expect(throws: SpoolError.self) { try SpoolLock(.receiver, of: place.path) }
        withExtendedLifetime(lock) {}
    }

    @Test func aMissingSpoolIsAWarningOnlyForTheLoader() throws {
        let place = Place()
        #expect(place.check(.loader).map(\.verdict) == [.warn])
        #expect(place.check(.receiver).map(\.verdict) == [.ok])
        try FileManager.default.createDirectory(atPath: place.path.string, withIntermediateDirectories: true)
        #expect(place.check(.receiver).map(\.verdict) == [.ok])
    }

    @Test func aDirectoryWithoutASpoolIsNamed() throws {
        let place = Place()
        try "x".write(toFile: place.path.string, atomically: false, encoding: .utf8)
        #expect(place.check().first?.finding.contains("is not a directory") == true)
        unlink(place.path.string)
        let directory = try SpoolDirectory(creating: place.path)
        try "{}".write(toFile: place.path.appending("spool.json").string, atomically: false, encoding: .utf8)
        #expect(place.check(.receiver).map(\.verdict) == [.fail])
        // Segments without their spool's identity must not get a new one.
        unlink(place.path.appending("spool.json").string)
        try "x".write(toFile: directory.pending.appending("00000001.spool").string, atomically: false, encoding: .utf8)
        let result = try #require(place.check(.receiver).first)
        #expect(result.verdict == .fail && result.remedy?.contains("restore spool.json") == true)
    }

    @Test func foldersThatEveryUserCanReadAreNamed() throws {
        let place = Place()
        let directory = try SpoolDirectory(creating: place.path)
        func rights() -> CheckResult? { place.check().first { $0.subject == "spool rights" } }
        #expect(rights()?.verdict == .ok)
        chmod(place.path.string, 0o755)
        #expect(rights()?.verdict == .warn)
        chmod(directory.pending.string, 0o777)
        #expect(rights()?.verdict == .fail && rights()?.finding.contains("pending") == true)
        rmdir(directory.rejected.string)
        #expect(rights()?.finding.hasSuffix("rejected is missing") == true)
    }

    @Test(arguments: [
        (0, "0 h"), (47, "47 h"), (48, "2 days"), (17_531, "730 days"), (17_532, "2 years"), (87_131, "9 years"),
        (1_000_000_000, "more than 100 years"),
    ])
    func theTimeUntilTheSpoolIsFullHasASuitableUnit(hours: Int, text: String) { #expect(RoomCheck.span(hours) == text) }

    @Test func roomIsReportedBeforeTheSpoolIsFull() throws {
        let place = Place()
        let directory = try SpoolDirectory(creating: place.path)
        let writer = SpoolWriter(directory: directory, newest: 0)
        let body = [UInt8](repeating: 0x20, count: 1 << 20)
        // 298 bytes a second; below 290 only if the test takes more than a minute and a half.
        let anHourAgo = Int64(Date().timeIntervalSince1970 - 3510) * 1000
        _ = try writer.append([NewRecord(receivedAt: anHourAgo, body: body[...])])
        var limits = SpoolWriter.Limits()
        func room() -> CheckResult? { RoomCheck(directory, limits: limits).results().first }
        #expect(room()?.finding.contains("at the last day's 29") == true, "\(String(describing: room()))")
        limits.spoolBytes = (20 << 20) + 700_000
        limits.segmentBytes = 1 << 20
        #expect(room()?.verdict == .warn && room()?.finding.contains("enough for 19 h") == true)
        limits.spoolBytes = 1 << 20
        #expect(room()?.verdict == .fail)
        limits.spoolBytes = nil
        limits.reserveBytes = 1 << 50
        #expect(room()?.verdict == .fail)
    }

    @Test func aClockBehindTheSpoolsFilesIsAFault() throws {
        let place = Place()
        let directory = try SpoolDirectory(creating: place.path)
        let segment = directory.pending.appending("00000001.spool").string
        try "x".write(toFile: segment, atomically: false, encoding: .utf8)
        #expect(ClockCheck(directory).result().verdict != .fail)
        try FileManager.default.setAttributes([.modificationDate: Date() + 600], ofItemAtPath: segment)
        #expect(ClockCheck(directory).result().verdict == .fail)
    }

    /// A disk on which every sync is slow, or fails.
    private struct SlowDisk: ForwardingDisk {
        let delay: Duration
        var failure: Errno?

        private final class File: ForwardingFile {
            let file: any DiskFile
            let disk: SlowDisk

            init(_ file: any DiskFile, _ disk: SlowDisk) { (self.file, self.disk) = (file, disk) }

            func synchronize() throws(Errno) {
                if let failure = disk.failure { throw failure }
                usleep(UInt32(disk.delay / .microseconds(1)))
            }
        }

        func create(_ path: FilePath) throws(Errno) -> any DiskFile { File(try SystemDisk().create(path), self) }
    }

    @Test func aSlowDiskIsAWarningAndAFailingOneAFault() throws {
        let place = Place()
        _ = try SpoolDirectory(creating: place.path)
        func speed(_ delay: Duration, _ failure: Errno? = nil) -> CheckResult? {
            DiskCheck(place.path, acceptsLosses: true, disk: SlowDisk(delay: delay, failure: failure)).results().last
        }
        #expect(speed(.milliseconds(30))?.verdict == .warn)
        // A busy machine makes some measurements slow, but not all.
        #expect((0..<100).contains { _ in speed(.milliseconds(1))?.verdict == .ok })
        #expect(speed(.zero, .ioError)?.verdict == .fail)
        #expect(speed(.zero, .noSpace)?.remedy == "make room on the disk")
        // A single sync is measured, however long it takes, and no second one.
        #expect(speed(.seconds(4))?.finding.contains("median of 1)") == true)
        #expect(try !place.files().contains { $0.hasSuffix(".tmp") })
    }
}
