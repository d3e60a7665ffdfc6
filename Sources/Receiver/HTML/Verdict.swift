/// A sentence about the state of something, and a level that rates it.
struct Verdict: Sendable, Equatable {
    enum Level: Int, Comparable, Sendable {
        case good, idle, attention, failing

        static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    let level: Level
    let sentence: String
    /// The remedy or the cause.
    var detail: HTML?

    var html: HTML {
        """
        <li class="\(level.name)">\(level.mark)<div><b class="word">\(level.word)</b> <strong>\(sentence)</strong>\
        \(detail.map { " <span class=\"detail\">\($0)</span>" })</div></li>
        """
    }
}

extension Verdict.Level {
    var name: String {
        switch self {
        case .good: "good"
        case .idle: "idle"
        case .attention: "attention"
        case .failing: "failing"
        }
    }

    /// The level in a word, so that the colour is never the only sign.
    var word: String {
        switch self {
        case .good: "OK"
        case .idle: "Idle"
        case .attention: "Warning"
        case .failing: "Fault"
        }
    }

    var mark: HTML {
        switch self {
        case .good:
            "<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/><path d=\"M6.5 12.5l4 4 7-8\"/></svg>"
        case .idle:
            "<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/><path d=\"M7 12h10\"/></svg>"
        case .attention:
            "<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"form\" d=\"M12 1.5L23.5 22.5H.5z\"/><path d=\"M12 9v6.5M12 19v.1\"/></svg>"
        case .failing:
            "<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"form\" d=\"M1.5 1.5h21v21h-21z\"/><path d=\"M7.5 7.5l9 9M16.5 7.5l-9 9\"/></svg>"
        }
    }
}
