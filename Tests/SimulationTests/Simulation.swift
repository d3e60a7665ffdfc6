import Logging
import Readings
import Spool
import SystemPackage

@testable import Receiver

/// A spool's life by the numbers of a seed: commits, failures, deaths, power cuts, restarts, drains; and after each step
/// the question whether everything that was promised still holds.
///
/// The receiver's part is the product's own, from the ledger to the disk's seam, without its thread; the loader's is the
/// product's reader and directory, with a table in memory whose transactions cannot fail by halves.
final class Simulation {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// How often what happened, to see that a seed's life was worth it.
    struct Tally {
        var acknowledged = 0
        var refused = 0
        var deaths = 0
        var powerCuts = 0
        var faults = 0
        var loaded = 0
        var pruned = 0

        static func += (left: inout Tally, right: Tally) {
            left.acknowledged += right.acknowledged
            left.refused += right.refused
            left.deaths += right.deaths
            left.powerCuts += right.powerCuts
            left.faults += right.faults
            left.loaded += right.loaded
            left.pruned += right.pruned
        }
    }

    /// A reading's key and, as its power, the number that no other reading has.
    private struct Sent: Hashable {
        let key: String
        let power: Double
    }

    private static let path: FilePath = "/simulated/spool"
    private static let receivedAt: Int64 = 1_795_392_000_000

    let disk: SimulatedDisk
    private(set) var tally = Tally()
    private var random: SeededGenerator
    private let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    private let decoder = BatchDecoder()
    private var committer: Committer?
    private var nextPower = 1.0
    /// Why a batch was refused, or the receiver could not start.
    private var lastRefusal = "no receiver"

    // The model.
    private var sent: Set<Sent> = []
    /// Readings that a 200 has counted as inserted, or has called another one a duplicate of.
    private var promised: Set<Sent> = []
    /// What the receiver must call a duplicate, and nothing else: keys, and the reading that each was first seen with.
    private var known: [String: Double] = [:]
    /// Keys whose records were pruned: the ledger forgets them at its next opportunity, and not before its page's others.
    private var fading: Set<String> = []
    private var positions: Set<SpoolPosition> = []
    /// The database: rows by key, and how far each segment is loaded.
    private var table: [String: Double] = [:]
    private var progress: [String: Int] = [:]
    private var finished: Set<String> = []

    init(seed: UInt64) {
        disk = SimulatedDisk(seed: seed &* 3 &+ 1)
        random = SeededGenerator(seed: seed)
    }

    /// Lives through so many steps with faults of all kinds, then makes sure that all is well without them.
    func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        disk.fault = { _, _ in nil }
        try finish()
    }

    /// The same steps for every `fault` that the disk is given: to try a fault at each operation in turn.
    func runScript() throws {
        for turn in 0..<12 {
            switch turn {
            case 0, 7: try start()
            case 3, 9: try drain()
            case 5: committer?.stop()
            default: try commit()
            }
            if disk.isDead { try die() }
        }
        disk.fault = { _, _ in nil }
        try finish()
    }

    /// What a script is made of.
    enum Step {
        case start, commit, failingCommit, drain, prune, powerCut
    }

    /// Lives through the steps in this order.
    func run(script: [Step]) throws {
        for step in script {
            switch step {
            case .start: try start()
            case .commit: try commit()
            case .failingCommit:
                disk.fault = { _, operation in operation == .synchronize ? .fails(.ioError) : nil }
                try commit()
                disk.fault = { _, _ in nil }
            case .drain: try drain()
            case .prune: try prune()
            case .powerCut: try die(losingPower: true)
            }
        }
        try finish()
    }

    private func step() throws {
        if disk.isDead { return try die() }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: try commit()
        case 50..<62: try drain()
        case 62..<65: try prune()
        case 65..<75: armFault()
        case 75..<79: committer?.stop()
        case 79..<84: try die(losingPower: false)
        case 84..<90: try die(losingPower: true)
        default: try start()
        }
    }

    /// The next fault comes at one of the next operations, once or again and again.
    private func armFault() {
        let first = disk.operations + Int.random(in: 0..<12, using: &random)
        let last = first + (Int.random(in: 0..<4, using: &random) == 0 ? 8 : 0)
        let fault: SimulatedDisk.Fault =
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .fails(.noSpace)
            case 1, 2: .fails(.ioError)
            case 3: .short
            case 4: .death(after: false)
            default: .death(after: true)
            }
        tally.faults += 1
        disk.fault = { number, _ in first...last ~= number ? fault : nil }
    }

    private func die() throws { try die(losingPower: Bool.random(using: &random)) }

    /// The receiver is gone, with the power or without.
    private func die(losingPower: Bool) throws {
        committer = nil
        tally.deaths += 1
        if losingPower {
            tally.powerCuts += 1
            disk.losePower()
        } else {
            disk.restart()
        }
        try check()
    }

    /// A new receiver; the one before, if it lives, just ends without a word.
    private func start() throws {
        committer = nil
        var isWhole = false
        do throws(SpoolError) {
            let directory = try SpoolDirectory(creating: Self.path, disk: disk)
            let recovery: SpoolRecovery
            do {
                recovery = try SpoolRecovery(of: directory, logger: logger)
            } catch let error as SpoolError {
                throw error
            } catch {
                preconditionFailure("\(error)")
            }
            isWhole = recovery.unreadable.isEmpty
            var limits = SpoolWriter.Limits()
            limits.segmentBytes = Int.random(in: 1000...16_000, using: &random)
            committer = Committer(
                ledger: recovery.ledger,
                writer: SpoolWriter(
                    directory: directory, newest: recovery.newest,
                    newestRecords: recovery.records[recovery.newest] ?? 0, limits: limits),
                ledgerBytes: .max, holdings: SpoolHoldings(records: recovery.records), logger: logger)
        } catch {
            // A receiver that cannot start says so and ends; nothing was promised.
            lastRefusal = error.description
            return
        }
        known = Dictionary(recovered().map { ($0.key, $0.power) }) { first, _ in first }
        // The keys of a segment that could not be read are unknown; which ones these are the model does not ask.
        fading = isWhole ? [] : Set(known.keys)
        try check()
    }

    private func commit() throws {
        guard committer != nil else { return try start() }
        var group: [(content: Batch, record: NewRecord)] = []
        var readings: [[Sent]] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let (batch, batchReadings) = try batch()
            group.append(batch)
            readings.append(batchReadings)
        }
        // What must be answered, if it can be made durable.
        var keys = known
        let expected = readings.map { readings in
            readings.filter { reading in
                // A faded key is told apart by nobody but the ledger.
                if keys[reading.key] == nil { keys[reading.key] = reading.power }
                return keys[reading.key] == reading.power
            }
        }
        guard let outcomes = committer?.commit(group) else { return }
        guard outcomes.count == group.count else { throw Violation(description: "\(outcomes.count) answers") }
        for (index, outcome) in outcomes.enumerated() {
            switch outcome {
            case .success(let answer?):
                let fewest = expected[index].count { !fading.contains($0.key) }
                let most = readings[index].count { expected[index].contains($0) || fading.contains($0.key) }
                guard fewest...most ~= answer.inserted,
                    answer.inserted + answer.duplicates == readings[index].count
                else {
                    throw Violation(
                        description: "answered \(answer), but of \(readings[index]) new are \(expected[index])")
                }
                guard positions.insert(answer.position).inserted else {
                    throw Violation(description: "position \(answer.position) was given twice")
                }
                for case (let key, let power?) in readings[index].map({ ($0.key, keys[$0.key]) }) {
                    promised.insert(Sent(key: key, power: power))
                }
                known = keys
                fading.subtract(readings[index].map(\.key))
                tally.acknowledged += 1
            case .success(nil): throw Violation(description: "a batch was answered like a probe")
            case .failure(let failure):
                tally.refused += 1
                lastRefusal = failure.description
            }
        }
    }

    /// A batch of a few readings, from so few keys that many come again.
    private func batch() throws -> ((content: Batch, record: NewRecord), [Sent]) {
        var messages: [String] = []
        var readings: [Sent] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let device = "plug-\(Int.random(in: 0..<6, using: &random))"
            let minute = Int.random(in: 29_000_000..<29_000_030, using: &random)
            messages.append(
                "{\"src\":\"\(device)\",\"timestamp\":\(minute * 60),\"params\":{\"switch:0\":{\"apower\":\(nextPower)}}}"
            )
            readings.append(Sent(key: "\(device)_0_\(minute)", power: nextPower))
            nextPower += 1
        }
        sent.formUnion(readings)
        let padding = String(repeating: " ", count: Int.random(in: 0..<300, using: &random))
        let body = Array("{\"messages\":[\(messages.joined(separator: ","))]\(padding)}".utf8)
        let batch = try decoder.decode(body, receivedAt: Self.receivedAt)
        return ((batch, NewRecord(receivedAt: Self.receivedAt, body: body[...])), readings)
    }

    /// The loader's pass: each segment from its progress, rows and progress in one step, and then to `loaded/`.
    private func drain() throws {
        do throws(SpoolError) {
            let directory = try SpoolDirectory(existing: Self.path, disk: disk)
            try directory.synchronize()
            let segments = try directory.segments()
            for segment in segments {
                let file = try directory.openDurably(segment)
                var key = "\(segment.number)"
                let beginning = try SegmentReader(file, path: segment.path)
                if case .header(let header)? = try beginning.next() { key += header.created }
                let from = progress[key] ?? 0
                let reader = try SegmentReader(file, path: segment.path, from: from)
                var rows: [Sent] = []
                var isSealed = false
                var end = from
                while let event = try reader.next() {
                    switch event {
                    case .record(let record):
                        rows += readings(of: Array(record.body))
                        end = record.range.upperBound
                    case .footer:
                        isSealed = true
                        end = reader.offset
                    case .header, .damage: end = max(end, reader.offset)
                    case .tornTail: break
                    }
                }
                // The transaction.
                for row in rows where table[row.key] == nil { table[row.key] = row.power }
                progress[key] = max(from, end)
                tally.loaded += rows.count
                if isSealed || segment.number != segments.last?.number { finished.insert(key) }
                if !segment.isLoaded, isSealed || segment.number != segments.last?.number {
                    try directory.moveToLoaded(segment.number)
                }
            }
        } catch {
            return
        }
    }

    /// Retention, as the loader's own code does it.
    private func prune() throws {
        let before = segments()
        let retention = Retention(age: .seconds(86_400), bytes: Int.random(in: 0...10_000, using: &random))
        do throws(SpoolError) {
            let directory = try SpoolDirectory(existing: Self.path, disk: disk)
            tally.pruned += try directory.prune(retention, now: Self.receivedAt) { header in
                finished.contains("\(header.segment)" + header.created)
            }.segments.count
        } catch {
            // Whatever it had removed until then is removed.
        }
        let left = segments()
        let gone = before.filter { left[$0.key] == nil }
        for reading in gone.values.joined() {
            guard table[reading.key] != nil else {
                throw Violation(description: "\(reading) was pruned and is not in the table (invariant 7)")
            }
        }
        let kept = Dictionary(recovered().map { ($0.key, $0.power) }) { first, _ in first }
        for reading in gone.values.joined() {
            promised.remove(reading)
            guard known[reading.key] == reading.power else { continue }
            known[reading.key] = kept[reading.key]
            if kept[reading.key] == nil { fading.insert(reading.key) }
        }
        guard (left.keys.max() ?? "") == (before.keys.max() ?? "") else {
            throw Violation(description: "the newest segment was pruned; its number would come again (invariant 4)")
        }
    }

    private func readings(of body: [UInt8]) -> [Sent] {
        guard let batch = try? decoder.decode(body, receivedAt: Self.receivedAt) else { return [] }
        return batch.readings.map { reading in
            let key = IdempotencyKey.text(
                device: batch.devices[reading.device], channel: reading.channel, minute: reading.minute)
            return Sent(key: key, power: reading.power)
        }
    }

    /// What is in the spool, read by an eye of its own that knows the format from its document alone.
    private func recovered() -> [Sent] {
        segments().sorted { $0.key < $1.key }.flatMap(\.value)
    }

    /// The readings of each segment by its file's name.
    private func segments() -> [String: [Sent]] {
        let files = disk.contents(of: Self.path.appending("pending"))
            .merging(disk.contents(of: Self.path.appending("loaded"))) { $1 }
        return files.mapValues { bytes in
            bytes.split(separator: UInt8(ascii: "\n")).flatMap { line -> [Sent] in
                let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 4)
                guard parts.count == 5, parts[0].count == 8,
                    let length = Int(String(decoding: parts[3], as: UTF8.self)), length == parts[4].count,
                    Self.checksum(line.dropFirst(9)) == String(decoding: parts[0], as: UTF8.self)
                else { return [] }
                return readings(of: Array(parts[4]))
            }
        }
    }

    /// CRC-32C byte by byte, from its polynomial.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> String {
        var crc = UInt32.max
        bytes.withUnsafeBufferPointer { bytes in
            for byte in bytes { crc = crc >> 8 ^ remainders[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
        }
        let text = String(~crc, radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    private static let remainders: [UInt32] = (0..<256 as Range<UInt32>).map { byte in
        (0..<8).reduce(byte) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }

    /// What must hold at any moment, and is looked at when something has happened to the disk.
    private func check() throws {
        let found = Set(recovered())
        if let lost = promised.subtracting(found).first {
            throw Violation(
                description: "\(lost) was acknowledged, or others as its duplicates, and is lost (invariants 1 and 3)")
        }
        if let invented = found.subtracting(sent).first {
            throw Violation(description: "\(invented) was never sent")
        }
        for (key, power) in table where !sent.contains(Sent(key: key, power: power)) {
            throw Violation(description: "row \(key) \(power) was never sent")
        }
    }

    /// Without faults a fresh batch is taken, and all that was ever acknowledged gets into the table.
    private func finish() throws {
        if disk.isDead { try die() }
        if committer == nil { try start() }
        for _ in 0..<2 {
            let before = tally.acknowledged
            try commit()
            guard tally.acknowledged > before else {
                throw Violation(
                    description: "a batch is refused although the faults are over: \(lastRefusal) (invariant 5)")
            }
        }
        committer?.stop()
        committer = nil
        try check()
        try drain()
        if let lost = promised.first(where: { table[$0.key] == nil }) {
            throw Violation(description: "\(lost) was acknowledged and is not in the table (invariant 2)")
        }
        // A power cut now takes nothing away.
        disk.losePower()
        try check()
    }
}
