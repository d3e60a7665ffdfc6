internal import Glibc
internal import SystemPackage

extension SpoolDirectory {
    /// The lengths of a segment's text and of its compressed file, in bytes.
    public struct Compressed: Sendable, Equatable {
        public let textBytes: Int
        public let bytes: Int
    }

    /// Replaces a plain segment in `loaded/` with a compressed file of the same text.
    ///
    /// The compressed file gets its name when it is durable and its text was read back from the disk; the plain file goes
    /// when that name is durable. So at each moment one of them is there and whole. If both are, the plain file counts, and
    /// this compares the two: equal ones end in the compressed file.
    ///
    /// - Parameters:
    ///   - frameBytes: about how much text a frame has.
    ///   - isCancelled: called for each frame.
    /// - Returns: nil if it was cancelled, and nothing has changed.
    /// - Throws: the plain file stays. `unfit` if a compressed file with another text is there, and both stay.
    public func compress(
        _ segment: Segment, frameBytes: Int = CompressedSegment.frameBytes, isCancelled: () -> Bool = { false }
    ) throws(SpoolError) -> Compressed? {
        let target = compressedPath(segment.number)
        let plain = try openBypassingPageCache(segment)
        if try hasFile(at: target) {
            let file = try Spool.disk("open", target) { () throws(Errno) in try disk.open(target) }
            try Spool.disk("synchronize", target) { () throws(Errno) in try file.synchronize() }
            guard let isEqual = try compare(plain, of: segment, file, at: target, isCancelled) else { return nil }
            guard isEqual else {
                throw .unfit(target, "has another text than \(segment.path); compare the two and remove one")
            }
        } else {
            // Only one of this name exists, so those of killed processes do not pile up.
            let draft = path.appending("compressed.new")
            try removeDraft(draft)
            defer { try? removeDraft(draft) }
            guard let file = try write(plain, of: segment, to: draft, frameBytes, isCancelled),
                let isEqual = try compare(plain, of: segment, file, at: draft, isCancelled)
            else { return nil }
            guard isEqual else { throw .unfit(draft, "reads back differently than it was written; check the disk") }
            let hasName = try Spool.disk("examine", segment.path) { () throws(Errno) in try plain.hasName() }
            guard hasName else {
                // The retention has removed it meanwhile.
                throw .disk("open", segment.path, .noSuchFileOrDirectory)
            }
            try Spool.disk("move", draft) { () throws(Errno) in try disk.rename(draft, to: target) }
        }
        try synchronize()
        try Spool.disk("remove", segment.path) { () throws(Errno) in try disk.remove(segment.path) }
        return try Spool.disk("examine", target) { () throws(Errno) in
            Compressed(textBytes: try plain.size(), bytes: try disk.size(of: target))
        }
    }

    private func hasFile(at path: FilePath) throws(SpoolError) -> Bool {
        try diskIfPresent("examine", path) { () throws(Errno) in try disk.size(of: path) } != nil
    }

    private func removeDraft(_ draft: FilePath) throws(SpoolError) {
        _ = try diskIfPresent("remove", draft) { () throws(Errno) in try disk.remove(draft) }
    }

    /// Writes the frames and their table, and makes them durable. Returns nil if it was cancelled.
    private func write(
        _ plain: any DiskFile, of segment: Segment, to draft: FilePath, _ frameBytes: Int, _ isCancelled: () -> Bool
    ) throws(SpoolError) -> (any DiskFile)? {
        let (file, compressor) = try Spool.disk("write", draft) { () throws(Errno) in
            let file = try disk.create(draft)
            try file.takeOwner(of: plain)
            return (file, try ZstdCompressor())
        }
        var table = SeekTable()
        while true {
            let end = table.textBytes
            let text = try Spool.disk("read", segment.path) { () throws(Errno) in try plain.frame(from: end, frameBytes)
            }
            guard let text else { break }
            if isCancelled() { return nil }
            let offset = table.bytes
            let length = try Spool.disk("write", draft) { () throws(Errno) in
                let frame = try compressor.frame(of: text)
                try file.writeAll(frame[...], at: offset)
                return frame.count
            }
            table.append(bytes: length, text: text.count)
        }
        try Spool.disk("write", draft) { () throws(Errno) in
            try file.writeAll(table.encoded[...], at: table.bytes)
            try file.synchronize()
        }
        return file
    }

    /// Whether the compressed file, as it is on the disk, has the text of the plain one. Returns nil if it was cancelled.
    private func compare(
        _ plain: any DiskFile, of segment: Segment, _ file: any DiskFile, at path: FilePath, _ isCancelled: () -> Bool
    ) throws(SpoolError) -> Bool? {
        let (compressed, end) = try Spool.disk("read", path) { () throws(Errno) in
            try file.dropPageCache()
            let compressed = try CompressedSegment(file)
            return (compressed, try compressed.size())
        }
        var offset = 0
        while true {
            if isCancelled() { return nil }
            let range = offset..<(offset + CompressedSegment.frameBytes)
            let text = try Spool.disk("read", segment.path) { () throws(Errno) in try plain.bytes(range) }
            let other = try Spool.disk("read", path) { () throws(Errno) in try compressed.bytes(range) }
            guard text == other, !compressed.isDamaged else { return false }
            offset += text.count
            if text.isEmpty { return offset == end }
        }
    }
}

extension DiskFile {
    /// The text of the frame that begins at `offset` of a plain segment, or nil at the end.
    ///
    /// The first frame is the header, which is read most often. A frame ends with a line, unless a line is longer than any
    /// record.
    fileprivate func frame(from offset: Int, _ frameBytes: Int) throws(Errno) -> [UInt8]? {
        let isFirst = offset == 0
        var length = isFirst ? SegmentFormat.longestLineBytes : frameBytes
        while true {
            let text = try bytes(offset..<(offset + length))
            let lineBreak = UInt8(ascii: "\n")
            if isFirst, let end = text.firstIndex(of: lineBreak) { return Array(text[...end]) }
            if text.count < length { return text.isEmpty ? nil : text }
            if !isFirst, let end = text.lastIndex(of: lineBreak) { return Array(text[...end]) }
            if length == SeekTable.longestTextBytes { return text }
            length = min(2 * length, SeekTable.longestTextBytes)
        }
    }
}
