import Spool
import Text
import Time

/// The contents and the backlog of a spool, seen from the outside.
struct SpoolStatistics: Sendable, Encodable {
    /// The spool's identity.
    let spool: String
    var backlog = SpoolContents.Backlog()
    /// Segments in `pending/`, and those in `loaded/`.
    var pendingSegments = 0
    var loadedSegments = 0
    /// Bytes of all segments.
    var bytes = 0
    /// Bytes of the dead letters in `rejected/`.
    var deadLetterBytes = 0
    var diskAvailableBytes: Int
    /// When the loader last made progress, and when it last processed the whole spool without a problem; nil
    /// when it never did.
    @AlwaysEncoded var lastLoad: Timestamp? = nil
    @AlwaysEncoded var lastDrain: Timestamp? = nil
    var devices: Int
    var ledgerBytes: Int
    /// Why the last attempt to write failed; nil when it succeeded.
    @AlwaysEncoded var failure: String? = nil

    private enum CodingKeys: String, CodingKey {
        case spool, backlog, bytes, devices, failure
        case pendingSegments = "pending_segments"
        case loadedSegments = "loaded_segments"
        case deadLetterBytes = "dead_letter_bytes"
        case diskAvailableBytes = "disk_available_bytes"
        case lastLoad = "last_load"
        case lastDrain = "last_drain"
        case ledgerBytes = "ledger_bytes"
    }
}
