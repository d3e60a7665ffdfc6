import Spool
import SystemPackage

/// What a segment's file says about itself in its first line, read without the rest.
struct SegmentBeginning {
    /// Nil when the first line is no header.
    let header: SegmentHeader?
    /// Length of the file at the moment of reading.
    let bytes: Int
    /// Whether the first line is whole, header or not; a live segment's may not be there yet.
    let isWhole: Bool

    /// A header has some 200 bytes.
    private static let longestHeaderBytes = 4096

    init(of file: any DiskFile, at path: FilePath) throws(SpoolError) {
        let beginning = Beginning(file: file, bytes: Self.longestHeaderBytes)
        let reader = try SegmentReader(beginning, path: path)
        bytes = beginning.fileBytes
        switch try reader.next() {
        case .header(let header): (self.header, isWhole) = (header, true)
        case .tornTail: (header, isWhole) = (nil, bytes > Self.longestHeaderBytes)
        case .none: (header, isWhole) = (nil, false)
        default: (header, isWhole) = (nil, true)
        }
    }

    /// Why the segment does not belong into this directory under its name, nil when it does.
    func objection(in directory: SpoolDirectory, as number: Int) -> String? {
        guard let header else { return nil }
        if header.format != "shelly-spool" || header.version != 1 {
            return "has format \(header.format) version \(header.version), this program knows shelly-spool version 1"
        }
        if header.spool != directory.identity {
            return "segment of another spool (\(header.spool), this one is \(directory.identity)); "
                + "'shelly-loader replay' loads it"
        }
        if header.segment != number {
            return "its header says segment \(SpoolPosition.digits(header.segment)); was the file renamed?"
        }
        return nil
    }

    /// A file that seems to end early.
    private final class Beginning: DiskFile {
        private let file: any DiskFile
        private let bytes: Int
        private(set) var fileBytes = 0

        init(file: any DiskFile, bytes: Int) {
            self.file = file
            self.bytes = bytes
        }

        func size() throws(Errno) -> Int {
            fileBytes = try file.size()
            return min(fileBytes, bytes)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
            try file.read(into: buffer, at: offset)
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int { throw .badFileDescriptor }

        func synchronize() throws(Errno) { try file.synchronize() }

        func refresh() throws(Errno) { try file.refresh() }
    }
}
