/// The format of log lines.
public enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-11-25 00:12:03Z info    batch: new=4 duplicates=0`, for people.
    case text
    /// One JSON object per line.
    case json
}
