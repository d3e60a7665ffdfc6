import Foundation
import Seeds
import Testing

/// Power cuts at random moments, under load: every acknowledged batch is on the disk (invariants 1 to 4 and 8).
///
/// SHELLY_POWER_CUTS is the number of cuts; `make powercut CYCLES=200` sets it.
@Suite(
    .serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"),
    .enabled(if: MountedDisk.obstacle == nil, "\(MountedDisk.obstacle ?? "")"))
struct PowerCutTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private static let cycles = Effort.setting("SHELLY_POWER_CUTS", short: 3, long: 30)
    private static let cyclesOfADisk = 5
    private static let clients = 6

    /// The load of a cut. Its segments fill up, so that cuts also hit footers and new segments.
    private enum Load {
        case small
        /// So many bytes that a group is written during the sync of the group before.
        case large

        var settings: [String: String] {
            ["SPOOL_SEGMENT_BYTES": self == .small ? "65536" : "2000000", "SPOOL_RESERVE_BYTES": "0"]
        }
        var padding: Int { self == .small ? 0 : 130_000 }
        /// The number of batches that are acknowledged before a cut.
        var batches: ClosedRange<Int> { self == .small ? 1...150 : 1...40 }
    }

    @Test func everyAcknowledgedReadingSurvivesPowerCuts() throws {
        var checked = 0
        var lost = 0
        var compressed = 0
        for first in stride(from: 0, to: Self.cycles, by: Self.cyclesOfADisk) {
            try withDisk { disk in
                for cycle in first..<min(first + Self.cyclesOfADisk, Self.cycles) {
                    // A loader runs during every other cut.
                    let load = cycle % 3 == 2 ? Load.large : .small
                    let book = try powerCut("c\(cycle)-", disk, load, isDraining: cycle.isMultiple(of: 2))
                    checked += book.acknowledged * book.readings
                    lost += try lostBatches(book, prefix: "c\(cycle)-", load) * book.readings
                }
                let loaded = try FileManager.default.contentsOfDirectory(atPath: rig.spool + "/loaded")
                compressed += loaded.count { $0.hasSuffix(".zst") }
                let verified = try rig.load("verify", "--database")
                #expect(verified.status == 0, "\(verified.text)")
            }
        }
        #expect(lost == 0)
        #expect(checked > 0 && compressed > 0)
        print(
            "power cuts: \(Self.cycles), acknowledged readings checked: \(checked), lost: \(lost), "
                + "segments compressed: \(compressed)")
    }

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func aReceiverThatDoesNotSyncLosesReadings() throws {
        // The control: strace reports every sync as successful, so the receiver acknowledges batches that are only in
        // memory.
        try withDisk { disk in
            let book = try powerCut(
                "liar-", disk, .small, isDraining: false, under: Strace.around("fdatasync,fsync:retval=0"))
            try #require(book.acknowledged > 0)
            try rig.startReceiver(Load.small.settings)
            #expect(rig.lost(try rig.readingsInSpool(), book) > 0)
        }
    }

    /// Runs `body` with the spool on a new disk, and removes the disk afterwards.
    private func withDisk(_ body: (MountedDisk) throws -> Void) throws {
        let disk = try MountedDisk(.ext4, megabytes: 128)
        rig.spool = disk.path + "/spool"
        defer {
            rig.stopReceiver(SIGKILL)
            #expect(throws: Never.self) { try disk.unmount() }
        }
        try body(disk)
    }

    /// Starts the receiver, clients and, if `isDraining`, loaders, and cuts the power once a random number of batches
    /// is acknowledged. Returns when the power is back and no program runs.
    private func powerCut(
        _ prefix: String, _ disk: MountedDisk, _ load: Load, isDraining: Bool, under wrapper: [String] = []
    ) throws -> BatchBook {
        let book = BatchBook(hasFault: true, padding: load.padding)
        try rig.startReceiver(load.settings, under: wrapper)
        let moment = Int.random(in: load.batches)
        let isOver = Flag()
        rig.concurrently(Self.clients + (isDraining ? 2 : 1)) { [rig] role in
            switch role {
            case 0:
                defer { isOver.set() }
                try rig.wait("too few batches are acknowledged") { book.acknowledged >= moment }
                // A real power cut also stops the machine; this receiver goes on. A sync that runs during the cut can
                // return success without having stored anything, so no later answer counts as an acknowledgement.
                book.close()
                try disk.cutPower()
            case 1...Self.clients:
                book.postUntilRefused("\(prefix)\(role)", through: try RawClient(port: rig.port))
            default:
                while !isOver.isSet { _ = try rig.load("drain") }
            }
        }
        rig.stopReceiver(SIGKILL)
        try disk.restorePower()
        // Dead letters are on the disk before the rows of their transaction are in the database.
        let letters = try rig.deadLetteredDevices()
        for device in try rig.readingsInTable(prefix).keys { #expect(letters.contains(device)) }
        return book
    }

    /// Restarts everything, compares it with the book, and returns the number of lost batches.
    private func lostBatches(_ book: BatchBook, prefix: String, _ load: Load) throws -> Int {
        try rig.startReceiver(load.settings)
        let lost = rig.lost(try rig.readingsInSpool().filter { $0.key.hasPrefix(prefix) }, book)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(rig.lost(try rig.readingsInTable(prefix), book) == lost)
        try rig.expectLedgerKnows(book)
        // The next cut finds a segment that was sealed, or one that was not.
        rig.stopReceiver(Bool.random() ? SIGTERM : SIGKILL)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.readingsInTable(prefix) == book.all.mapValues { _ in book.readings })
        return lost
    }
}
