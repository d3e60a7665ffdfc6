import Disks
import Foundation
import Logging
import NIOPosix
import Readings
import Spool
import Synchronization
import SystemPackage
import Testing

@testable import Commit
@testable import Ledger

/// The real disk, with single operations that fail on demand.
private final class FaultyDisk: ForwardingDisk {
    let failingSynchronizations = Mutex(0)
    let synchronizations = Mutex(0)
    /// Calls of `availableBytes`.
    let looks = Mutex(0)
    let failingWrites = Mutex(0)
    /// Every sync passes this gate before it runs.
    let gate = Gate()
    /// The number of syncs that have ended, and the thread of the last one as proc(5) names it: `1234/task/1240`.
    let ended = Mutex((count: 0, thread: ""))
    /// Writes that have begun.
    let writes = Mutex(0)
    /// Every write passes this gate before it runs.
    let writeGate = Gate()

    func create(_ path: FilePath) throws(Errno) -> any DiskFile { File(try SystemDisk().create(path), self) }
    func availableBytes(at path: FilePath) throws(Errno) -> Int {
        looks.withLock { $0 += 1 }
        return try SystemDisk().availableBytes(at: path)
    }

    private final class File: ForwardingFile {
        let file: any DiskFile
        let disk: FaultyDisk

        init(_ file: any DiskFile, _ disk: FaultyDisk) {
            self.file = file
            self.disk = disk
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
            disk.writes.withLock { $0 += 1 }
            disk.writeGate.pass()
            let fails = disk.failingWrites.withLock { left in
                defer { left = max(0, left - 1) }
                return left > 0
            }
            if fails { throw .ioError }
            // Every write is a short one, so the writer has to continue it.
            let half = UnsafeRawBufferPointer(rebasing: bytes[..<max(1, bytes.count / 2)])
            return try file.write(half, at: offset)
        }
        func synchronize() throws(Errno) {
            disk.synchronizations.withLock { $0 += 1 }
            disk.gate.pass()
            let thread = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")) ?? ""
            defer { disk.ended.withLock { $0 = ($0.count + 1, thread) } }
            let fails = disk.failingSynchronizations.withLock { left in
                left -= 1
                return left >= 0
            }
            if fails { throw .ioError }
            try file.synchronize()
        }
    }
}

/// Lets all callers of `pass` through, or only a limited number of them.
private final class Gate: Sendable {
    private let condition = NSCondition()
    /// How many more callers may pass; nil for all.
    private let permits = Mutex<Int?>(nil)

    func close() { change { $0 = 0 } }
    func open() { change { $0 = nil } }
    func letOnePass() { change { $0 = ($0 ?? 0) + 1 } }

    func pass() {
        condition.lock()
        defer { condition.unlock() }
        while permits.withLock({ $0 == 0 }) { condition.wait() }
        permits.withLock { permits in permits = permits.map { $0 - 1 } }
    }

    private func change(_ body: (inout Int?) -> Void) {
        condition.lock()
        defer { condition.unlock() }
        permits.withLock { body(&$0) }
        condition.broadcast()
    }
}

/// A counter that tasks share.
private final class Count: Sendable {
    let value = Mutex(0)
}

/// A test that waits longer than this hangs; a busy machine needs far less.
private let hang = Duration.seconds(600)

private func until(_ isSo: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + hang
    while try !isSo() {
        try #require(ContinuousClock.now < deadline)
        usleep(2000)
    }
}

extension GroupCommit {
    /// Returns once the batch is durable; throws the failure.
    fileprivate func commit(_ batch: Batch, _ record: NewRecord) async throws -> Acknowledgement {
        try await withCheckedThrowingContinuation { continuation in
            commit(batch, record, on: MultiThreadedEventLoopGroup.singleton.next()) {
                continuation.resume(with: $0.mapError { $0 as any Error })
            }
        }
    }
}

struct GroupCommitTests {
    private let disk = FaultyDisk()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let path = FilePath(NSTemporaryDirectory() + "group-commit-" + UUID().uuidString)

    private func groupCommit(
        limits: SpoolWriter.Limits = SpoolWriter.Limits(), timeout: Duration = .seconds(600)
    ) throws -> (GroupCommit, SpoolDirectory) {
        let directory = try SpoolDirectory(creating: path, disk: disk)
        let recovery = try SpoolRecovery(of: directory, logger: logger)
        let commit = GroupCommit(
            ledger: recovery.ledger,
            writer: SpoolWriter(directory: directory, newest: recovery.newest, limits: limits), ledgerBytes: .max,
            spoolState: SpoolState(records: recovery.records), timeout: timeout, logger: logger)
        return (commit, directory)
    }

    private func batch(_ src: String, _ minutes: Int..., bytes: Int = 0) throws -> (Batch, NewRecord) {
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\(60 * $0),\"params\":{\"switch:0\":{\"apower\":1}}}"
        }
        let padding = String(repeating: " ", count: bytes)
        let body = Array("{\"messages\":[\(messages.joined(separator: ","))]\(padding)}".utf8)
        let time: Int64 = 1_795_392_000_000
        return (try BatchDecoder().decode(body, receivedAt: time), NewRecord(receivedAt: time, body: body[...]))
    }

    /// The answer to a batch, awaited without a task. All tests share two threads for their tasks, so a task might not
    /// run in time for the next step.
    private final class Answer: Sendable {
        private let result = Mutex<Result<Acknowledgement, CommitFailure>?>(nil)

        init(of batch: (Batch, NewRecord), by commit: GroupCommit) {
            commit.commit(batch.0, batch.1, on: MultiThreadedEventLoopGroup.singleton.next()) { result in
                self.result.withLock { $0 = result }
            }
        }

        var isThere: Bool { result.withLock { $0 != nil } }

        func get() throws -> Acknowledgement {
            try until { isThere }
            return try #require(result.withLock { $0 }).get()
        }

        var failure: CommitFailure? {
            get throws {
                try until { isThere }
                guard case .failure(let failure)? = result.withLock({ $0 }) else { return nil }
                return failure
            }
        }
    }

    /// Commits a small batch and returns once its sync has begun. The sync does not end before the gate opens.
    private func smallBatchWithTheDisk(_ commit: GroupCommit) throws -> Answer {
        disk.gate.close()
        let before = disk.synchronizations.withLock { $0 }
        let answer = Answer(of: try batch("a", 1, 2), by: commit)
        try until { disk.synchronizations.withLock { $0 } > before }
        return answer
    }

    /// Commits a large batch behind the small one and returns once its write has begun. The write does not end before
    /// its gate opens.
    private func largeBatchInWriting(_ commit: GroupCommit) throws -> (batch: (Batch, NewRecord), answer: Answer) {
        disk.writeGate.close()
        let before = disk.writes.withLock { $0 }
        let batch = try batch("a", 2, 3, bytes: 300_000)
        let answer = Answer(of: batch, by: commit)
        try until { disk.writes.withLock { $0 } > before }
        return (batch, answer)
    }

    /// Lets the sync end, and returns once the commit thread sleeps until the end of the write.
    private func endSynchronization() throws {
        let before = disk.ended.withLock { $0.count }
        disk.gate.open()
        try until { disk.ended.withLock { $0.count } > before }
        let thread = disk.ended.withLock { $0.thread }
        // proc_pid_stat(5): the state follows the name, which is in parentheses.
        try until {
            try String(contentsOfFile: "/proc/\(thread)/stat", encoding: .utf8).contains(") S ")
        }
    }

    private func bytes(of segment: Int, in directory: SpoolDirectory) throws -> Int {
        try disk.size(of: directory.pending.appending("0000000\(segment).spool"))
    }

    private func cleanUp() { try? FileManager.default.removeItem(atPath: path.string) }

    @Test func aFailedSyncAbandonsTheSegmentAndRemovesItsKeys() async throws {
        // Invariants 4 and 5.
        defer { cleanUp() }
        let (commit, directory) = try groupCommit()
        let first = try batch("a", 1, 2)
        #expect(try await commit.commit(first.0, first.1).position.description == "00000001:1")

        disk.failingSynchronizations.withLock { $0 = 1 }
        let second = try batch("a", 2, 3)
        await #expect(throws: CommitFailure.self) { _ = try await commit.commit(second.0, second.1) }
        let again = try await commit.commit(second.0, second.1)
        #expect(again.inserted == 1 && again.duplicates == 1)
        #expect(again.position.description == "00000002:1")
        await commit.stop()
        #expect(try directory.segments().map(\.number) == [1, 2])
        await #expect(throws: CommitFailure.self) { _ = try await commit.commit(second.0, second.1) }
    }

    @Test func concurrentBatchesWithTheSameKeysInsertEachOnce() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let forward = try batch("a", 1, 2, 3, 4)
        let backward = try batch("a", 4, 3, 2, 1)
        let counts = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for index in 0..<64 {
                group.addTask {
                    let (batch, record) = index.isMultiple(of: 2) ? forward : backward
                    let answer = try await commit.commit(batch, record)
                    return (answer.inserted, answer.duplicates)
                }
            }
            return try await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
        }
        #expect(counts == (4, 64 * 4 - 4))
        // Group commit: far fewer syncs than one per batch.
        #expect(disk.synchronizations.withLock { $0 } <= 64 + 4)
        await commit.stop()
    }

    /// Invariant 11: batches time out on a disk that does not answer. The batch whose sync ends later becomes durable
    /// all the same.
    @Test func batchesTimeOutOnADiskThatDoesNotAnswer() async throws {
        defer { cleanUp() }
        // Far longer than the first commit takes, however busy the machine is.
        let (commit, _) = try groupCommit(timeout: .seconds(10))
        let (first, second) = (try batch("a", 1, 2), try batch("a", 3))
        _ = try await commit.commit(first.0, first.1)
        disk.gate.close()
        let before = disk.synchronizations.withLock { $0 }
        let answers = [Answer(of: first, by: commit)]
        try until { disk.synchronizations.withLock { $0 } > before }
        for answer in answers + [Answer(of: second, by: commit), Answer(of: second, by: commit)] {
            guard case .diskTimeout? = try answer.failure else { throw try #require(try answer.failure) }
        }
        disk.gate.open()
        // The first batch becomes durable in the end. The others were only queued when they timed out, and are never
        // written.
        while commit.isStalled { await Task.yield() }
        let answer = try await commit.commit(second.0, second.1)
        #expect(answer.inserted == 1)
        #expect(try await commit.commit(first.0, first.1).duplicates == 2)
        await commit.stop()
    }

    @Test func aRestartCountsDurableKeysAsDuplicates() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let first = try batch("a", 1, 2)
        _ = try await commit.commit(first.0, first.1)
        await commit.stop()
        let (next, _) = try groupCommit()
        let answer = try await next.commit(first.0, first.1)
        #expect(answer.inserted == 0 && answer.duplicates == 2 && answer.position.segment == 2)
        await next.stop()
    }

    @Test func aQuerySeesDurableKeysAndTimesOutDuringALongSync() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let first = try batch("a", 1, 2)
        _ = try await commit.commit(first.0, first.1)
        #expect(await commit.query(within: hang) { $0.deviceCount } == 1)

        disk.gate.close()
        let second = try batch("b", 1)
        let before = disk.synchronizations.withLock { $0 }
        async let pending = commit.commit(second.0, second.1)
        while disk.synchronizations.withLock({ $0 }) == before { await Task.yield() }
        #expect(await commit.query(within: .milliseconds(50)) { $0.deviceCount } == nil)
        disk.gate.open()
        _ = try await pending
        #expect(await commit.query(within: hang) { $0.deviceCount } == 2)
        await commit.stop()
        #expect(await commit.query { $0.deviceCount } == nil)
    }

    @Test func queriesAreAnsweredUnderLoadAndBounded() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let answered = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<32 {
                let (batch, record) = try batch("d\(index)", 1)
                group.addTask {
                    for _ in 0..<20 { _ = try await commit.commit(batch, record) }
                    return await commit.query(within: hang) { $0.deviceCount } != nil
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(answered == 32)
        await commit.stop()
    }

    /// Invariant 1: a group that is written during the sync of the group before is answered only after a sync of its
    /// own.
    @Test func aGroupIsWrittenDuringTheSyncOfTheGroupBefore() async throws {
        defer { cleanUp() }
        let (commit, directory) = try groupCommit()
        let first = try smallBatchWithTheDisk(commit)
        let before = disk.synchronizations.withLock { $0 }

        // More than one piece, and the batch of 2,000,000 bytes alone is larger than a piece.
        let batches = try (0..<10).map { try batch("b\($0)", 1, bytes: $0 == 5 ? 2_000_000 : 300_000) }
        let same = try batch("a", 2, 3, bytes: 300_000)
        let answers = (batches + [same]).map { Answer(of: $0, by: commit) }
        try until { try bytes(of: 1, in: directory) > 10 * 300_000 + 2_000_000 }
        #expect(!answers.contains { $0.isThere })
        #expect(disk.synchronizations.withLock { $0 } == before)

        disk.gate.open()
        #expect(try first.get().position.description == "00000001:1")
        var sequences: [Int] = []
        for answer in answers {
            let answer = try answer.get()
            #expect(answer.position.segment == 1 && answer.inserted == 1)
            sequences.append(answer.position.sequence)
        }
        #expect(try answers.last?.get().duplicates == 1)
        #expect(sequences.sorted() == Array(2...12))
        #expect(disk.synchronizations.withLock { $0 } == before + 1)
        await commit.stop()
        #expect(try SpoolRecovery(of: directory, logger: logger).records == [1: 12])
    }

    /// Invariant 5: a group that was written during a failed sync fails as well, even if the disk has stored it.
    @Test func aFailedSyncFailsTheGroupWrittenDuringIt() async throws {
        try await expectBothGroupsFail { directory in
            try until { try bytes(of: 1, in: directory) > 300_000 }
            disk.failingSynchronizations.withLock { $0 = 1 }
        }
    }

    /// Invariant 5: if a group cannot be written, the group whose sync is in progress fails as well, because it is
    /// unknown which bytes of the segment the disk has stored.
    @Test func aFailedWriteFailsTheGroupInSync() async throws {
        try await expectBothGroupsFail(failingWrites: 1) { _ in
            try until { disk.failingWrites.withLock { $0 } == 0 }
        }
    }

    /// A group in sync and the group behind it both fail once the disk continues after `fail`. Afterwards all keys of
    /// the second one count as new, in another segment.
    private func expectBothGroupsFail(
        failingWrites: Int = 0, _ fail: (SpoolDirectory) throws -> Void
    ) async throws {
        defer { cleanUp() }
        let (commit, directory) = try groupCommit()
        let first = try smallBatchWithTheDisk(commit)
        disk.failingWrites.withLock { $0 = failingWrites }
        let batch = try batch("a", 2, 3, bytes: 300_000)
        let second = Answer(of: batch, by: commit)
        try fail(directory)
        disk.gate.open()
        #expect(try first.failure != nil)
        #expect(try second.failure != nil)
        let again = try Answer(of: batch, by: commit).get()
        #expect(again.inserted == 2 && again.position.description == "00000002:1")
        await commit.stop()
    }

    /// Invariant 1: if a sync ends while the next piece is written, its batches are answered after that write. The
    /// piece's batches are answered after another sync.
    @Test func aSyncIsAnsweredAfterThePieceInProgress() async throws {
        defer { cleanUp() }
        let (commit, directory) = try groupCommit()
        let first = try smallBatchWithTheDisk(commit)
        let second = try largeBatchInWriting(commit).answer
        try endSynchronization()
        #expect(!first.isThere && !second.isThere)
        let before = disk.synchronizations.withLock { $0 }
        disk.writeGate.open()
        #expect(try first.get().position.description == "00000001:1")
        let answer = try second.get()
        #expect(answer.position.description == "00000001:2" && answer.inserted == 1 && answer.duplicates == 1)
        #expect(disk.synchronizations.withLock { $0 } == before + 1)
        await commit.stop()
        #expect(try SpoolRecovery(of: directory, logger: logger).records == [1: 2])
    }

    /// Invariant 5: the keys of a piece that was being written when the sync failed can be sent, and counted, again.
    @Test func aFailedSyncFailsThePieceInProgress() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let first = try smallBatchWithTheDisk(commit)
        let second = try largeBatchInWriting(commit)
        disk.failingSynchronizations.withLock { $0 = 1 }
        try endSynchronization()
        #expect(!first.isThere && !second.answer.isThere)
        disk.writeGate.open()
        for answer in [first, second.answer] {
            guard case .spool? = try answer.failure else { throw try #require(try answer.failure) }
        }
        let again = try Answer(of: second.batch, by: commit).get()
        #expect(again.inserted == 2 && again.position.description == "00000002:1")
        let small = try Answer(of: batch("a", 1, 2), by: commit).get()
        #expect(small.inserted == 1 && small.duplicates == 1)
        await commit.stop()
    }

    @Test func aStopEndsAfterThePieceInProgress() async throws {
        defer { cleanUp() }
        let (commit, directory) = try groupCommit()
        let first = try smallBatchWithTheDisk(commit)
        let second = try largeBatchInWriting(commit).answer
        async let stopped: Void = commit.stop()
        // The first answer is a refusal, because the earlier batches wait for the disk.
        var later: [Answer] = []
        while !later.contains(where: \.isThere) {
            later.append(Answer(of: try batch("b", 1), by: commit))
            await Task.yield()
        }
        let refusal = try later.first(where: \.isThere)?.failure
        guard case .stopping? = refusal else { throw try #require(refusal) }
        try endSynchronization()
        #expect(!first.isThere && !second.isThere)
        disk.writeGate.open()
        await stopped
        #expect(try first.get().position.description == "00000001:1")
        #expect(try second.get().position.description == "00000001:2")
        #expect(try SpoolRecovery(of: directory, logger: logger).records[1] ?? 0 >= 2)
    }

    /// Invariant 11: once a batch has timed out, the receiver writes no later batch to the segment until the disk
    /// answers.
    @Test func nothingIsWrittenBehindATimedOutGroup() async throws {
        defer { cleanUp() }
        let (commit, directory) = try groupCommit(timeout: .seconds(5))
        let first = try smallBatchWithTheDisk(commit)
        guard case .diskTimeout? = try first.failure else { throw try #require(try first.failure) }
        let before = try bytes(of: 1, in: directory)
        let others = try (3..<6).map { Answer(of: try batch("a", $0, bytes: 300_000), by: commit) }
        for other in others { #expect(try other.failure != nil) }
        #expect(try bytes(of: 1, in: directory) == before)
        disk.gate.open()
        try until { !commit.isStalled }
        let answer = try Answer(of: batch("a", 2, 3, bytes: 300_000), by: commit).get()
        #expect(answer.inserted == 1 && answer.duplicates == 1)
        await commit.stop()
    }

    /// Invariant 11: the disk counts as stalled until every group with a timed-out batch is complete, not only the
    /// first of them.
    @Test func theDiskIsStalledUntilEveryTimedOutGroupIsComplete() async throws {
        defer { cleanUp() }
        // Enough time to write the second batch before the first one times out.
        let (commit, directory) = try groupCommit(timeout: .seconds(15))
        let first = try smallBatchWithTheDisk(commit)
        let large = try batch("b", 1, bytes: 300_000)
        let second = Answer(of: large, by: commit)
        try until { try bytes(of: 1, in: directory) > 300_000 }
        #expect(try first.failure != nil)
        #expect(try second.failure != nil)
        let before = disk.synchronizations.withLock { $0 }
        disk.gate.letOnePass()
        try until { disk.synchronizations.withLock { $0 } > before }
        #expect(commit.isStalled)
        disk.gate.open()
        try until { !commit.isStalled }
        #expect(try Answer(of: large, by: commit).get().duplicates == 1)
        await commit.stop()
    }

    /// Invariant 1: a segment that reaches its size limit during a sync is closed only after that sync is complete.
    /// This also holds for the sync of a probe, which writes nothing.
    @Test(arguments: [true, false])
    func aDueSegmentIsClosedAfterTheSyncInProgress(probe: Bool) throws {
        defer { cleanUp() }
        let directory = try SpoolDirectory(creating: path, disk: disk)
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 1000
        var committer = Committer(
            ledger: MinuteLedger(), writer: SpoolWriter(directory: directory, newest: 0, limits: limits),
            ledgerBytes: .max, spoolState: SpoolState(records: [:]), logger: logger)
        let batches = try (0..<4).map { try batch("a", $0, bytes: 400) }
        func position(_ outcome: CommitOutcome?) throws -> String? { try outcome?.get()?.position.description }
        #expect(try position(committer.commit([batches[0]]).first) == "00000001:1")

        committer.write([probe ? nil : batches[1]])
        let sync = try #require(committer.pendingSync)
        committer.write([batches[2]])
        #expect(committer.roomAhead == 0)
        committer.write([batches[3]])
        #expect(committer.complete(sync, sync.run()).count == 1)
        let rest = try #require(committer.pendingSync)
        let outcomes = committer.complete(rest, rest.run())
        let first = probe ? 2 : 3
        #expect(try outcomes.map(position) == ["00000001:\(first)", "00000001:\(first + 1)"])
        #expect(try position(committer.commit([batches[0]]).first) == "00000002:1")
        #expect(try SpoolRecovery(of: directory, logger: logger).records == [1: first + 1, 2: 1])
    }

    @Test func aBatchBeyondTheSpoolsLimitIsRefusedDuringASync() async throws {
        defer { cleanUp() }
        var limits = SpoolWriter.Limits()
        limits.spoolBytes = 200_000
        let (commit, _) = try groupCommit(limits: limits)
        let first = try smallBatchWithTheDisk(commit)
        let second = try batch("b", 1, bytes: 300_000)
        let looks = disk.looks.withLock { $0 }
        let answer = Answer(of: second, by: commit)
        // The room for the batch has been checked during the sync, and is too small.
        try until { disk.looks.withLock { $0 } > looks }
        disk.gate.open()
        #expect(try first.get().inserted == 2)
        guard case .spool(.overLimit)? = try answer.failure else { throw try #require(try answer.failure) }
        await commit.stop()
    }

    /// A query waits for the groups in progress. It does not wait longer because more batches arrive.
    @Test func aQueryIsAnsweredBetweenLargeGroups() async throws {
        defer { cleanUp() }
        let (commit, _) = try groupCommit()
        let rounds = Count()
        let load = try (0..<8).map { index in
            let (batch, record) = try batch("d\(index)", 1, bytes: 200_000)
            return Task {
                while rounds.value.withLock({ $0 }) < 50 { _ = try await commit.commit(batch, record) }
            }
        }
        for _ in 0..<50 {
            #expect(await commit.query(within: hang) { $0.deviceCount } != nil)
            rounds.value.withLock { $0 += 1 }
        }
        for task in load { try await task.value }
        await commit.stop()
    }
}
