import Foundation
import Readings
import Spool
import SystemPackage
import Testing

/// Time and memory are bounded for any body that a client sends and any content of a segment's file (invariant 11).
@Suite(.serialized)
struct BoundsTests {
    private static let maximumBytes = 16 << 20
    /// CPU seconds of the thread, in a debug build. Work that grows with the square of the length would take hours.
    private static let timeout = 300.0
    private static let memoryKiB = 400 << 10

    /// A body of a given length: `opening`, then `piece` repeated, then `closing`.
    struct Shape: Sendable, CustomTestStringConvertible {
        let name: String
        let opening: String
        let piece: String
        let closing: String
        var testDescription: String { name }

        init(_ name: String, _ opening: String, _ piece: String, _ closing: String) {
            self.name = name
            self.opening = opening
            self.piece = piece
            self.closing = closing
        }

        func body(_ bytes: Int) -> [UInt8] {
            let piece = Array(piece.utf8)
            let wanted = (bytes - opening.utf8.count - closing.utf8.count) / piece.count * piece.count
            // By doubling, because a loop over the pieces would take longer than the decoder.
            var middle = piece
            while middle.count < wanted { middle += middle.prefix(wanted - middle.count) }
            return Array(opening.utf8) + middle + Array(closing.utf8)
        }
    }

    private static let message = #"{"messages":[{"src":"plug","timestamp":1732320000,"params":"#
    static let shapes: [Shape] = [
        Shape("brackets", "", "[", ""), Shape("objects", "", "{\"a\":", ""), Shape("quotes", "", "\"", ""),
        Shape("backslashes", "\"", "\\", ""), Shape("escaped backslashes", "\"", "\\\\", "\""),
        Shape("spaces", "", " ", ""), Shape("NUL", "", "\0", ""), Shape("line breaks", "{", "\r\n", "}"),
        Shape("unclosed text", "{\"messages\":[\"", "é", ""), Shape("text", "{\"messages\":[\"", "é", "\"]}"),
        Shape("digits", "[", "9", "]"), Shape("decimals", message + "{\"switch:0\":{\"apower\":0.", "3", "}}}]}"),
        Shape("exponent", "[1e", "9", "]"), Shape("zeros", "{\"messages\":[", "0,", "0]}"),
        Shape("messages", "{\"messages\":[", "{},", "{}]}"), Shape("nulls", "[", "null,", "null"),
        Shape("names", message + "{", "\"switch:0\":{\"apower\":1},", "\"a\":1}}]}"),
        Shape("members of the body", "{", "\"messages\":[{}],", "\"messages\":[{}]}"),
        Shape("numbers", message + "{\"a\":[", "1.5,", "1]}}]}"),
        Shape("white space in a name", "{\"messages\":[{\"src\":\"", "\u{3000}", "\"}]}"),
        Shape("white space at its end", "{\"messages\":[{\"src\":\"x", "\u{3000}", "\"}]}"),
        Shape("NaN", message + "{\"a\":[", "NaN,", "NaN]}}]}"),
        Shape("messages of NaN", "{\"messages\":[", "NaN,", "1]}"),
        Shape("NaN outside", "{\"a\":[", "NaN,", "NaN],\"messages\":[{}]}"),
        Shape("untaken", message + "{", "\"pm1:0\":{\"apower\":1},", "\"a\":1}}]}"),
        Shape("flat lists", message + "{\"a\":[", "[],", "[]]}}]}"),
    ]

    @Test(arguments: shapes)
    func aBodyOf16MiBIsDecodedInBoundedTimeAndMemory(shape: Shape) throws {
        let body = shape.body(Self.maximumBytes)
        let before = try resetPeak()
        let decoder = BatchDecoder()
        let start = secondsOfThisThread()
        if let batch = try? decoder.decode(body, receivedAt: 1_795_392_000_000) {
            for invalid in batch.invalid { _ = decoder.text(ofMessage: invalid.index, in: body) }
        }
        let time = secondsOfThisThread() - start
        let memory = try status("VmHWM") - before
        #expect(time < Self.timeout)
        #expect(memory < Self.memoryKiB)
    }

    /// A file whose content is generated as it is read.
    private final class PatternFile: DiskFile {
        let pattern: [UInt8]
        let bytes: Int

        init(_ pattern: String, bytes: Int) {
            self.pattern = Array(pattern.utf8)
            self.bytes = bytes
        }

        func size() throws(Errno) -> Int { bytes }
        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
            let count = min(buffer.count, bytes - offset)
            guard count > 0 else { return 0 }
            // By doubling, because a loop over all bytes would take most of the time.
            for index in 0..<min(count, pattern.count) { buffer[index] = pattern[(offset + index) % pattern.count] }
            var filled = min(count, pattern.count)
            while filled < count {
                let more = min(filled, count - filled)
                let source = UnsafeRawBufferPointer(rebasing: buffer[..<more])
                UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(from: source)
                filled += more
            }
            return count
        }
        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int { throw .readOnlyFileSystem }
        func synchronize() throws(Errno) {}
        func dropPageCache() throws(Errno) {}
    }

    private static let patterns = [
        "text": "x", "zeros": "\0", "braces": "{", "short records": "00000000 1 1 17825792 ",
        "long records": "00000000 1 1 999999999999999999 ", "long lines": String(repeating: "y", count: 200_000) + "\n",
    ]

    @Test(arguments: patterns.keys.sorted()) func aDamagedFileIsReadInBoundedTimeAndMemory(content: String) throws {
        let pattern = try #require(Self.patterns[content])
        let bytes = 64 << 20
        let before = try resetPeak()
        let start = secondsOfThisThread()
        let reader = try SegmentReader(PatternFile(pattern, bytes: bytes), path: "segment")
        var accounted = 0
        while let event = try reader.next() {
            switch event {
            case .damage(let damage): accounted += damage.range.count
            case .tornTail(let range): accounted += range.count
            default: Issue.record("found \(event)")
            }
        }
        let time = secondsOfThisThread() - start
        let memory = try status("VmHWM") - before
        #expect(accounted == bytes)
        #expect(time < Self.timeout)
        #expect(memory < 128 << 10)
    }

    private func secondsOfThisThread() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Resets the process's peak memory (proc_pid_clear_refs(5)), and returns its present memory in KiB.
    private func resetPeak() throws -> Int {
        try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .ascii)
        return try status("VmRSS")
    }

    private func status(_ name: String) throws -> Int {
        let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix(name + ":") })
        return try #require(Int(line.filter(\.isNumber)))
    }
}
