internal import Logging
internal import Text
internal import Time

/// A log line under construction. It is escaped, so that input cannot forge another line, and never longer than
/// `maximumBytes`.
///
///     2026-11-25 00:12:03Z info    batch: record=00000001:1 new=4 …                      text
///     <6>batch: record=00000001:1 new=4 …                                                 text for journald
///     {"time":"2026-11-25T00:12:03.123Z","level":"info","message":"batch","new":4,…}      json, for journald after <6>
public struct LogLine {
    /// The largest atomic write(2) to a pipe (pipe(7) `PIPE_BUF`), so that lines of two processes do not mix.
    public static let maximumBytes = 4096
    private static let maximumMessageBytes = 2048
    private static let maximumValueBytes = 512
    /// Space for the end of a line: `,"truncated":true}` and the line break.
    private static let endBytes = 32

    let format: LogFormat
    private(set) var bytes: [UInt8] = []
    private var isTruncated = false
    private var hasFields = false

    init(_ format: LogFormat) {
        self.format = format
        bytes.reserveCapacity(320)
    }

    /// - Parameters:
    ///   - label: the program, in JSON only, as a reader of the text format knows whose log it is.
    ///   - isForJournal: whether journald reads it. journald adds its own time and expects the level as `<6>`.
    init(
        _ format: LogFormat, _ level: Logger.Level, _ message: String, label: String, at time: Timestamp,
        isForJournal: Bool
    ) {
        self.init(format)
        if isForJournal { put("<\(level.priority)>") }
        switch format {
        case .text:
            if !isForJournal {
                time.append(.seconds, separator: " ", to: &bytes)
                put("Z ")
                put(level.padded)
            }
            if !append(message, Self.maximumMessageBytes, .plain) { put("…") }
        case .json:
            put("{\"time\":\"")
            time.append(.milliseconds, to: &bytes)
            put("Z\",\"level\":\"")
            put(level.rawValue)
            put("\",\"label\":")
            appendQuoted(label)
            put(",\"message\":")
            appendQuoted(message, Self.maximumMessageBytes)
        }
    }

    /// Why a program ends, in the usual format of Unix programs.
    init(complaint reason: String, by program: String) {
        self.init(.text)
        put(program)
        put(": ")
        if !append(reason, Self.maximumMessageBytes, .plain) { put("…") }
    }

    /// Adds a number. The name needs no escapes, here and below, and is none of the line's own names.
    public mutating func add(_ name: StaticString, _ number: Int) {
        field(name) { $0.bytes.append(decimal: number) }
    }

    /// Adds a number. A number that is not finite is written as null.
    public mutating func add(_ name: StaticString, _ number: Double) {
        field(name) { $0.put(number.isFinite ? number.description : "null") }
    }

    /// Adds a text.
    public mutating func add(_ name: StaticString, _ text: String) {
        field(name) { $0.appendValue(text) }
    }

    /// Adds a metadata entry.
    mutating func add(metadata name: String, _ value: Logger.MetadataValue) {
        if case .stringConvertible(let fields as any LogFields) = value { return fields.add(to: &self) }
        field(name) { $0.append(value) }
    }

    /// The line's bytes, line break included.
    consuming func finished() -> [UInt8] {
        switch format {
        case .text: if isTruncated { put(" …") }
        case .json: put(isTruncated ? ",\"truncated\":true}" : "}")
        }
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private mutating func field(_ name: String, _ value: (inout LogLine) -> Void) {
        field(value) { line in
            switch line.format {
            case .text: _ = line.append(name, Self.maximumValueBytes, .word)
            case .json: line.appendQuoted(Self.reserved.contains(name) ? "metadata." + name : name)
            }
        }
    }

    private mutating func field(_ name: StaticString, _ value: (inout LogLine) -> Void) {
        field(value) { line in
            if line.format == .json { line.put(UInt8(ascii: "\"")) }
            name.withUTF8Buffer { line.bytes.append(contentsOf: $0) }
            if line.format == .json { line.put(UInt8(ascii: "\"")) }
        }
    }

    /// Appends a field. If the whole value does not fit, the field is omitted.
    private mutating func field(_ value: (inout LogLine) -> Void, name: (inout LogLine) -> Void) {
        guard !isTruncated else { return }
        let before = bytes.count
        switch format {
        case .text: put(hasFields || before == 0 ? " " : ": ")
        case .json: put(",")
        }
        name(&self)
        put(format == .text ? UInt8(ascii: "=") : UInt8(ascii: ":"))
        value(&self)
        hasFields = true
        guard bytes.count > Self.maximumBytes - Self.endBytes else { return }
        bytes.removeSubrange(before...)
        isTruncated = true
    }

    private static let reserved: Set<String> = ["time", "level", "label", "message", "truncated"]

    private mutating func append(_ value: Logger.MetadataValue) {
        // The line is already too long, so the field will be omitted.
        guard bytes.count <= Self.maximumBytes else { return }
        switch value {
        case .string(let text): appendValue(text)
        case .stringConvertible(let value): appendValue(value.description)
        case .array(let values):
            put("[")
            for (index, value) in values.enumerated() {
                if index > 0 { put(",") }
                append(value)
            }
            put("]")
        case .dictionary(let values):
            put("{")
            for (index, entry) in values.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { put(",") }
                appendValue(entry.key)
                put(":")
                append(entry.value)
            }
            put("}")
        }
    }

    private mutating func appendValue(_ text: String) {
        switch format {
        case .json: appendQuoted(text)
        case .text: if !text.isEmpty && text.utf8.allSatisfy(Self.isWord) { put(text) } else { appendQuoted(text) }
        }
    }

    private mutating func appendQuoted(_ text: String, _ limit: Int = maximumValueBytes) {
        put("\"")
        if !append(text, limit, .quoted) { put("…") }
        put("\"")
    }

    static func escaped(_ text: String) -> String {
        var line = LogLine(.text)
        _ = line.append(text, .max / 2, .plain)
        return String(decoding: line.bytes, as: UTF8.self)
    }

    private enum Context { case plain, word, quoted }

    /// Appends an escaped text and returns whether all of it was appended.
    private mutating func append(_ text: String, _ limit: Int, _ context: Context) -> Bool {
        if text.utf8.count <= limit, isPlain(text, context) {
            put(text)
            return true
        }
        let end = bytes.count + limit
        for scalar in text.unicodeScalars {
            guard bytes.count < end else { return false }
            switch scalar {
            case "\"" where context == .quoted, "\\" where context == .quoted:
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(UInt8(scalar.value))
            case " " where context == .word, "=" where context == .word:
                bytes.append(UInt8(ascii: "_"))
            case " "..<"\u{7F}": bytes.append(UInt8(scalar.value))
            case "\n": put("\\n")
            case "\r": put("\\r")
            case "\t": put("\\t")
            case _ where Self.isInvisible(scalar): appendEscape(scalar)
            default: bytes.append(contentsOf: UTF8.encode(scalar)!)
            }
        }
        return true
    }

    /// Whether a text needs no escapes, as is usual.
    private func isPlain(_ text: String, _ context: Context) -> Bool {
        switch context {
        case .plain: text.utf8.allSatisfy { 0x20..<0x7F ~= $0 }
        case .quoted: text.utf8.allSatisfy { 0x20..<0x7F ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        case .word: text.utf8.allSatisfy(Self.isWord)
        }
    }

    /// Appends a JSON escape: UTF-16 in hexadecimal.
    private mutating func appendEscape(_ scalar: Unicode.Scalar) {
        for unit in UTF16.encode(scalar)! { bytes.append(jsonEscape: unit) }
    }

    /// Whether a scalar controls a terminal, breaks a line, reverses the direction of text, or is invisible.
    private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse: true
        // Fillers and variation selectors count as letters and marks; the empty Braille cell counts as a symbol.
        default: scalar.properties.isDefaultIgnorableCodePoint || scalar == "\u{2800}"
        }
    }

    /// Whether a byte may appear in a text line without quotes.
    private static func isWord(_ byte: UInt8) -> Bool {
        0x21..<0x7F ~= byte && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\\")
    }

    private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }
    private mutating func put(_ byte: UInt8) { bytes.append(byte) }
}

extension String {
    /// The text with escapes for everything that would break a line, move a terminal's cursor or be invisible.
    public var inOneLine: String { LogLine.escaped(self) }
}

/// Typed fields for a log line in a fixed order, passed as the one value of a metadata entry.
///
/// They are for frequent lines: one value costs less than a dictionary of values, and numbers stay numbers in JSON.
///
///     logger.info("batch", metadata: ["batch": .stringConvertible(summary)])
public protocol LogFields: CustomStringConvertible, Sendable {
    func add(to line: inout LogLine)
}

extension LogFields {
    /// The fields as in a text line.
    public var description: String {
        var line = LogLine(.text)
        add(to: &line)
        return String(decoding: line.bytes.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }
}
