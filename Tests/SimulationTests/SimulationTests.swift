import Foundation
import SystemPackage
import Testing

/// Nothing acknowledged is lost, nothing is invented, and counts are exact, whatever the disk, the process and the
/// power do (invariants 1 to 5 and 7). `make simulate SEEDS=1..100000` runs as many as one likes.
struct SimulationTests {
    /// `SHELLY_SEEDS`, such as `42` or `1..5000`.
    private static let seeds: ClosedRange<UInt64> = {
        let text = ProcessInfo.processInfo.environment["SHELLY_SEEDS"] ?? "1..1000"
        let bounds = text.split(separator: ".").compactMap { UInt64($0) }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return 1...1 }
        return first...last
    }()

    @Test func everySeedKeepsWhatWasPromised() async throws {
        // Slices, so that all cores have work.
        let seeds = Self.seeds
        let slices = 8 as UInt64
        let tally = try await withThrowingTaskGroup(of: Simulation.Tally.self) { group in
            for slice in 0..<slices {
                group.addTask {
                    var tally = Simulation.Tally()
                    for seed in seeds where seed % slices == slice {
                        let simulation = Simulation(seed: seed)
                        do {
                            try simulation.run(steps: 40)
                        } catch {
                            Issue.record("make simulate SEEDS=\(seed): \(error)")
                        }
                        tally += simulation.tally
                    }
                    return tally
                }
            }
            return try await group.reduce(into: Simulation.Tally()) { $0 += $1 }
        }
        print("simulation: seeds \(seeds), \(tally)")
        // A life in which nothing happens proves nothing.
        if seeds.count >= 1000 {
            #expect(tally.acknowledged > 5 * seeds.count && tally.refused > seeds.count / 2)
            #expect(tally.powerCuts > 2 * seeds.count && tally.loaded > 10 * seeds.count)
        }
    }

    /// A fault at the N-th operation for every N of a run, of every kind.
    @Test(arguments: 0..<6)
    func aFaultAtEveryOperation(kind: Int) throws {
        let kinds: [(String, SimulatedDisk.Fault)] = [
            ("EIO", .fails(.ioError)), ("ENOSPC", .fails(.noSpace)), ("EINTR", .fails(.interrupted)),
            ("short write", .short), ("death before", .death(after: false)), ("death after", .death(after: true)),
        ]
        let (name, fault) = kinds[kind]
        for seed in 1...3 as ClosedRange<UInt64> {
            let calm = Simulation(seed: seed)
            try calm.runScript()
            for place in 0..<calm.disk.operations {
                for length in [1, 6] {
                    let simulation = Simulation(seed: seed)
                    simulation.disk.fault = { number, _ in place..<(place + length) ~= number ? fault : nil }
                    do {
                        try simulation.runScript()
                    } catch {
                        Issue.record("\(name) at operation \(place), \(length) times, seed \(seed): \(error)")
                    }
                }
            }
        }
    }

    /// fdatasync(2) fails once and marks the pages clean; what the cache still shows is not on the disk (invariant 3).
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func whatAFailedSynchronizationLeftInTheCacheIsNotTrusted(seed: UInt64) throws {
        let simulation = Simulation(seed: seed)
        try simulation.run(script: [.start, .commit, .failingCommit, .start, .commit, .commit, .commit, .powerCut])
    }
}
