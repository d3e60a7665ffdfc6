import CZstd
import Logging
import Readings
import Seeds
import Spool
import SystemPackage
import Time

@testable import Commit
@testable import Ledger

/// The life of a spool, chosen by a seed: commits, failures, deaths, power cuts, restarts, drains, rotations, prunings,
/// compressions, replays and restored databases. It checks each answer, and after each
/// start and death and at the end it checks the promises of the receiver and the loader.
///
/// The receiver's part is the product's own code, from the ledger down to the `Disk` protocol, without its threads. The
/// loader's part is the product's reader and directory, with a table in memory whose transactions never fail half-way.
/// The loader can run between any two operations of the receiver.
final class Simulation {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// How often each kind of event happened, to check that the seeds covered it.
    struct Tally {
        var acknowledged = 0
        var refused = 0
        var deaths = 0
        var powerCuts = 0
        var faults = 0
        var loaded = 0
        var pruned = 0
        var compressed = 0
        var replays = 0
        var restores = 0
        var rotations = 0
        var interludes = 0
        var overlaps = 0

        static func += (left: inout Tally, right: Tally) {
            left.acknowledged += right.acknowledged
            left.refused += right.refused
            left.deaths += right.deaths
            left.powerCuts += right.powerCuts
            left.faults += right.faults
            left.loaded += right.loaded
            left.pruned += right.pruned
            left.compressed += right.compressed
            left.replays += right.replays
            left.restores += right.restores
            left.rotations += right.rotations
            left.interludes += right.interludes
            left.overlaps += right.overlaps
        }
    }

    /// A reading's key and, as its power, the number that no other reading has.
    private struct Sent: Hashable {
        let key: String
        let power: Double
    }

    /// A short path: a debug build of swift-system checks every byte of a path again and again.
    private static let path: FilePath = "/a/b"
    private static let receivedAt: Int64 = 1_795_392_000_000
    private static let segmentAge = Duration.seconds(3600)

    let disk: SimulatedDisk
    private(set) var tally = Tally()
    private var random: SeededGenerator
    private let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    private let decoder = BatchDecoder()
    private var committer: Committer?
    private var nextPower = 1.0
    /// The cause of the last refused batch or failed start.
    private var lastRefusal = "no receiver"

    // The model: the expected state.
    private var sent: Set<Sent> = []
    /// Readings that a 200 has counted as inserted, and readings whose duplicates a 200 has counted.
    private var promised: Set<Sent> = []
    /// Readings of durable records: acknowledged ones, and those that a start has found and therefore synchronized.
    private var durable: Set<Sent> = []
    /// The keys that the receiver must count as duplicates, each with the reading that had it first. No other key may
    /// count as one.
    private var known: [String: Double] = [:]
    /// Keys whose records were pruned. The ledger drops such a key at its next opportunity, and not before the other
    /// keys of its page.
    private var fading: Set<String> = []
    private var positions: Set<SpoolPosition> = []
    private var database = Database()
    private var backup = Database()
    /// The newest segment, and the time at which its first position was given.
    private var begun: (segment: Int, at: ManualClock.Instant)?
    /// The newest segment that has reached its maximum age; no later record may be in it.
    private var outlived = 0
    /// Caches: the readings of bodies, the records of files and the text of compressed files.
    private var readings: [String: [Sent]] = [:]
    private var seen: [String: (bytes: [UInt8], found: Found)] = [:]
    private var texts: [String: (bytes: [UInt8], text: [UInt8])] = [:]
    /// The first violation that an interlude or a replay found.
    private var violation: Violation?

    private struct Database {
        /// Rows by key.
        var table: [String: Double] = [:]
        /// The loaded bytes of each segment, by number and time of creation.
        var progress: [String: Int] = [:]
        var finished: Set<String> = []
    }

    init(seed: UInt64) {
        disk = SimulatedDisk(seed: seed &* 3 &+ 1)
        random = SeededGenerator(seed: seed)
    }

    /// Runs so many random steps with faults of all kinds, then checks that everything works and is complete without
    /// faults.
    func run(steps: Int) throws {
        for _ in 0..<steps { try disk.isDead ? die() : step() }
        disk.fault = { _, _ in nil }
        try finish()
    }

    /// The steps of a script.
    enum Step {
        case start, commit, overlappingCommit, failingCommit, stop, drain, compress, prune, replay, backUp, restore,
            wait
        case powerCut

        /// Every kind of step, for a fault at each operation in turn.
        static let everything: [Self] = [
            .start, .commit, .drain, .commit, .stop, .backUp, .start, .commit, .drain, .compress, .prune, .wait,
            .commit,
            .restore, .start, .replay, .drain, .overlappingCommit,
        ]
    }

    /// Runs the steps in this order, then checks that everything works and is complete without faults.
    func run(script: [Step]) throws {
        try live(script)
        disk.fault = { _, _ in nil }
        try finish()
    }

    func live(_ script: [Step]) throws {
        for step in script { try disk.isDead ? die() : live(step) }
    }

    private func live(_ step: Step) throws {
        switch step {
        case .start: try start()
        case .commit: try commit(groups: 1)
        case .overlappingCommit: try commit(groups: 2)
        case .failingCommit:
            disk.fault = { _, operation in operation == .synchronize ? .fails(.ioError) : nil }
            try commit(groups: 1)
            disk.fault = { _, _ in nil }
        case .stop: committer?.stop()
        case .drain: try drain()
        case .compress: compress()
        case .prune: try prune()
        case .replay: try replay()
        case .backUp: backup = database
        case .restore:
            database = backup
            tally.restores += 1
        case .wait: wait(Self.segmentAge)
        case .powerCut: try die(losingPower: true)
        }
    }

    private func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30: try live(.commit)
        case 30..<45: try live(.overlappingCommit)
        case 45..<54: try live(.drain)
        case 54..<57: try live(.compress)
        case 57..<60: try live(.prune)
        case 60..<62: try live(.replay)
        case 62..<63: try live(.backUp)
        case 63..<64: try live(.restore)
        case 64..<66: wait(.seconds(Int.random(in: 0..<5000, using: &random)))
        case 66..<76: armFault()
        case 76..<79: try live(.stop)
        case 79..<84: try die(losingPower: false)
        case 84..<90: try die(losingPower: true)
        default: try live(.start)
        }
        if let violation { throw violation }
    }

    /// Plans a fault at one of the next operations, or at nine in a row, and sometimes a second and a third one after
    /// it.
    private func armFault() {
        var faults: [(ClosedRange<Int>, SimulatedDisk.Fault)] = []
        var first = disk.operations + Int.random(in: 0..<12, using: &random)
        repeat {
            let last = first + (Int.random(in: 0..<4, using: &random) == 0 ? 8 : 0)
            let fault: SimulatedDisk.Fault =
                switch Int.random(in: 0..<8, using: &random) {
                case 0: .fails(.noSpace)
                case 1, 2: .fails(.ioError)
                case 3: .fails(.interrupted)
                case 4: .short
                case 5: .slow(.seconds(Int.random(in: 1..<5000, using: &random)))
                case 6: .death(after: false)
                default: .death(after: true)
                }
            faults.append((first...last, fault))
            first = last + Int.random(in: 1...4, using: &random)
            tally.faults += 1
        } while faults.count < 3 && Int.random(in: 0..<3, using: &random) == 0
        disk.fault = { number, _ in faults.first { $0.0.contains(number) }?.1 }
    }

    /// No batch arrives for this duration; then the commit thread checks whether a rotation is due.
    private func wait(_ duration: Duration) {
        disk.clock.advance(duration)
        guard committer != nil else { return }
        committer?.rotateIfDue()
        // A segment of this age is closed, even if its footer could not be written.
        if let begun, begun.at.duration(to: disk.clock.now) >= Self.segmentAge {
            outlived = begun.segment
            tally.rotations += 1
        }
    }

    /// Sometimes lets the loader compress or drain during the receiver's next operations.
    private func interlude() {
        guard Int.random(in: 0..<4, using: &random) == 0 else { return }
        let operation = disk.operations + Int.random(in: 0..<10, using: &random)
        disk.interlude = (
            operation,
            { [unowned self] in
                tally.interludes += 1
                if random.oneIn(3) { compress() }
                do { try drain() } catch { violation = violation ?? Violation(description: "\(error)") }
            }
        )
    }

    private func die() throws { try die(losingPower: Bool.random(using: &random)) }

    /// The receiver's process dies, with a power cut or without.
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

    /// Starts a new receiver. If the one before still lives, it ends without a stop.
    private func start() throws {
        committer = nil
        interlude()
        defer { disk.interlude = nil }
        var isWhole = false
        do throws(SpoolError) {
            let directory = try SpoolDirectory(creating: Self.path, disk: disk)
            let recovery: SpoolRecovery
            do {
                recovery = try SpoolRecovery(of: directory, logger: logger, readers: 1)
            } catch let error as SpoolError {
                throw error
            } catch {
                preconditionFailure("\(error)")
            }
            isWhole = recovery.unreadable.isEmpty
            var limits = SpoolWriter.Limits()
            limits.segmentBytes = Int.random(in: 1000...16_000, using: &random)
            limits.segmentAge = Self.segmentAge
            committer = Committer(
                ledger: recovery.ledger,
                writer: SpoolWriter(
                    directory: directory, newest: recovery.newest,
                    newestRecords: recovery.records[recovery.newest] ?? 0, limits: limits, clock: disk.clock),
                ledgerBytes: .max, spoolState: SpoolState(records: recovery.records), logger: logger)
        } catch {
            // A receiver that cannot start logs the error and ends; it has acknowledged nothing.
            lastRefusal = error.description
            return
        }
        let found = recovered()
        durable.formUnion(found)
        known = Dictionary(found.map { ($0.key, $0.power) }) { first, _ in first }
        // The ledger lacks the keys of an unreadable segment. The model does not know which ones, so it counts all keys
        // as fading.
        fading = isWhole ? [] : Set(known.keys)
        try check()
    }

    /// Commits one group, or two: the second is written during the sync of the first.
    private func commit(groups: Int, withProbes: Bool = true) throws {
        guard committer != nil else { return try start() }
        var groups = try (0..<groups).map { _ in try group(withProbes: withProbes) }
        var pending: [[Sent]] = []
        func write() {
            guard !groups.isEmpty else { return }
            let group = groups.removeFirst()
            committer?.write(group.map(\.batch))
            pending += group.map(\.readings)
        }
        interlude()
        write()
        while let sync = committer?.pendingSync {
            let isEarly = Bool.random(using: &random)
            if isEarly { writeMeanwhile() }
            let result = sync.run()
            if !isEarly { writeMeanwhile() }
            let outcomes = committer?.complete(sync, result) ?? []
            guard outcomes.count <= pending.count else {
                throw Violation(description: "\(outcomes.count) answers for \(pending.count) batches")
            }
            try check(outcomes, of: Array(pending.prefix(outcomes.count)))
            pending.removeFirst(outcomes.count)
            if committer?.isIdle == true { write() }
        }
        disk.interlude = nil
        guard pending.isEmpty, groups.isEmpty else {
            throw Violation(description: "\(pending.count) batches got no answer")
        }

        func writeMeanwhile() {
            guard let room = committer?.roomAhead, room > 0, !groups.isEmpty else { return }
            tally.overlaps += 1
            write()
        }
    }

    /// Compares the answers with those that the model expects.
    private func check(_ outcomes: [CommitOutcome], of batches: [[Sent]]) throws {
        var hasFailed = false
        for (readings, outcome) in zip(batches, outcomes) {
            switch outcome {
            case .success(let answer?):
                // Only the ledger knows whether a fading key still counts, so the model accepts both. From now on the
                // key belongs to this reading.
                var keys = known.filter { !fading.contains($0.key) }
                let expected = readings.filter { reading in
                    if keys[reading.key] == nil { keys[reading.key] = reading.power }
                    return keys[reading.key] == reading.power
                }
                let fewest = expected.count { !fading.contains($0.key) }
                let most = readings.count { expected.contains($0) || fading.contains($0.key) }
                guard fewest...most ~= answer.inserted, answer.inserted + answer.duplicates == readings.count else {
                    throw Violation(description: "answer \(answer), but the new ones of \(readings) are \(expected)")
                }
                guard !hasFailed else {
                    throw Violation(description: "\(answer.position) acknowledged behind a failed batch (invariant 5)")
                }
                guard positions.insert(answer.position).inserted else {
                    throw Violation(description: "position \(answer.position) was given twice (invariant 4)")
                }
                guard answer.position.segment > outlived else {
                    throw Violation(description: "\(answer.position) is in a segment that was due for rotation")
                }
                if begun?.segment != answer.position.segment {
                    begun = (answer.position.segment, disk.clock.now)
                }
                for case (let key, let power?) in readings.map({ ($0.key, keys[$0.key]) }) {
                    promised.insert(Sent(key: key, power: power))
                }
                durable.formUnion(readings)
                known.merge(keys) { _, new in new }
                fading.subtract(readings.map(\.key))
                tally.acknowledged += 1
            case .success(nil):
                guard readings.isEmpty else { throw Violation(description: "a batch was answered like a probe") }
            case .failure(let failure):
                hasFailed = true
                tally.refused += 1
                lastRefusal = failure.description
            }
        }
    }

    /// One to four batches, a probe, or a probe in front of batches.
    private func group(withProbes: Bool) throws -> [(batch: (content: Batch, record: NewRecord)?, readings: [Sent])] {
        let probe: [(batch: (content: Batch, record: NewRecord)?, readings: [Sent])] =
            withProbes && random.oneIn(8) ? [(nil, [])] : []
        guard probe.isEmpty || random.oneIn(2) else { return probe }
        return try probe + (0..<Int.random(in: 1...4, using: &random)).map { _ in try batch() }
    }

    /// A batch of a few readings. There are so few keys that many of them repeat.
    private func batch() throws -> (batch: (content: Batch, record: NewRecord)?, readings: [Sent]) {
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
        // A few bodies are so long that each is written alone, without its neighbours.
        let spaces = random.oneIn(40) ? 32_768 : Int.random(in: 0..<300, using: &random)
        let padding = String(repeating: " ", count: spaces)
        let body = Array("{\"messages\":[\(messages.joined(separator: ","))]\(padding)}".utf8)
        let batch = try decoder.decode(body, receivedAt: Self.receivedAt)
        return ((batch, NewRecord(receivedAt: Self.receivedAt, body: body[...])), readings)
    }

    /// The loader's pass: loads each segment from its progress, rows and progress in one step, and then moves it to
    /// `loaded/`.
    private func drain() throws {
        do throws(SpoolError) {
            let directory = try SpoolDirectory(existing: Self.path, disk: disk)
            try directory.synchronize()
            let segments = try directory.segments()
            for segment in segments {
                let file = try directory.openAndSynchronize(segment)
                var key = "\(segment.number)"
                let beginning = try SegmentReader(file, path: segment.path)
                if case .header(let header)? = try beginning.next() { key += header.created }
                let from = database.progress[key] ?? 0
                let reader = try SegmentReader(file, path: segment.path, from: from)
                var rows: [Sent] = []
                var isSealed = false
                var end = from
                while let event = try reader.next() {
                    switch event {
                    case .record(let record):
                        rows += readings(of: record.body)
                        end = record.range.upperBound
                    case .footer:
                        isSealed = true
                        end = reader.offset
                    case .header, .damage: end = max(end, reader.offset)
                    case .tornTail: break
                    }
                }
                // The transaction.
                for row in rows where database.table[row.key] == nil { database.table[row.key] = row.power }
                database.progress[key] = max(from, end)
                tally.loaded += rows.count
                if isSealed || segment.number != segments.last?.number { database.finished.insert(key) }
                if !segment.isLoaded, isSealed || segment.number != segments.last?.number {
                    try directory.moveToLoaded(segment.number)
                }
            }
        } catch {
            return
        }
    }

    /// Compresses with the loader's own code, in frames of a few records.
    private func compress() {
        do throws(SpoolError) {
            let directory = try SpoolDirectory(existing: Self.path, disk: disk)
            for segment in try directory.segments().dropLast() where segment.isLoaded && !segment.isCompressed {
                let frameBytes = Int.random(in: 300...3000, using: &random)
                if try directory.compress(segment, frameBytes: frameBytes) != nil { tally.compressed += 1 }
            }
        } catch {
            return
        }
    }

    /// Loads everything that the spool holds twice. In the first turn only records beyond the progress may be new, in
    /// the second turn none.
    private func replay() throws {
        tally.replays += 1
        let progress = database.progress
        for turn in 0..<2 {
            do throws(SpoolError) {
                let directory = try SpoolDirectory(existing: Self.path, disk: disk)
                for segment in try directory.segments() {
                    let file: any DiskFile
                    do throws(Errno) { file = try disk.openSegment(segment.path) } catch { return }
                    var loaded = 0
                    let reader = try SegmentReader(file, path: segment.path)
                    while let event = try reader.next() {
                        if case .header(let header) = event {
                            loaded = progress["\(segment.number)\(header.created)"] ?? 0
                        }
                        guard case .record(let record) = event else { continue }
                        for row in readings(of: record.body) where database.table[row.key] == nil {
                            guard turn == 0, record.range.upperBound > loaded else {
                                violation =
                                    violation
                                    ?? Violation(
                                        description: "\(row) in \(segment.path) is new to a replay, but \(loaded) "
                                            + "bytes of it are loaded (invariants 2 and 6)")
                                return
                            }
                            database.table[row.key] = row.power
                        }
                    }
                }
            } catch {
                return
            }
        }
    }

    /// Prunes with the loader's own code.
    private func prune() throws {
        let before = Dictionary(uniqueKeysWithValues: segments().map { ($0.name, $0.readings) })
        let retention = Retention(age: .seconds(86_400), bytes: Int.random(in: 0...10_000, using: &random))
        do throws(SpoolError) {
            let directory = try SpoolDirectory(existing: Self.path, disk: disk)
            tally.pruned += try directory.prune(retention, now: Timestamp(unixMilliseconds: Self.receivedAt)) {
                header in
                database.finished.contains("\(header.segment)" + header.created)
            }.segments.count
        } catch {
            // The files that it removed before the error are gone.
        }
        let left = Dictionary(uniqueKeysWithValues: segments().map { ($0.name, $0.readings) })
        let gone = before.filter { left[$0.key] == nil }
        for reading in gone.values.joined() {
            guard database.table[reading.key] != nil else {
                throw Violation(description: "\(reading) was pruned and is not in the table (invariant 7)")
            }
        }
        // Only durable readings keep a key known. A record of a failed group does not count, even if it can be read.
        let stillDurable = recovered().filter(durable.contains)
        let kept = Dictionary(stillDurable.map { ($0.key, $0.power) }) { first, _ in first }
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

    private func readings(of body: some Collection<UInt8>) -> [Sent] {
        let text = String(decoding: body, as: UTF8.self)
        if let known = readings[text] { return known }
        let found = decoded(Array(body))
        readings[text] = found
        return found
    }

    private func decoded(_ body: [UInt8]) -> [Sent] {
        guard let batch = try? decoder.decode(body, receivedAt: Self.receivedAt) else { return [] }
        return batch.readings.map { reading in
            let key = IdempotencyKey.text(
                device: batch.devices[reading.device], channel: reading.channel, minute: reading.minute)
            return Sent(key: key, power: reading.power)
        }
    }

    /// The readings in the spool's files. A reader of its own decodes them, written after the format's document alone.
    private func recovered() -> [Sent] { segments().flatMap(\.readings) }

    private struct Found {
        let name: String
        /// Number and time of creation, as in `Database.progress`.
        let key: String
        /// The whole records: the end of each, and its readings.
        let records: [(end: Int, readings: [Sent])]

        var readings: [Sent] { records.flatMap(\.readings) }
    }

    private func segments() -> [Found] {
        let names = disk.contents(of: Self.path.appending("pending"))
            .merging(disk.contents(of: Self.path.appending("loaded"))) { $1 }
        var files: [String: [UInt8]] = [:]
        for (name, bytes) in names {
            guard name.hasSuffix(".zst") else { continue }
            let plain = String(name.dropLast(4))
            // Both files exist if the loader died before it removed the plain one, and both are whole.
            if names[plain] == nil { files[plain] = decompressed(name, bytes) }
        }
        for (name, bytes) in names where !name.hasSuffix(".zst") { files[name] = bytes }
        return files.sorted { $0.key < $1.key }.map { name, bytes in
            // Most files are unchanged, and two arrays that share their memory compare at once.
            if let seen = seen[name], seen.bytes == bytes { return seen.found }
            let lines = bytes.split(separator: UInt8(ascii: "\n"))
            let beginning = String(decoding: lines.first ?? [], as: UTF8.self).split(separator: "\"")
            let created = beginning.count > 3 && beginning[1] == "created" ? beginning[3] : ""
            let records = lines.compactMap { line -> (Int, [Sent])? in
                let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 4)
                guard line.endIndex < bytes.endIndex, parts.count == 5, parts[0].count == 8,
                    let length = Int(String(decoding: parts[3], as: UTF8.self)), length == parts[4].count,
                    Self.checksum(line.dropFirst(9)) == String(decoding: parts[0], as: UTF8.self)
                else { return nil }
                return (line.endIndex + 1, readings(of: parts[4]))
            }
            let found = Found(name: name, key: "\(Int(name.prefix(8)) ?? 0)\(created)", records: records)
            seen[name] = (bytes, found)
            return found
        }
    }

    /// The text of a compressed file, as zstdcat returns it; empty if the file is not whole.
    private func decompressed(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
        if let known = texts[name], known.bytes == bytes { return known.text }
        var text = [UInt8](repeating: 0, count: 1 << 20)
        let count = ZSTD_decompress(&text, text.count, bytes, bytes.count)
        text = ZSTD_isError(count) == 0 ? Array(text.prefix(count)) : []
        texts[name] = (bytes, text)
        return text
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

    /// Checks the promises that must hold at any time. Runs after each start and death, and at the end.
    private func check() throws {
        if let violation { throw violation }
        let segments = segments()
        let found = Set(segments.flatMap(\.readings))
        if let lost = promised.subtracting(found).first {
            throw Violation(
                description: "\(lost) is lost, although it or a duplicate of it was acknowledged (invariants 1 and 3)")
        }
        if let invented = found.subtracting(sent).first {
            throw Violation(description: "\(invented) was never sent")
        }
        for (key, power) in database.table where !sent.contains(Sent(key: key, power: power)) {
            throw Violation(description: "row \(key) \(power) was never sent")
        }
        for segment in segments {
            let progress = database.progress[segment.key] ?? 0
            for record in segment.records where record.end <= progress {
                for reading in record.readings where database.table[reading.key] == nil {
                    throw Violation(
                        description: "progress \(progress) of \(segment.name) is past \(reading), which is not in the "
                            + "table (invariants 4 and 6)")
                }
            }
        }
    }

    /// Checks that the receiver accepts batches again when the faults are over, and that every acknowledged reading
    /// gets into the table.
    private func finish() throws {
        if disk.isDead { try die() }
        if committer == nil { try start() }
        // A failed sync of the loader also fails the receiver's next sync of that file, and with it one batch.
        if disk.hasUnreportedFailures { try commit(groups: 1, withProbes: false) }
        for _ in 0..<2 {
            let before = tally.acknowledged
            try commit(groups: 1, withProbes: false)
            guard tally.acknowledged > before else {
                throw Violation(
                    description: "a batch is refused although the faults are over: \(lastRefusal) (invariant 5)")
            }
        }
        committer?.stop()
        committer = nil
        try check()
        try drain()
        if let lost = promised.first(where: { database.table[$0.key] == nil }) {
            throw Violation(description: "\(lost) was acknowledged and is not in the table (invariant 2)")
        }
        // A power cut now loses nothing, and a replay inserts nothing.
        disk.losePower()
        let rows = database.table.count
        try replay()
        guard database.table.count == rows else {
            throw Violation(description: "a replay of loaded segments added rows (invariant 2)")
        }
        try check()
    }
}
