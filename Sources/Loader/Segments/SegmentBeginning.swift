import Spool
import SystemPackage

/// A segment's first line, read without the rest of the file.
struct SegmentBeginning {
    /// Nil if the first line is not a header.
    let header: SegmentHeader?
    /// Length of the file at the time of reading.
    let bytes: Int
    /// Whether the first line is complete, header or not. A live segment's first line may not be written yet.
    let isWhole: Bool

    /// A header has about 200 bytes.
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

    /// Why the segment does not belong in this directory under its name, or nil if it does.
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

    /// A file whose apparent length is limited to the beginning.
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
