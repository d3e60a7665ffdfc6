import Seeds

/// Generates bodies from pieces of JSON: valid batches whose readings are known, and changed ones.
struct BodyGenerator {
    /// A reading that a valid message contains, in the order of channels.
    struct Expected: Equatable {
        let device: String
        let timestamp: Int64
        let channel: Int
        let power: Double
        let voltage: Double?
        let current: Double?
    }

    /// Part of strings, names and numbers in every batch; no answer may repeat it.
    static let secret = "Zq7xW"

    var random: SeededGenerator

    /// A valid batch in pieces, and its readings.
    mutating func batch() -> (tokens: [String], readings: [Expected]) {
        var tokens = ["{", "\"\(Self.secret)\"", ":", "[1,\"\(Self.secret)\"]", ",", "\"messages\"", ":", "["]
        var readings: [Expected] = []
        for number in 0..<Int.random(in: 1...5, using: &random) {
            if number > 0 { tokens.append(",") }
            message(into: &tokens, &readings)
        }
        return (tokens + ["]", "}"], readings)
    }

    private mutating func message(into tokens: inout [String], _ readings: inout [Expected]) {
        let device = random.pick(["plug", "é", "a b", "😀", String(repeating: "x", count: 128)])
        let timestamp = Int64.random(in: 1...1_795_478_400, using: &random)
        tokens += ["{", name("src"), ":", quoted(device), ",", name("timestamp"), ":"]
        tokens.append(random.oneIn(4) ? "\(timestamp).\(Int.random(in: 0...999, using: &random))" : "\(timestamp)")
        tokens += [",", name("params"), ":", "{", "\"\(Self.secret)\"", ":", "{", "\"id\"", ":", "0", "}"]
        for channel in 0..<4 where random.oneIn(2) {
            let power = number()
            let voltage = random.oneIn(2) ? number() : nil
            let current = random.oneIn(2) ? number() : nil
            tokens += [",", name("switch:\(channel)"), ":", "{", name("apower"), ":", "\(power)"]
            if random.oneIn(8) { tokens += [",", name("apower"), ":", "\(power)"] }
            if let voltage { tokens += [",", name("voltage"), ":", "\(voltage)"] }
            if let current {
                tokens += [",", name("current"), ":", "\(current)"]
            } else if random.oneIn(4) {
                tokens += [",", name("current"), ":", "null"]
            }
            tokens.append("}")
            readings.append(
                Expected(
                    device: device, timestamp: timestamp, channel: channel, power: power, voltage: voltage,
                    current: current))
        }
        tokens += ["}", "}"]
    }

    private mutating func number() -> Double {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: 0
        case 1: -Double.random(in: 0..<1e4, using: &random)
        case 2: Double(Int.random(in: -1000...1000, using: &random))
        case 3: Double(bitPattern: UInt64.random(in: 1..<0x7FF0_0000_0000_0000, using: &random))
        default: Double.random(in: 0..<1e4, using: &random)
        }
    }

    /// A member's name, sometimes with an escape.
    private mutating func name(_ text: String) -> String {
        guard random.oneIn(8) else { return "\"\(text)\"" }
        let scalar = text.unicodeScalars.first!
        let hex = String(scalar.value, radix: 16)
        return "\"\\u" + String(repeating: "0", count: 4 - hex.count) + hex + text.dropFirst() + "\""
    }

    /// The pieces as text, with white space between some of them.
    mutating func text(_ tokens: [String]) -> [UInt8] {
        var text: [UInt8] = []
        for token in tokens {
            if random.oneIn(4) { text += Array(random.pick([" ", "\n", "\r\n", "\t", "  \n"]).utf8) }
            text += Array(token.utf8)
        }
        return text
    }

    private mutating func quoted(_ text: String) -> String { random.oneIn(4) ? "\" \(text)\\n\"" : "\"\(text)\"" }

    /// Swaps, repeats, removes and replaces pieces.
    mutating func mutate(_ tokens: inout [String]) {
        let place = Int.random(in: tokens.indices, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: tokens.swapAt(place, Int.random(in: tokens.indices, using: &random))
        case 1: tokens.insert(tokens[place], at: place)
        case 2: tokens.remove(at: place)
        case 3:
            // Repeats a member or an element.
            let end = min(tokens.count, place + Int.random(in: 1...12, using: &random))
            tokens.insert(contentsOf: Array(tokens[place..<end]), at: place)
        case 4 where Double(tokens[place]) != nil:
            tokens[place] = random.pick(["NaN", "Infinity", "-Infinity"])
        default: tokens[place] = random.oneIn(6) ? nested() : random.pick(Self.pieces)
        }
        if tokens.isEmpty { tokens = [random.pick(Self.pieces)] }
    }

    private mutating func nested() -> String {
        let depth = random.oneIn(2) ? Int.random(in: 50...70, using: &random) : Int.random(in: 1...3000, using: &random)
        let (open, close) = random.pick([("[", "]"), ("{\"\(Self.secret)\":", "}")])
        let closing = random.oneIn(4) ? depth - 1 : depth
        return String(repeating: open, count: depth) + "0" + String(repeating: close, count: closing)
    }

    /// Pieces at the limits of JSON, of a double, of a device's name or of a timestamp.
    private static let pieces: [String] =
        [
            "0", "-0", "-0.0", "1", "-1", "01", "1.", ".5", "+1", "1e5", "1E+2", "1e-400", "1e308", "1e309", "-1e999",
            "1e99999999999", "18446744073709551615", "18446744073709551616", "-9223372036854775808",
            "-9223372036854775809", "123456789012345678901234567890", "0.1e", "--1", "NaN", "Infinity", "-",
            "1795478401",
            "1732320000000", "0.999", "1e10", "true", "false", "null", "tru", "nulL", "True", "{", "}", "[", "]", ",",
            ":",
            "{}", "[]", "[[]]", "\"", "\"\"", "\" \"", "\"\\u0000\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"",
            "\"\\udc00x\"",
            "\"\\u00e9\"", "\"\\x\"", "\"\\", "\"a\\nb\"", "\"a\nb\"", "\"\t\"", "\"\u{7F}\"", "\"\u{85}\"",
            "\"\u{2028}\"",
            "\"\\u2029\"", "\"\u{3000}\u{A0}x\u{2003}\"", "\u{FEFF}", "\u{A0}", "\u{C}", "\u{0}", "//", "/**/", "'a'",
            "\"src\"", "\"timestamp\"", "\"params\"", "\"messages\"", "\"switch:0\"", "\"switch:4\"", "\"switch:\"",
            "\"apower\"", "\"voltage\"", "{\"apower\":\"\(secret)\"}", "{\"apower\":1e308,\"voltage\":[]}",
            "\"\(secret)\"",
        ] + [String(repeating: "9", count: 400), "0." + String(repeating: "3", count: 2000)]
        + [64, 65].map { "\"" + String(repeating: "é", count: $0) + "\"" }
}
