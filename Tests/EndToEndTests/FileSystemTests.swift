import Foundation
import Testing

/// A receiver whose spool is on a file system that can lose acknowledged readings.
@Suite(
    .serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"),
    .enabled(if: MountedDisk.obstacle == nil, "no file system can be mounted here"))
struct FileSystemTests {
    let rig: Rig
    private static let strict = ["SPOOL_FILE_SYSTEM": "durable"]

    init() throws { rig = try Rig() }

    @Test func aStartOnTmpfsIsRefusedAndLeavesNoFiles() throws {
        let disk = try MountedDisk(.tmpfs, megabytes: 256)
        rig.spool = disk.path + "/new/spool"
        let environment = ["SPOOL_DIR": rig.spool, "PORT": "0", "INGEST_API_KEY": Rig.key].merging(Self.strict) { $1 }
        let refused = try rig.run(Rig.binaries! + "/shelly-receiver", [], environment: environment)
        #expect(refused.status == 1, "\(refused.text)")
        #expect(refused.text.contains("tmpfs lies in memory") && refused.text.contains("SPOOL_FILE_SYSTEM=any"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path).isEmpty)

        try rig.startReceiver(["SPOOL_FILE_SYSTEM": "any"])
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        #expect(try rig.get("/readyz").text == #"{"status":"ready"}"#)
        rig.stopReceiver()
        let check = try rig.run(
            Rig.binaries! + "/shelly-receiver", ["--check", "--spool", rig.spool, "--port", "0"],
            environment: environment)
        #expect(check.status == 1 && check.text.contains("FAIL  file system     tmpfs"), "\(check.text)")
    }

    @Test func aStartOnAnOverlayThatKeepsChangesInMemoryIsRefused() throws {
        let disk = try MountedDisk(.overlayOnMemory, megabytes: 256)
        rig.spool = disk.path + "/spool"
        let environment = ["SPOOL_DIR": rig.spool, "PORT": "0", "INGEST_API_KEY": Rig.key].merging(Self.strict) { $1 }
        let refused = try rig.run(Rig.binaries! + "/shelly-receiver", [], environment: environment)
        #expect(refused.status == 1, "\(refused.text)")
        #expect(refused.text.contains("overlay on tmpfs lies in memory"))
        #expect(!FileManager.default.fileExists(atPath: rig.spool))
    }

    @Test func aStartWhereFsyncDoesNothingIsRefused() throws {
        let disk = try MountedDisk(.overlay, megabytes: 256, options: ",volatile")
        rig.spool = disk.path + "/spool"
        let environment = ["SPOOL_DIR": rig.spool, "PORT": "0", "INGEST_API_KEY": Rig.key].merging(Self.strict) { $1 }
        let refused = try rig.run(Rig.binaries! + "/shelly-receiver", [], environment: environment)
        #expect(refused.status == 1, "\(refused.text)")
        #expect(
            refused.text.contains("overlay is mounted with the option volatile")
                && refused.text.contains("SPOOL_FILE_SYSTEM=any"))
        #expect(!FileManager.default.fileExists(atPath: rig.spool))
        try rig.startReceiver(["SPOOL_FILE_SYSTEM": "any"])
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        rig.stopReceiver()
    }

    @Test func aSpoolOnAContainersLayerIsAcceptedWithAWarning() throws {
        let disk = try MountedDisk(.overlay, megabytes: 256)
        rig.spool = disk.path + "/spool"
        try rig.startReceiver(Self.strict)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        #expect(try rig.receiverLog().contains("warning spool \(rig.spool): overlay is a container"))
        let warning = try #require(try rig.get("/readyz").json["warning"] as? String)
        #expect(warning.contains("overlay") && warning.contains("mount a volume"))
        #expect(try rig.get("/").text.contains("Acknowledged readings can be lost."))
        rig.stopReceiver()
        // Once the setting accepts it, the warning is no longer shown.
        try rig.startReceiver(["SPOOL_FILE_SYSTEM": "any"])
        #expect(try !rig.receiverLog().contains("overlay"))
        #expect(try rig.get("/readyz").json["warning"] == nil)
        rig.stopReceiver()
    }
}
