// Segments: segment files as the commands read them.
// Begin here.
// Uses CommandLine, Readings, Spool.

import Readings
import Spool
import SystemPackage

/// A segment's file for a command to read, from this spool or a copy from elsewhere.
struct SegmentFile {
    let path: FilePath
    /// The number in its name, or 0 if the name is not a segment's.
    let number: Int

    init(_ path: FilePath) {
        self.path = path
        number = SegmentFileName.number(of: path.lastComponent?.string ?? "") ?? 0
    }

    init(_ segment: SpoolDirectory.Segment) {
        path = segment.path
        number = segment.number
    }

    /// The files for these paths and segment numbers, or all of the spool's segments if there are none.
    ///
    /// The spool is read only if it is needed: a path names a file anywhere.
    static func named(_ names: [String], in spool: () throws -> SpoolDirectory) throws -> [SegmentFile] {
        if names.isEmpty { return try spool().segments().map(SegmentFile.init) }
        var segments: [SpoolDirectory.Segment]?
        return try names.map { name in
            guard !name.isEmpty, name.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = Int(name) else {
                return SegmentFile(FilePath(name))
            }
            let listed = try segments ?? spool().segments()
            segments = listed
            guard let segment = listed.first(where: { $0.number == number }) else {
                throw LoaderError.argument("the spool has no segment \(SpoolPosition.digits(number))")
            }
            return SegmentFile(segment)
        }
    }

    func open() throws(SpoolError) -> SegmentReader {
        let file: any DiskFile
        do {
            file = try SystemDisk().openSegment(path)
        } catch {
            throw .disk("open", path, error)
        }
        return try SegmentReader(file, path: path)
    }

    /// Visits the records in order, and gives the decoder the segment's reading rules.
    ///
    /// - Parameter damaged: called once per damaged byte range.
    func forEachRecord(
        for decoder: BatchDecoder, changing change: (ReadingRules) -> ReadingRules = { $0 }, damaged: (String) -> Void,
        _ body: (SegmentReader.Record, SpoolPosition) throws -> Void
    ) throws {
        let reader = try open()
        var number = number
        decoder.rules = change(.standard)
        while let event = try reader.next() {
            switch event {
            case .header(let header):
                number = header.segment
                decoder.rules = change(try header.readingRules(of: path))
            case .record(let record):
                try body(record, SpoolPosition(segment: number, sequence: record.sequence))
            case .damage(let damage): damaged(damage.sentence(path))
            case .footer, .tornTail: break
            }
        }
    }
}
