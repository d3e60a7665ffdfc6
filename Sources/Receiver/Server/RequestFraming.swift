import Glibc
import NIOCore
import NIOHTTP1

/// Finds where a request ends among a connection's bytes, so that the decoder gets the bytes of one request at a time.
///
/// The decoder alone interprets the bytes. If it finds another end than the framing does, a request may be decoded in more
/// than one piece, or the connection ends at a second request that is decoded before the first is answered.
struct RequestFraming {
    private enum Position {
        /// In a header, or in the trailer of a chunked body; it ends with an empty line behind a line that is not empty.
        case lines(isLineEmpty: Bool, hasLine: Bool)
        /// Before so many bytes of a body.
        case body(Int)
        /// In the line with a chunk's size.
        case chunkSize(Int, isKnown: Bool)
        /// Before so many bytes of a chunk and the line break behind it.
        case chunk(Int)

        static let header = Position.lines(isLineEmpty: true, hasLine: false)
    }

    private var position = Position.header
    /// The body's length, as the header says; only used to return header and body together.
    private var announced = 0
    /// Whether the header was decoded. A line of the trailer announces nothing.
    private var isHeaderOver = false
    /// Whether the header was returned together with its body.
    private var isWhole = false

    /// Whether no byte of the next request has come, empty lines in front of it aside.
    var isBeforeRequest: Bool {
        guard case .lines(isLineEmpty: true, hasLine: false) = position else { return false }
        return true
    }

    /// The request's header was decoded, and its end was not: a body follows.
    mutating func beginBody(_ head: HTTPRequestHead) {
        isHeaderOver = true
        guard !isWhole else { return }
        if head.headers.contains(name: "Transfer-Encoding") {
            position = .chunkSize(0, isKnown: false)
        } else if let length = head.headers.contentLength, length > 0 {
            position = .body(length)
        }
    }

    /// The request's end was decoded.
    mutating func end() {
        position = .header
        isHeaderOver = false
        isWhole = false
    }

    /// Returns how many of the bytes, which follow those of the calls before, belong to the same header or body; or to
    /// both, if the header's end and the whole body are among the bytes, as is usual.
    mutating func length(in bytes: UnsafeRawBufferPointer) -> Int {
        var index = 0
        while index < bytes.count {
            switch position {
            case .lines:
                guard skipLines(bytes, &index) else { continue }
                isWhole = announced > 0 && announced <= bytes.count - index
                defer { announced = 0 }
                return isWhole ? index + announced : index
            case .body(let rest):
                let count = min(rest, bytes.count - index)
                position = count == rest ? .header : .body(rest - count)
                return index + count
            case .chunk(let rest):
                let count = min(rest, bytes.count - index)
                index += count
                position = count == rest ? .chunkSize(0, isKnown: false) : .chunk(rest - count)
            case .chunkSize(let size, let isKnown):
                readSize(bytes[index], size, isKnown)
                index += 1
            }
        }
        return index
    }

    /// Moves behind the empty line that ends a header, or to the end; returns whether there is such a line.
    private mutating func skipLines(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) -> Bool {
        guard case .lines(var isLineEmpty, var hasLine) = position, let start = bytes.baseAddress else { return false }
        while index < bytes.count {
            let rest = bytes.count - index
            let lineFeed = memchr(start + index, 0x0A, rest)
            let end = lineFeed.map { UnsafeRawPointer($0) - start } ?? bytes.count
            if isLineEmpty, lineFeed != nil, !isHeaderOver {
                announce(UnsafeRawBufferPointer(rebasing: bytes[index..<end]))
            }
            isLineEmpty = isLineEmpty && bytes[index..<end].allSatisfy { $0 == 0x0D }
            index = end
            guard lineFeed != nil else { break }
            index += 1
            if isLineEmpty && hasLine {
                position = .header
                return true
            }
            hasLine = hasLine || !isLineEmpty
            isLineEmpty = true
        }
        position = .lines(isLineEmpty: isLineEmpty, hasLine: hasLine)
        return false
    }

    private mutating func announce(_ line: UnsafeRawBufferPointer) {
        let name = "Content-Length:"
        guard line.count > name.utf8.count, let start = line.baseAddress?.assumingMemoryBound(to: CChar.self),
            strncasecmp(start, name, name.utf8.count) == 0
        else { return }
        let value = line.dropFirst(name.utf8.count).filter { $0 > 0x20 }
        announced = Int(String(decoding: value, as: UTF8.self)) ?? 0
    }

    private mutating func readSize(_ byte: UInt8, _ size: Int, _ isKnown: Bool) {
        switch byte {
        case 0x0A:
            position = size == 0 ? .lines(isLineEmpty: true, hasLine: true) : .chunk(size + 2)
        case _ where !isKnown && size < 1 << 48:
            let digit = Character(UnicodeScalar(byte)).hexDigitValue
            position = .chunkSize(digit.map { size << 4 | $0 } ?? size, isKnown: digit == nil)
        default: position = .chunkSize(size, isKnown: true)
        }
    }
}
