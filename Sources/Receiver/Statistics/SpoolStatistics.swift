import Spool
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
    var lastLoad: Timestamp?
    var lastDrain: Timestamp?
    var devices: Int
    var ledgerBytes: Int
    /// Why the last attempt to write failed; nil when it succeeded.
    var failure: String?

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

    /// Encodes every member each time, null where there is no value.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(spool, forKey: .spool)
        try container.encode(backlog, forKey: .backlog)
        try container.encode(pendingSegments, forKey: .pendingSegments)
        try container.encode(loadedSegments, forKey: .loadedSegments)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(deadLetterBytes, forKey: .deadLetterBytes)
        try container.encode(diskAvailableBytes, forKey: .diskAvailableBytes)
        try container.encode(lastLoad, forKey: .lastLoad)
        try container.encode(lastDrain, forKey: .lastDrain)
        try container.encode(devices, forKey: .devices)
        try container.encode(ledgerBytes, forKey: .ledgerBytes)
        try container.encode(failure, forKey: .failure)
    }
}
