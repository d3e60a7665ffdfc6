// Drain: `drain`: segments to rows, and the retention of loaded segments.
// Begin here, then Drain+Run.swift, DrainSession.swift, SegmentDrain.swift and Compression.swift.
// Uses CommandLine, DeadLetters, Partitions, Segments, Table, Postgres, Readings, Spool, Time.

import Logging
import Spool
import SystemPackage

/// A spool, the database that it is loaded into, and how; see `run` and `follow`.
struct Drain {
    let path: FilePath
    var database: Database
    /// Readings per statement; a single record may have more.
    var statementRows = 50_000
    /// How long loaded segments are kept.
    var retention = Retention(age: .seconds(14 * 86_400))
    /// Whether loaded segments are compressed.
    var isCompressing = false
    /// How long dead letters are kept, or nil to keep them all.
    var deadLetterRetention: Duration?
    /// How long rows of a partitioned table are kept, or nil to keep them all.
    var rowRetention: RowRetention?
    /// The room that dead letters may take.
    var limits = SpoolWriter.Limits()
    /// Pause between two passes over the spool.
    var followPause = Duration.seconds(1)
    /// Minimum time between two uses of the database, and then no connection stays open; zero to stay connected.
    var databaseSleep = Duration.zero
    /// Timeout for the lease in the database, which a killed loader's transaction may still hold for a short time.
    var lockTimeout = Duration.seconds(5)
    let logger: Logger
    let shutdown: ShutdownSignal
}
