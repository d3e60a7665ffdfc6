import Glibc

/// The progress line for a person who watches a long drain. It is empty unless standard error is a terminal.
enum ProgressLine {
    static func show(_ summary: DrainReport.Summary) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        let rate = summary.seconds > 0 ? Int(Double(summary.readings) / summary.seconds) : 0
        // The cursor stays at the start of the line, so that a log line overwrites it.
        put("\(summary.readings.counted("reading")), \(summary.segments.counted("segment")), \(rate)/s\u{1B}[K\r")
    }

    static func clear() {
        if isatty(STDERR_FILENO) == 1 { put("\u{1B}[K") }
    }

    private static func put(_ text: String) {
        var text = text
        _ = text.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
