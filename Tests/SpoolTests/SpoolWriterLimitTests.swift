import Disks
import Synchronization
import SystemPackage
import Testing

@testable import Spool

/// A full spool refuses records, and accepts them again when there is room (invariant 11).
struct SpoolWriterLimitTests {
    let scratch = Scratch()

    /// A clock that moves only by `advance`.
    private final class HandClock: Clock {
        struct Instant: InstantProtocol {
            var time: Duration
            func advanced(by duration: Duration) -> Instant { Instant(time: time + duration) }
            func duration(to other: Instant) -> Duration { other.time - time }
            static func < (a: Instant, b: Instant) -> Bool { a.time < b.time }
        }

        private let time = Mutex(Duration.zero)
        var now: Instant { Instant(time: time.withLock { $0 }) }
        var minimumResolution: Duration { .zero }
        func sleep(until deadline: Instant, tolerance: Duration?) async throws {}
        func advance(_ duration: Duration) { time.withLock { $0 += duration } }
    }

    /// The real disk, with a fixed number of available bytes.
    private struct DiskOfKnownRoom: ForwardingDisk {
        let availableBytes: Int

        func availableBytes(at path: FilePath) throws(Errno) -> Int { availableBytes }
    }

    private func record(_ bytes: Int) -> NewRecord {
        NewRecord(receivedAt: 0, body: [UInt8](repeating: 0x78, count: bytes)[...])
    }

    @Test func allSegmentsTogetherStayWithinTheByteLimit() throws {
        let directory = try SpoolDirectory(creating: scratch.path.appending("spool"))
        let clock = HandClock()
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 20_000
        limits.spoolBytes = 100_000
        let writer = SpoolWriter(directory: directory, newest: 0, limits: limits, clock: clock)
        func fill() -> SpoolError? {
            do throws(SpoolError) {
                // Limited, because a spool without its limit would fill the whole disk.
                for _ in 0..<100 { _ = try writer.append([record(5000)]) }
                return nil
            } catch {
                return error
            }
        }
        let refusal = fill()
        guard case .overLimit(_, let held, 100_000)? = refusal else { throw try #require(refusal) }
        let onDisk = try directory.inventory().bytes
        #expect(held == onDisk && onDisk <= 100_000 && onDisk > 94_000)

        // The loader makes room. The writer counts the bytes again after a second, not for every batch.
        try directory.moveToLoaded(1)
        let pruned = try directory.prune(Retention(age: .zero, bytes: 0), now: .now) { _ in true }
        #expect(pruned.segments == [1])
        #expect(fill() != nil)
        #expect(try directory.inventory().bytes == onDisk - pruned.bytes)
        clock.advance(.seconds(1))
        #expect(fill() != nil)
        #expect(try directory.inventory().bytes > 94_000)
        #expect(writer.oldest == 2)
    }

    /// Readiness fails a margin before the spool is full, so that senders stop in time.
    @Test func readinessNeedsAMarginBeforeTheLimit() {
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 1000
        limits.reserveBytes = 5000
        #expect(limits.leaveMargin(availableBytes: 6000, heldBytes: .max / 2))
        #expect(!limits.leaveMargin(availableBytes: 5999, heldBytes: 0))
        limits.spoolBytes = 80_000
        #expect(limits.leaveMargin(availableBytes: 6000, heldBytes: 79_000))
        #expect(!limits.leaveMargin(availableBytes: 6000, heldBytes: 79_001))
        limits.spoolBytes = 800
        #expect(limits.leaveMargin(availableBytes: 5100, heldBytes: 700))
        #expect(!limits.leaveMargin(availableBytes: 5100, heldBytes: 701))
    }

    @Test func theReserveStaysFreeAfterTheGroup() throws {
        // The available bytes of the machine's own disk change while other programs write to it.
        let disk = DiskOfKnownRoom(availableBytes: 100 << 20)
        let directory = try SpoolDirectory(creating: scratch.path.appending("spool"), disk: disk)
        var limits = SpoolWriter.Limits()
        limits.reserveBytes = 92 << 20
        let writer = SpoolWriter(directory: directory, newest: 0, limits: limits)
        #expect(throws: SpoolError.self) { try writer.append([record(16 << 20)]) }
        let positions = try writer.append([record(100)])
        #expect(positions.count == 1)
    }

    /// Some file systems report 0 of 0 blocks. They are not full.
    @Test func aFileSystemOfUnknownSizeIsNotFull() throws {
        #expect(try SystemDisk().availableBytes(at: "/proc") == .max)
    }
}
