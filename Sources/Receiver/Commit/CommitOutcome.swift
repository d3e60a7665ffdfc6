package import Spool

/// The result of a durable batch.
package struct Acknowledgement: Sendable {
    /// Readings whose keys are new to the spool, and readings whose keys were durable before.
    package let inserted: Int
    package let duplicates: Int
    package let position: SpoolPosition
}

/// Why a batch does not count.
package enum CommitFailure: Error, CustomStringConvertible {
    case spool(SpoolError)
    /// There is no memory for the keys of new devices, or of any device's next day.
    case ledgerFull
    case stopping
    /// The disk did not respond in time. It may still do so: the batch may or may not become durable.
    case diskTimeout

    package var description: String {
        switch self {
        case .spool(let error): error.description
        case .ledgerFull: "the ledger of minute keys has no memory for new keys (INGEST_LEDGER_BYTES)"
        case .stopping: "the receiver is stopping"
        case .diskTimeout: "the spool's disk does not answer"
        }
    }
}

/// The outcome of a batch, or of a probe, which has no acknowledgement.
package typealias CommitOutcome = Result<Acknowledgement?, CommitFailure>
