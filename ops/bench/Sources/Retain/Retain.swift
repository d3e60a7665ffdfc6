import Glibc
import Ledger
import Readings
import Spool
import SystemPackage

/// `retain SPOOL BYTES DEVICES`: makes a spool of so many bytes that needs hardly any disk: its records are holes in the
/// files. It has everything that a start reads: headers, footers, and digests of a fleet whose devices report four
/// channels each minute in messages of 1,030 bytes. Prints the number of segments.
@main
struct Retain {
    private static let batchMessages = 100
    private static let messageBytes = 1030
    /// The first message's minute, in October 2024.
    private static let firstMinute = 28_800_000

    private let directory: SpoolDirectory
    private let writer: SpoolWriter
    private let names: [Readings.DeviceID]
    /// The first message of the open segment, and the next one of all.
    private var first = 0
    private var next = 0

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let bytes = Int(arguments[2]), let devices = Int(arguments[3]) else {
            print("usage: retain SPOOL BYTES DEVICES")
            exit(64)
        }
        var retain = try Retain(in: FilePath(arguments[1]), devices: devices)
        try retain.fill(bytes: bytes)
        print(try retain.directory.segments().count)
    }

    private init(in path: FilePath, devices: Int) throws {
        directory = try SpoolDirectory(creating: path)
        writer = SpoolWriter(directory: try SpoolDirectory(existing: path, disk: HoleDisk()), newest: 0)
        names = try (0..<devices).map { try Readings.DeviceID("shellypro4pm-\(String($0, radix: 16))-\(devices)") }
    }

    private mutating func fill(bytes: Int) throws {
        let body = [UInt8](repeating: UInt8(ascii: "-"), count: Self.messageBytes * Self.batchMessages)
        while next < bytes / Self.messageBytes {
            let record = NewRecord(receivedAt: Int64(time(nil)) * 1000, body: body[...])
            let group = Array(repeating: record, count: 20)
            _ = try writer.append(group)
            next += group.count * Self.batchMessages
            if writer.isDue { seal() }
        }
        seal()
    }

    private mutating func seal() {
        guard let sealed = writer.seal() else { return }
        directory.write(digest(of: sealed))
        directory.mergeDigests()
        first = next
    }

    /// The digest of a segment with the messages from `first` to `next`.
    private func digest(of sealed: SpoolWriter.Sealed) -> LedgerDigest {
        var keys = SegmentKeys.Collection()
        for device in 0..<min(names.count, next) {
            var minute = max(0, (first - device + names.count - 1) / names.count)
            let last = (next - 1 - device) / names.count
            guard minute <= last else { continue }
            let message = LastMessage(time: Int64(60 * (Self.firstMinute + last)), missing: nil)
            while minute <= last {
                let (day, ofDay) = (Self.firstMinute + minute).quotientAndRemainder(dividingBy: 1440)
                let count = min(last - minute + 1, 32 - ofDay % 32)
                keys.add(
                    names[device], message, UInt32(day) << 4 | 0xF, word: UInt16(ofDay / 32),
                    UInt32((UInt64(1) << count) - 1) << UInt32(ofDay % 32))
                minute += count
            }
        }
        return LedgerDigest(
            spool: directory.identity, segment: sealed.number, created: sealed.created, records: sealed.records,
            bytes: sealed.bytes, keys: keys.numbered)
    }
}
