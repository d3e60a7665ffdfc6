import Glibc
import Ledger
import Message
import Readings
import Spool
import SystemPackage

/// `hot STEP MESSAGES TEMPLATE [COMPONENTS]`: takes batches of 100 messages through one step of the receiver's work, or
/// through all of them, and prints nanoseconds per message. COMPONENTS is as in INGEST_COMPONENTS. Making the batches is not timed. Under callgrind, two runs of different
/// length tell the instructions of a message.
@main
struct Hot {
    enum Step: String, CaseIterable {
        /// No step: the cost of making the batches.
        case none
        /// Parsing and validation.
        case decode
        /// Replacing line breaks by spaces.
        case breaks
        /// The same preparation as for the next two.
        case decoded
        /// Looking up and setting the minute keys, all of them new.
        case insert
        /// The record's line and its checksum, as the writer makes them.
        case record
        /// All of it, one after the other.
        case all
    }

    private static let batchMessages = 100
    /// As many as become durable together under load.
    private static let groupBatches = 16
    private static let devices = 10_000
    private static let receivedAt: Int64 = 1_800_000_000_000

    private let step: Step
    private var source: MessageBatch
    private let decoder: BatchDecoder
    private var ledger = MinuteLedger()
    private let writer: SpoolWriter
    private let padding = [UInt8](repeating: 0, count: BatchDecoder.padding)

    static func main() throws {
        let arguments = CommandLine.arguments
        guard 4...5 ~= arguments.count, let step = Step(rawValue: arguments[1]), let messages = Int(arguments[2]),
            let components = ReadingRules.components(named: arguments.count == 5 ? arguments[4] : "switch")
        else {
            print("usage: hot \(Step.allCases.map(\.rawValue).joined(separator: "|")) MESSAGES TEMPLATE [COMPONENTS]")
            exit(64)
        }
        let file = try FileDescriptor.open(FilePath(arguments[3]), .readOnly)
        let template = try [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
            count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
        }
        var hot = try Hot(step, template, ReadingRules(components: components, power: .sample))
        let groups = max(1, messages / (batchMessages * groupBatches))
        var spent = Duration.zero
        for _ in 0..<groups { spent += try hot.takeGroup() }
        print(spent / .nanoseconds(1) / Double(groups * groupBatches * batchMessages))
    }

    private init(_ step: Step, _ template: [UInt8], _ rules: ReadingRules) throws {
        self.step = step
        decoder = BatchDecoder(rules: rules)
        source = MessageBatch(template: template, messages: Self.batchMessages, devices: Self.devices, run: 1)
        writer = SpoolWriter(directory: try SpoolDirectory(creating: "/spool", disk: MemoryDisk()), newest: 0)
    }

    /// Takes one group of batches through the step; returns how long that took.
    private mutating func takeGroup() throws -> Duration {
        var bodies: [[UInt8]] = []
        for _ in 0..<Self.groupBatches {
            source.advance()
            bodies.append(source.body + padding)
        }
        var batches: [Batch] = []
        if step == .insert || step == .decoded { for body in bodies { batches.append(try decode(body)) } }
        var records: [NewRecord] = []
        if step == .record { for body in bodies { records.append(record(body[..<source.body.count])) } }
        var undoLog = MinuteLedger.UndoLog()

        let start = ContinuousClock.now
        switch step {
        case .none, .decoded: break
        case .decode: for body in bodies { _ = try decode(body) }
        case .breaks: for index in bodies.indices { _ = withoutLineBreaks(&bodies[index]) }
        case .insert: for batch in batches { _ = ledger.insert(batch, in: writer.next, undoLog: &undoLog) }
        case .record: _ = try writer.append(records)
        case .all:
            for index in bodies.indices {
                let batch = try decode(bodies[index])
                let text = withoutLineBreaks(&bodies[index])
                _ = ledger.insert(batch, in: writer.next, undoLog: &undoLog)
                records.append(record(text))
            }
            _ = try writer.append(records)
        }
        return start.duration(to: .now)
    }

    private func decode(_ body: [UInt8]) throws -> Batch {
        let result = body.withUnsafeBytes { bytes in
            Result { () throws(InvalidInput) in
                try decoder.decode(
                    UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - BatchDecoder.padding)]),
                    receivedAt: Self.receivedAt)
            }
        }
        return try result.get()
    }

    /// Takes the body over, so that it is changed in place, as the receiver does.
    private func withoutLineBreaks(_ body: inout [UInt8]) -> ArraySlice<UInt8> {
        var text = body[..<(body.count - BatchDecoder.padding)]
        body = []
        NewRecord.removeLineBreaks(in: &text)
        return text
    }

    private func record(_ text: ArraySlice<UInt8>) -> NewRecord {
        NewRecord(receivedAt: Self.receivedAt, body: text)
    }
}
