import Seeds
import SystemPackage
import Testing

@testable import Spool

/// For any change to a segment's bytes, the reader returns only records that were written, and accounts for every byte
/// (invariant 7).
struct SegmentReaderFuzzTests {
    private typealias Finding = Fuzzing.Finding

    private struct Written: Hashable {
        let sequence: Int
        let receivedAt: Int64
        let body: [UInt8]
    }

    /// An event of the reader, without its buffer.
    private enum Event: Equatable {
        case header, footer
        case record(Written, Range<Int>)
        case damage(Range<Int>)
        case tornTail(Range<Int>)
    }

    @Test func recordsReadWereWrittenAndEveryByteIsAccountedFor() throws {
        try Fuzzing.run("segment") { seed in
            var random = SeededGenerator(seed: seed)
            let (intact, records) = segment(&random)
            var bytes = intact
            let mutations = random.oneIn(3) ? Int.random(in: 2...5, using: &random) : 1
            var touched = 0..<0
            for _ in 0..<mutations { touched = random.mutate(&bytes) }
            do {
                let (events, ends) = try read(bytes, from: 0, seed)
                try checkTiling(events, ends, count: bytes.count)
                let found = events.compactMap { if case .record(let record, _) = $0 { record } else { nil } }
                let written = Set(records.map(\.0))
                if let invented = found.first(where: { !written.contains($0) }) {
                    throw Objection("record \(invented.sequence) was never written")
                }
                if mutations == 1 { try checkSurvivors(of: records, touched, Set(found)) }
                // A reader that starts after any event gets the same remaining events. Only the damage for a record's
                // missing line break is not repeated.
                let places = ends.indices.filter { !events[...$0].contains(.footer) }
                if let place = places.randomElement(using: &random) {
                    let end = ends[place]
                    let rest = events[(place + 1)...].drop { $0 == .damage((end - 1)..<end) }
                    guard try read(bytes, from: end, seed &+ 1).events == Array(rest) else {
                        throw Objection("a reader from byte \(end) on returns other events")
                    }
                }
            } catch let objection as Objection {
                throw Finding(message: objection.message, input: bytes)
            } catch let error as SpoolError {
                throw Finding(message: error.description, input: bytes)
            }
        }
    }

    /// The same for a compressed segment, whose offsets are those of its text. Its frames end anywhere, not with lines.
    @Test func recordsOfACompressedSegmentWereWrittenAndEveryByteIsAccountedFor() throws {
        let compressor = try ZstdCompressor()
        try Fuzzing.run("compressed") { seed in
            var random = SeededGenerator(seed: seed)
            let (plain, records) = segment(&random)
            var table = SeekTable()
            var bytes: [UInt8] = []
            while table.textBytes < plain.count {
                let rest = plain[table.textBytes...]
                let frame = try compressor.frame(of: Array(rest.prefix(Int.random(in: 1...700, using: &random))))
                bytes += frame
                table.append(bytes: frame.count, text: min(rest.count, ZstdFrame.contentBytes(frame[...]) ?? 0))
            }
            bytes += table.encoded
            for _ in 0..<Int.random(in: 0...3, using: &random) { _ = random.mutate(&bytes) }
            do {
                let file = try CompressedSegment(MemoryFile(bytes, seed: seed))
                let (events, ends) = try read(file, from: 0)
                try checkTiling(events, ends, count: file.size())
                let written = Set(records.map(\.0))
                for case .record(let record, _) in events where !written.contains(record) {
                    throw Objection("record \(record.sequence) was never written")
                }
            } catch let objection as Objection {
                throw Finding(message: objection.message, input: bytes)
            } catch let error as SpoolError {
                throw Finding(message: error.description, input: bytes)
            }
        }
    }

    private struct Objection: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    /// A segment, sealed or not, and the range of each of its records.
    private func segment(_ random: inout SeededGenerator) -> ([UInt8], [(Written, Range<Int>)]) {
        var bytes = SegmentFormat.line(
            SegmentHeader(
                format: SegmentHeader.formatName, version: SegmentHeader.knownVersion, spool: "8de0", segment: 17,
                predecessor: SegmentHeader.Predecessor(segment: 16, records: 2), created: "2026-11-23T20:21:19.395Z",
                rules: nil))
        var records: [(Written, Range<Int>)] = []
        for sequence in 1...Int.random(in: 1...12, using: &random) {
            let length =
                random.oneIn(4) ? Int.random(in: 0...3000, using: &random) : Int.random(in: 0...60, using: &random)
            let body = Array("{\"\(sequence)\":".utf8) + random.bytes(length).map { $0 == 0x0A ? 0x20 : $0 }
            let record = Written(
                sequence: sequence, receivedAt: Int64.random(in: 0...1_800_000_000_000, using: &random),
                body: body)
            let start = bytes.count
            SegmentFormat.appendPrefix(
                sequence: sequence, receivedAt: record.receivedAt, body: record.body[...], to: &bytes)
            bytes += record.body + "\n".utf8
            records.append((record, start..<bytes.count))
        }
        if random.oneIn(2) {
            bytes += SegmentFormat.line(
                SegmentFooter(
                    end: SegmentHeader.formatName, segment: 17, records: records.count, bytes: bytes.count))
        }
        return (bytes, records)
    }

    /// The events, and the offset after each.
    private func read(
        _ bytes: [UInt8], from offset: Int, _ seed: UInt64
    ) throws(SpoolError) -> (events: [Event], ends: [Int]) {
        try read(MemoryFile(bytes, seed: seed), from: offset)
    }

    private func read(_ file: any DiskFile, from offset: Int) throws(SpoolError) -> (events: [Event], ends: [Int]) {
        let reader = try SegmentReader(file, path: "segment", from: offset)
        var events: [Event] = []
        var ends: [Int] = []
        while let event = try reader.next() {
            switch event {
            case .header:
                events.append(.header)
                ends.append(reader.offset)
            case .footer:
                events.append(.footer)
                ends.append(reader.offset)
            case .record(let record):
                let written = Written(
                    sequence: record.sequence, receivedAt: record.receivedAt, body: Array(record.body))
                events.append(.record(written, record.range))
                ends.append(record.range.upperBound)
            case .damage(let damage):
                events.append(.damage(damage.range))
                ends.append(damage.range.upperBound)
            case .tornTail(let range):
                events.append(.tornTail(range))
                ends.append(range.upperBound)
            }
        }
        return (events, ends)
    }

    /// Every byte belongs to one event, in order. A record without its line break is followed by damage of that one
    /// byte.
    private func checkTiling(_ events: [Event], _ ends: [Int], count: Int) throws {
        var position = 0
        for (event, end) in zip(events, ends) {
            switch event {
            case .record(_, let range), .tornTail(let range):
                guard range.lowerBound == position else { throw Objection("\(range) does not follow \(position)") }
            case .damage(let range):
                guard !range.isEmpty, range.lowerBound == position || range == (position - 1)..<position else {
                    throw Objection("damage \(range) does not follow \(position)")
                }
            case .header, .footer:
                guard end > position else { throw Objection("a line ends at \(end), before \(position)") }
            }
            position = end
        }
        guard position == count else { throw Objection("the last event ends at \(position), the segment at \(count)") }
    }

    /// A record is found unless its bytes or the line break before it were changed.
    private func checkSurvivors(
        of records: [(Written, Range<Int>)], _ touched: Range<Int>, _ found: Set<Written>
    ) throws {
        for (record, range) in records where !touched.overlaps((range.lowerBound - 1)..<range.upperBound) {
            guard found.contains(record) else {
                throw Objection(
                    "record \(record.sequence) at \(range) is not found, though only \(touched) was changed")
            }
        }
    }
}
