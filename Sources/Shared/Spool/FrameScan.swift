internal import SystemPackage

/// Finds the frames of a compressed file whose seek table is missing or damaged, from the front.
struct FrameScan {
    /// The frames, and for those that cannot be read, by index, why.
    private(set) var table = SeekTable()
    private(set) var flaws: [Int: String] = [:]

    private let file: any DiskFile
    private let end: Int
    /// Where the bytes at the end begin that are no frame.
    private var tail: Int
    /// A part of the file, and its offset.
    private var window: [UInt8] = []
    private var windowStart = 0
    private static let windowBytes = 1 << 20
    /// Places behind damage that look like a frame and are none. Past so many, the rest counts as damaged.
    private var attempts = 0
    private static let mostAttempts = 100

    init(_ file: any DiskFile) throws(Errno) {
        self.file = file
        end = try file.size()
        tail = end
        var offset = 0
        while offset < end {
            if let found = try frame(at: offset) {
                if found.text > 0 { table.append(at: offset, bytes: found.bytes, text: found.text) }
                offset += found.bytes
            } else {
                let next = try nextFrame(behind: offset)
                try addFlaw(offset..<next)
                offset = next
            }
        }
        // The missing table is damage, too: frames at the file's end may be missing with it.
        flaws[table.frames.count] = "the seek table is missing or damaged, and frames may be missing with it"
        table.append(at: tail, bytes: end - tail, text: 1)
    }

    /// A frame that cannot be read stands for as much text as its header states, or else for one byte. At the end without a
    /// length it is counted to the missing table.
    private mutating func addFlaw(_ bytes: Range<Int>) throws(Errno) {
        let longest = ZstdFrame.longestHeaderBytes
        let header = try file.bytes(bytes.lowerBound..<min(bytes.upperBound, bytes.lowerBound + longest))[...]
        let text = ZstdFrame.contentBytes(header)
        let isOurs = text.map { $0 <= SeekTable.longestTextBytes } ?? false
        let isForeign = !isOurs && header.count == longest && ZstdFrame.begins(header)
        if bytes.upperBound == end, !isForeign, text ?? 0 == 0 {
            tail = bytes.lowerBound
            return
        }
        flaws[table.frames.count] =
            isForeign
            ? "its header states no length that shelly-loader writes; unzstd may read the file" : "it is not whole"
        table.append(at: bytes.lowerBound, bytes: bytes.count, text: isOurs ? max(1, text ?? 1) : 1)
    }

    /// The length of the frame at `offset` and of its text, or nil if there is no frame that can be read.
    private mutating func frame(at offset: Int) throws(Errno) -> (bytes: Int, text: Int)? {
        let limit = ZstdFrame.longestBytes(ofContent: SeekTable.longestTextBytes)
        var count = ZstdFrame.longestHeaderBytes
        while true {
            let bytes = try bytes(at: offset, atLeast: count)
            guard ZstdFrame.begins(bytes), let text = ZstdFrame.contentBytes(bytes),
                text <= SeekTable.longestTextBytes
            else { return nil }
            if let length = ZstdFrame.byteCount(bytes) { return (length, text) }
            guard bytes.count < limit, offset + bytes.count < end else { return nil }
            count = min(4 * max(bytes.count, Self.windowBytes), limit)
        }
    }

    /// Where the next frame that can be read begins, or the end.
    private mutating func nextFrame(behind offset: Int) throws(Errno) -> Int {
        var offset = offset + 1
        while offset < end, attempts < Self.mostAttempts {
            // The last bytes of a window are the first of the next, as a magic number may lie across.
            let bytes = try bytes(at: offset, atLeast: 4)
            for index in bytes.indices where bytes[index] == ZstdFrame.firstByte && ZstdFrame.begins(bytes[index...]) {
                attempts += 1
                let start = offset + index - bytes.startIndex
                if try frame(at: start) != nil { return start }
                if attempts == Self.mostAttempts { return end }
            }
            offset += max(1, bytes.count - 3)
        }
        return end
    }

    /// The bytes of the window from `offset` on, at least so many, or up to the end of the file.
    private mutating func bytes(at offset: Int, atLeast count: Int) throws(Errno) -> ArraySlice<UInt8> {
        let wanted = min(end, offset + count)
        if offset < windowStart || wanted > windowStart + window.count {
            window = try file.bytes(offset..<min(end, offset + max(count, Self.windowBytes)))
            windowStart = offset
        }
        return window[(offset - windowStart)...]
    }
}
