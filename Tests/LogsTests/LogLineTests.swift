import Foundation
import Logging
import Testing
import Time

@testable import Logs

struct LogLineTests {
    private static let time = Timestamp(unixMilliseconds: 1_795_565_523_007)

    private func line(
        _ format: LogFormat, _ message: String, level: Logger.Level = .info, isForJournal: Bool = false,
        _ metadata: KeyValuePairs<String, Logger.MetadataValue> = [:]
    ) -> String {
        var line = LogLine(format, level, message, label: "test", at: Self.time, isForJournal: isForJournal)
        for (name, value) in metadata { line.add(metadata: name, value) }
        return String(decoding: line.finished(), as: UTF8.self)
    }

    private func object(_ line: String) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(value as? [String: Any])
    }

    private struct Facts: LogFields {
        func add(to line: inout LogLine) {
            line.add("zulu", 1)
            line.add("alpha", 0.25)
            line.add("text", "a b")
        }
    }

    @Test func linesForPeopleAreAligned() {
        #expect(
            line(.text, "batch", ["new": "4", "path": "/a b"])
                == "2026-11-25 00:12:03Z info    batch: new=4 path=\"/a b\"\n")
        #expect(line(.text, "gone", level: .warning) == "2026-11-25 00:12:03Z warning gone\n")
    }

    @Test func linesForJournaldHaveAPriorityAndNoTime() {
        let expected: [(Logger.Level, String)] = [
            (.trace, "<7>"), (.debug, "<7>"), (.info, "<6>"), (.notice, "<5>"), (.warning, "<4>"), (.error, "<3>"),
            (.critical, "<2>"),
        ]
        for (level, prefix) in expected {
            #expect(line(.text, "message", level: level, isForJournal: true) == prefix + "message\n")
        }
        #expect(line(.json, "message", isForJournal: true).hasPrefix("<6>{\"time\":"))
    }

    @Test func jsonLinesHaveTheSameFields() throws {
        let object = try object(
            line(
                .json, "a \"message\"\n",
                [
                    "list": .array(["x", .dictionary(["b": "1", "a": "2"])]), "level": "mine",
                    "facts": .stringConvertible(Facts()),
                ]))
        #expect(object["time"] as? String == "2026-11-25T00:12:03.007Z")
        #expect(object["level"] as? String == "info" && object["metadata.level"] as? String == "mine")
        #expect(object["label"] as? String == "test")
        #expect(object["message"] as? String == "a \"message\"\n")
        #expect(object["zulu"] as? Int == 1 && object["alpha"] as? Double == 0.25 && object["text"] as? String == "a b")
        let list = try #require(object["list"] as? [Any])
        #expect(list[0] as? String == "x" && (list[1] as? [String: String]) == ["a": "2", "b": "1"])
    }

    @Test func fieldsKeepTheirOwnOrder() {
        #expect(
            line(.text, "m", ["facts": .stringConvertible(Facts())]).hasSuffix(
                "m: zulu=1 alpha=0.25 text=\"a b\"\n"))
        #expect(Facts().description == "zulu=1 alpha=0.25 text=\"a b\"")
    }

    /// Line breaks of all kinds, terminal sequences, bidirectional controls and invisible characters.
    @Test(arguments: [
        "\n", "\r", "\r\n", "\u{0}", "\u{1B}[2J", "\u{7F}", "\u{85}", "\u{9B}1m", "\u{2028}", "\u{2029}", "\u{202E}",
        "\u{2066}", "\u{200B}", "\u{FEFF}", "\u{E0041}", "\u{FFFF}",
        "\u{3164}", "\u{115F}", "\u{FFA0}", "\u{034F}", "\u{17B4}", "\u{FE0F}", "\u{2800}",
    ])
    func controlAndInvisibleCharactersAreEscaped(text: String) throws {
        let hostile = "a\(text)2026-11-25 00:12:03Z error   forged"
        for format in LogFormat.allCases {
            for journal in [false, true] {
                let line = line(
                    format, hostile, isForJournal: journal, ["k\(text)": "\(hostile)", "list": [.string(hostile)]])
                #expect(line.utf8.count { $0 == 0x0A } == 1 && line.hasSuffix("\n"))
                #expect(
                    !line.dropLast().unicodeScalars.contains {
                        text.unicodeScalars.contains($0) && !"[2J1m".unicodeScalars.contains($0)
                    })
                #expect(line.unicodeScalars.dropLast().allSatisfy { $0.value >= 0x20 && $0.value != 0x7F })
                guard format == .json, !journal else { continue }
                #expect(try object(line)["message"] as? String == hostile)
            }
        }
    }

    /// A field name inside a client's value does not become a field.
    @Test func valuesCannotForgeFields() {
        #expect(line(.text, "m", ["device": "x new=5", "e": ""]).hasSuffix("m: device=\"x new=5\" e=\"\"\n"))
        #expect(line(.text, "m", ["device": "x\" new=\"5"]).hasSuffix(#"m: device="x\" new=\"5""# + "\n"))
        #expect(line(.text, "m", ["a b=c": "1"]).hasSuffix("m: a_b_c=1\n"))
    }

    @Test func lettersOfAllAlphabetsAreKept() {
        #expect(line(.text, "Zähler 電力 🔌").hasSuffix("Zähler 電力 🔌\n"))
    }

    @Test(arguments: ["x", "\n", "é", "🔌", "\"", "\u{202E}"])
    func linesAreBounded(character: String) throws {
        let long = String(repeating: character, count: 100_000)
        for format in LogFormat.allCases {
            let line = line(
                format, long, ["a": "\(long)", "b": .array(Array(repeating: .string(long), count: 20)), "c": "1"])
            #expect(line.utf8.count <= LogLine.maximumBytes && line.hasSuffix("\n"))
            if format == .json {
                let object = try object(line)
                #expect(object["truncated"] as? Bool == true && object["a"] != nil && object["b"] == nil)
            }
        }
    }
}
