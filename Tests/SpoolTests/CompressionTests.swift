import CZstd
import Foundation
import SystemPackage
import Testing

@testable import Spool

/// A compressed segment has the plain one's text, at least one of the two files exists at any time, and damage loses at
/// most one frame (invariants 3 and 7).
struct CompressionTests {
    let scratch = Scratch()
    let directory: SpoolDirectory
    /// The loaded segment's plain text.
    let plain: [UInt8]

    /// A segment with records of many lengths in `loaded/`, and the newest segment after it.
    init() throws {
        directory = try SpoolDirectory(creating: scratch.path.appending("spool"))
        let writer = SpoolWriter(directory: directory, newest: 0)
        _ = try writer.append(
            (0..<40).map { number in
                let value = String(repeating: "\(number * 7919 % 1000),", count: number * 37 % 50)
                return NewRecord(
                    receivedAt: Int64(1000 + number), body: Array("{\"values\":[\(value)\(number)]}".utf8)[...])
            })
        writer.seal()
        _ = try writer.append([NewRecord(receivedAt: 5000, body: Array("{}".utf8)[...])])
        try directory.moveToLoaded(1)
        plain = try scratch.contents(directory.loaded.appending("00000001.spool"))
    }

    private func first() throws -> SpoolDirectory.Segment { try #require(try directory.segments().first) }

    private var compressedFile: FilePath { directory.compressedPath(1) }

    /// Compresses in frames of about 500 bytes, and returns the file's bytes.
    private func compress() throws -> [UInt8] {
        _ = try #require(try directory.compress(first(), frameBytes: 500))
        return try scratch.contents(compressedFile)
    }

    private func frames(of bytes: [UInt8]) throws -> [SeekTable.Frame] {
        try #require(SeekTable(decodingEnd: bytes[...], fileBytes: bytes.count)).frames
    }

    private struct Found: Equatable {
        var records: [Int] = []
        var damage: [SegmentReader.Damage] = []
        var other: [String] = []
    }

    /// The events of a reader of the compressed file's bytes.
    private func read(_ bytes: [UInt8]) throws -> Found {
        let file = scratch.path.appending("00000001.spool.zst")
        try scratch.write(bytes, to: file)
        let reader = try SegmentReader(try SystemDisk().openSegment(file), path: file)
        var found = Found()
        while let event = try reader.next() {
            switch event {
            case .header: found.other.append("header")
            case .record(let record): found.records.append(record.sequence)
            case .damage(let damage): found.damage.append(damage)
            case .footer: found.other.append("footer")
            case .tornTail(let range): found.other.append("torn \(range)")
            }
        }
        return found
    }

    /// The records whose lines are in this part of the text.
    private func records(in text: Range<Int>) -> [Int] {
        plain[text].split(separator: UInt8(ascii: "\n")).compactMap { RecordPrefix(Array($0))?.sequence }
    }

    @Test func compressionKeepsTheTextAndRemovesThePlainFile() throws {
        let bytes = try compress()
        let segment = try first()
        #expect(segment.isCompressed && segment.isLoaded && segment.number == 1)
        #expect(try disk(names: directory.loaded) == ["00000001.spool.zst"])
        #expect(bytes.count < plain.count / 2)
        let file = try SystemDisk().openSegment(segment.path)
        #expect(try file.size() == plain.count)
        #expect(try file.bytes(0..<plain.count) == plain)
        // Other programs read the same text: they skip the seek table, which is a frame of its own.
        var text = [UInt8](repeating: 0, count: plain.count)
        #expect(ZSTD_decompress(&text, text.count, bytes, bytes.count) == plain.count && text == plain)
    }

    @Test func aReaderCanStartAtAnyRecord() throws {
        _ = try compress()
        let file = try SystemDisk().openSegment(compressedFile)
        let reader = try SegmentReader(file, path: compressedFile)
        var starts: [(Int, Int)] = []
        while let record = try reader.nextRecord() { starts.append((record.range.lowerBound, record.sequence)) }
        #expect(starts.count == 40)
        for (start, sequence) in starts.reversed() {
            #expect(try SegmentReader(file, path: compressedFile, from: start).nextRecord()?.sequence == sequence)
        }
        #expect(try file.segmentHeader()?.segment == 1 && file.segmentFooter()?.records == 40)
    }

    /// Frames of the default length, and a record that is longer than one.
    @Test func aLongRecordHasALongFrame() throws {
        let writer = SpoolWriter(directory: directory, newest: 2)
        let lengths = [2, 3_000_000, 700_000, 700_000, 700_000, 2]
        _ = try writer.append(lengths.map { NewRecord(receivedAt: 1, body: [UInt8](repeating: 0x20, count: $0)[...]) })
        writer.seal()
        let segment = try #require(try directory.segments().first { $0.number == 3 })
        try directory.moveToLoaded(3)
        let text = try scratch.contents(directory.loaded.appending("00000003.spool"))
        let moved = try #require(try directory.segments().first { $0.number == 3 })
        #expect(try directory.compress(moved)?.textBytes == text.count)
        #expect(try directory.openAndSynchronize(segment).bytes(0..<text.count) == text)
        let bytes = try scratch.contents(directory.compressedPath(3))
        let lengthsOfFrames = try frames(of: bytes).map(\.text.count)
        #expect(lengthsOfFrames.contains { $0 > 3_000_000 } && lengthsOfFrames.allSatisfy { $0 < 4_000_000 })
    }

    @Test func eachFlippedByteLosesOneFrameAndIsNamed() throws {
        let bytes = try compress()
        let frames = try frames(of: bytes)
        #expect(frames.count > 10)
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 0x10
            let found = try read(flipped)
            guard let index = frames.firstIndex(where: { $0.bytes.contains(place) }) else {
                // In the seek table: the reader reads everything from the start.
                #expect(found.records == Array(1...40) && found.other == ["header", "footer"], "\(place)")
                #expect(
                    found.damage.first?.reason.contains("seek table") == true && found.damage.count == 1,
                    "\(place) \(found.damage)")
                continue
            }
            // A bit without meaning.
            if found.records.count == 40, found.damage.isEmpty { continue }
            let frame = frames[index]
            let lost = records(in: frame.text)
            #expect(found.records == (1...40).filter { !lost.contains($0) }, "\(place)")
            #expect(found.damage.map(\.range) == [frame.text], "\(place)")
            let name =
                "frame \(index + 1) of the compressed file, its bytes \(frame.bytes.lowerBound) to \(frame.bytes.upperBound): "
            #expect(found.damage.first?.reason.hasPrefix(name) == true, "\(found.damage)")
            #expect(found.damage.first?.reason.hasSuffix("restore this file from a backup") == true)
        }
    }

    @Test func twoDamagedFramesAreBothNamed() throws {
        var bytes = try compress()
        let frames = try frames(of: bytes)
        for index in [3, 4, 7] { bytes[frames[index].bytes.upperBound - 2] ^= 1 }
        #expect(try read(bytes).damage.map(\.range) == [3, 4, 7].map { frames[$0].text })
    }

    @Test func aCutFileGivesItsWholeFrames() throws {
        let bytes = try compress()
        let frames = try frames(of: bytes)
        for length in bytes.indices {
            let found = try read(Array(bytes[..<length]))
            let whole = frames.filter { $0.bytes.upperBound <= length }
            #expect(found.records == records(in: 0..<(whole.last?.text.upperBound ?? 0)), "\(length)")
            #expect(found.damage.last?.reason.contains("seek table") == true, "\(length)")
            #expect(found.other.allSatisfy { ["header", "footer"].contains($0) })
        }
    }

    @Test func aDamagedFrameAndALostTableLoseOnlyThatFrame() throws {
        var bytes = try compress()
        let frames = try frames(of: bytes)
        bytes.removeLast(3)
        // The length of its first block, so the frame's own end is unknown.
        bytes[frames[5].bytes.lowerBound + 9] ^= 0x80
        let found = try read(bytes)
        let lost = records(in: frames[5].text)
        #expect(found.records == (1...40).filter { !lost.contains($0) })
        #expect(found.damage.count == 2)
    }

    @Test func aForeignFileIsReadAsFarAsPossible() throws {
        // One frame without a seek table, as other programs write it.
        var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(plain.count))
        frame.removeLast(frame.count - ZSTD_compress(&frame, frame.count, plain, plain.count, 3))
        let found = try read(frame)
        #expect(found.records == Array(1...40) && found.other == ["header", "footer"])
        #expect(found.damage.map(\.range) == [plain.count..<(plain.count + 1)])
        let noise = try read((0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) })
        #expect(noise.records.isEmpty && noise.damage.count == 1)
        #expect(try read([]).damage.count == 1)
        // A plain segment with the name of a compressed one.
        #expect(try read(plain).records.isEmpty)
        #expect(try !read(plain).damage.isEmpty)
    }

    @Test func aFrameWithAnExcessiveSizeAllocatesNoMemory() throws {
        var table = SeekTable()
        table.append(bytes: 100, text: 4_000_000_000)
        let found = try read([UInt8](repeating: 0x28, count: 100) + table.encoded)
        #expect(found.records.isEmpty && !found.damage.isEmpty)
    }

    /// A kill or a power cut between the rename and the removal leaves both files.
    @Test func thePlainFileIsReadUntilBothFilesAreCompared() throws {
        let bytes = try compress()
        let file = directory.loaded.appending("00000001.spool")
        try scratch.write(plain, to: file)
        #expect(try first().isCompressed == false)
        #expect(try directory.segments().map(\.number) == [1, 2])
        #expect(
            try directory.compress(first()) == SpoolDirectory.Compressed(textBytes: plain.count, bytes: bytes.count))
        #expect(try disk(names: directory.loaded) == ["00000001.spool.zst"])

        // A plain file that was put there by hand differs: nothing is destroyed to repair (invariant 7).
        try scratch.write(Array(plain.dropLast(20)), to: file)
        #expect { _ = try directory.compress(first()) } throws: { "\($0)".contains("compare the two and remove one") }
        #expect(try disk(names: directory.loaded).count == 2)
        #expect(try scratch.contents(compressedFile) == bytes)
    }

    @Test func aCancelledCompressionLeavesNoFile() throws {
        var calls = 0
        while true {
            let limit = calls
            calls = 0
            let result = try directory.compress(first(), frameBytes: 2000) {
                calls += 1
                return calls > limit
            }
            if result != nil { break }
            #expect(try disk(names: directory.loaded) == ["00000001.spool"])
            #expect(try !disk(names: directory.path).contains("compressed.new"))
        }
        #expect(calls > 4)
    }

    /// A loader that once runs as root must not take a segment away from the receiver's user.
    @Test(.enabled(if: geteuid() == 0, "only root can give a file away"))
    func theCompressedFileHasThePlainOnesOwner() throws {
        #expect(chown(directory.loaded.appending("00000001.spool").string, 65_534, 65_533) == 0)
        _ = try compress()
        var status = stat()
        #expect(stat(compressedFile.string, &status) == 0)
        #expect((status.st_uid, status.st_gid) == (65_534, 65_533))
    }

    @Test func theDraftOfAKilledProcessIsReplaced() throws {
        try scratch.write([1, 2, 3], to: directory.path.appending("compressed.new"))
        _ = try compress()
        #expect(try !disk(names: directory.path).contains("compressed.new"))
    }

    @Test func aSegmentInBothFoldersIsNotMoved() throws {
        _ = try compress()
        try scratch.write(plain, to: directory.pending.appending("00000001.spool"))
        #expect { try directory.moveToLoaded(1) } throws: { "\($0)".contains("00000001.spool.zst already exists") }
    }

    @Test func theBytesOfASpoolAreThoseOfItsFiles() throws {
        let bytes = try compress()
        let newest = try SystemDisk().size(of: directory.pending.appending("00000002.spool"))
        #expect(try directory.inventory().bytes == bytes.count + newest)
        let kept = try directory.prune(Retention(age: .seconds(86_400), bytes: bytes.count), now: .now) { _ in true }
        #expect(kept.segments.isEmpty)
        let pruned = try directory.prune(Retention(age: .seconds(86_400), bytes: bytes.count - 1), now: .now) { _ in
            true
        }
        #expect(pruned.segments == [1] && pruned.bytes == bytes.count)
    }

    @Test func aDamagedCompressedSegmentIsNotPruned() throws {
        var bytes = try compress()
        bytes[bytes.count / 2] ^= 1
        try scratch.write(bytes, to: compressedFile)
        let pruned = try directory.prune(Retention(age: .seconds(-1)), now: .now) { _ in true }
        #expect(pruned.segments.isEmpty && pruned.damaged == [compressedFile])
    }

    private func disk(names directory: FilePath) throws -> [String] { try SystemDisk().names(in: directory).sorted() }
}

extension RecordPrefix {
    fileprivate init?(_ line: [UInt8]) {
        let prefix = line.withUnsafeBytes { RecordPrefix($0) }
        guard let prefix else { return nil }
        self = prefix
    }
}
