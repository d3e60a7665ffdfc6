internal import SystemPackage
public import Time

/// The memory of the receiver's ledger, stored in the spool as `ledger.json` once it is large, so that `doctor` can warn
/// before the ledger is full. It is for display only, like `LoadMark`.
public struct LedgerMark: Codable, Sendable, Equatable {
    public let bytes: Int
    /// `INGEST_LEDGER_BYTES`.
    public let limitBytes: Int
    public let markedAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case bytes
        case limitBytes = "limit_bytes"
        case markedAt = "marked_at"
    }

    /// Creates a mark of the present moment.
    public init(bytes: Int, limitBytes: Int) {
        self.bytes = bytes
        self.limitBytes = limitBytes
        markedAt = .now
    }

    /// Whether the ledger has more than seven tenths of its memory.
    public var isLarge: Bool { Self.isLarge(bytes, of: limitBytes) }

    public static func isLarge(_ bytes: Int, of limitBytes: Int) -> Bool { bytes > limitBytes / 10 * 7 }
}

extension SpoolDirectory {
    private var ledgerMarkPath: FilePath { path.appending("ledger.json") }

    /// The mark, or nil if it is missing or cannot be read.
    public func ledgerMark() -> LedgerMark? { mark(LedgerMark.self, at: ledgerMarkPath) }

    /// Replaces the mark, without fsync: the receiver rewrites a mark that was lost in a power failure.
    public func write(_ mark: LedgerMark) throws(SpoolError) {
        try write(mark, to: ledgerMarkPath, durably: false)
    }
}
