import Foundation
import Seeds
import SystemPackage
import Testing

/// No acknowledged reading is lost, no reading is invented, and counts are exact under every fault of disk, process and
/// power (invariants 1 to 5 and 7). `make simulate SEEDS=1..100000` runs any number of seeds.
struct SimulationTests {
    /// If the loader's sync of a file fails, the receiver's next sync of that file fails once as well. It refuses that
    /// batch and accepts the next one.
    @Test func theLoadersFailedSyncCostsTheReceiverOneBatch() throws {
        let simulation = Simulation(seed: 1)
        try simulation.live([.start, .commit])
        simulation.disk.fault = { _, operation in operation == .synchronize ? .fails(.ioError) : nil }
        try simulation.live([.drain])
        #expect(simulation.disk.hasUnreportedFailures)
        try simulation.run(script: [])
    }

    /// `SHELLY_SEEDS`, such as `42` or `1..5000`.
    private static let seeds: ClosedRange<UInt64> = {
        let text = Effort.setting("SHELLY_SEEDS", short: "1..200", long: "1..3000")
        let bounds = text.split(separator: ".").compactMap { UInt64($0) }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return 1...1 }
        return first...last
    }()

    @Test func everySeedKeepsTheInvariants() async throws {
        // One slice for each core.
        let seeds = Self.seeds
        let slices = UInt64(ProcessInfo.processInfo.activeProcessorCount)
        let results = await withTaskGroup { group in
            for slice in 0..<slices {
                group.addTask {
                    await onItsOwnThread { () -> (Simulation.Tally, [String]) in
                        var tally = Simulation.Tally()
                        var failures: [String] = []
                        for seed in seeds where seed % slices == slice {
                            let simulation = Simulation(seed: seed)
                            do {
                                try simulation.run(steps: 25)
                            } catch {
                                failures.append("make simulate SEEDS=\(seed): \(error)")
                            }
                            tally += simulation.tally
                        }
                        return (tally, failures)
                    }
                }
            }
            return await group.reduce(into: (tally: Simulation.Tally(), failures: [String]())) {
                $0.tally += $1.0
                $0.failures += $1.1
            }
        }
        for failure in results.failures { Issue.record("\(failure)") }
        let tally = results.tally
        print("simulation: seeds \(seeds), \(tally)")
        // Seeds without commits, faults and restarts would prove nothing.
        if seeds.count >= 1000 {
            #expect(tally.acknowledged > 5 * seeds.count && tally.refused > seeds.count / 2)
            #expect(tally.powerCuts > seeds.count && tally.loaded > 10 * seeds.count)
            #expect(tally.overlaps > seeds.count / 2)
            #expect(tally.rotations > seeds.count / 20 && tally.interludes > seeds.count && tally.replays > seeds.count)
        }
    }

    private static let kinds: [(name: String, fault: SimulatedDisk.Fault)] = [
        ("EIO", .fails(.ioError)), ("ENOSPC", .fails(.noSpace)), ("EINTR", .fails(.interrupted)),
        ("short write", .short), ("slow", .slow(.seconds(5000))), ("death before", .death(after: false)),
        ("death after", .death(after: true)),
    ]

    /// Every kind of fault at the N-th operation, for every N of a run; EIO and ENOSPC also at six operations in a row.
    @Test(arguments: kinds.indices)
    func aFaultAtAnyOperationKeepsTheInvariants(kind: Int) async {
        let (name, fault) = Self.kinds[kind]
        let lengths = ["EIO", "ENOSPC"].contains(name) ? [1, 6] : [1]
        let (struck, failures) = await onItsOwnThread {
            var struck: Set<SimulatedDisk.Operation> = []
            var failures: [String] = []
            for place in Self.places(seed: 1) {
                for length in lengths {
                    failures += Self.run(1, "\(name) at operation \(place), \(length) times") { number, operation in
                        guard place..<(place + length) ~= number else { return nil }
                        struck.insert(operation)
                        return fault
                    }
                }
            }
            return (struck, failures)
        }
        for failure in failures { Issue.record("\(failure)") }
        #expect(struck == Set(SimulatedDisk.Operation.allCases))
    }

    /// A second fault right after the first one, while the code handles the first.
    @Test(arguments: [0, 1, 3, 5, 6])
    func twoFaultsInARowKeepTheInvariants(kind: Int) async {
        let (name, second) = Self.kinds[kind]
        let failures = await onItsOwnThread {
            Self.places(seed: 2).flatMap { place in
                Self.run(2, "EIO at operation \(place), then \(name)") { number, _ in
                    number == place ? .fails(.ioError) : number == place + 1 ? second : nil
                }
            }
        }
        for failure in failures { Issue.record("\(failure)") }
    }

    /// The operations that get a fault: all operations of a run without faults; in the short run the first of each kind
    /// and every tenth.
    private static func places(seed: UInt64) -> [Int] {
        let simulation = Simulation(seed: seed)
        var operations: [SimulatedDisk.Operation] = []
        simulation.disk.fault = { number, operation in
            // A write calls `fault` twice with the same number.
            if number == operations.count { operations.append(operation) }
            return nil
        }
        // A violation here is ignored: the runs with faults find it too.
        try? simulation.live(Simulation.Step.everything)
        precondition(operations.count == simulation.disk.operations, "an operation has no number")
        return operations.indices.filter { place in
            Effort.isLong || place % 10 == 0 || operations.firstIndex(of: operations[place]) == place
        }
    }

    /// Runs one life with the faults. Returns the violation as text, or nothing.
    private static func run(
        _ seed: UInt64, _ name: String, fault: @escaping (Int, SimulatedDisk.Operation) -> SimulatedDisk.Fault?
    ) -> [String] {
        let simulation = Simulation(seed: seed)
        simulation.disk.fault = fault
        do {
            try simulation.run(script: Simulation.Step.everything)
            return []
        } catch {
            return ["\(name), seed \(seed): \(error)"]
        }
    }

    /// fdatasync(2) fails once and marks the pages clean. The cache still has their bytes, the disk does not (invariant
    /// 3).
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func pagesOfAFailedSynchronizationAreNotTrusted(seed: UInt64) throws {
        let simulation = Simulation(seed: seed)
        try simulation.run(script: [.start, .commit, .failingCommit, .start, .commit, .commit, .commit, .powerCut])
    }
}

/// Runs a long computation on a thread of its own, so that it does not occupy one of the pool's few threads, which
/// other tests need.
private func onItsOwnThread<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}
