import Foundation
import Seeds
import Synchronization
import Testing

/// Runs one case after the other, each with its own seed. The tests run a fixed number of cases, so that every machine
/// tries the same ones.
///
/// With `SHELLY_FUZZ_SECONDS` a fuzzer runs for that time instead, starting with the seed `SHELLY_FUZZ_SEED`; with 0
/// seconds it runs only that case. A case that fails is written to a file. A case that crashes or hangs leaves its seed
/// in a file named after the fuzzer.
struct Fuzzing {
    /// A violation, and the input that caused it.
    struct Finding: Error {
        let message: String
        let input: [UInt8]
    }

    private static let cases = Effort.isLong ? 20_000 : 1000
    private static let time = Effort.setting("SHELLY_FUZZ_SECONDS").map { Duration.seconds($0 as Double) }
    private static let firstSeed: UInt64 = Effort.setting("SHELLY_FUZZ_SEED") ?? 1
    /// Longer than any case may take, even in a debug build on a busy machine.
    private static let timeout = 300

    static func run(_ name: String, _ body: (UInt64) throws -> Void) throws {
        let directory = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("shelly-fuzz")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let trace = directory.appendingPathComponent("\(name)-\(getpid()).seed")
        try Data().write(to: trace)
        let handle = try FileHandle(forWritingTo: trace)
        let watch = Watch(name)
        defer { watch.end() }
        let start = ContinuousClock.now
        var seed = firstSeed
        repeat {
            watch.begin(seed)
            try handle.seek(toOffset: 0)
            try handle.write(contentsOf: Data("\(seed)\n".utf8))
            do {
                try body(seed)
            } catch let finding as Finding {
                let file = directory.appendingPathComponent("\(name)-\(seed)")
                try Data(finding.input).write(to: file)
                Issue.record(
                    """
                    \(name): \(finding.message)
                    input: \(file.path)
                    repeat with: make fuzz SECONDS=0 SEED=\(seed)
                    """)
                return
            }
            seed += 1
        } while time.map { ContinuousClock.now - start < $0 } ?? (seed - firstSeed < cases)
        print("fuzz \(name): seeds \(firstSeed)..<\(seed)")
        try FileManager.default.removeItem(at: trace)
    }

    /// Ends the process with the seed in its message if a case does not end.
    private final class Watch: Sendable {
        private let seed = Mutex<UInt64?>(nil)
        private let ended = DispatchSemaphore(value: 0)

        init(_ name: String) {
            Thread.detachNewThread { [self] in
                var last: UInt64?
                while ended.wait(timeout: .now() + .seconds(Fuzzing.timeout)) == .timedOut {
                    let current = seed.withLock { $0 }
                    precondition(current != last, "fuzz \(name): seed \(current ?? 0) hangs")
                    last = current
                }
            }
        }

        func begin(_ number: UInt64) { seed.withLock { $0 = number } }
        func end() { ended.signal() }
    }
}
