import Checkup
import Spool
import Text

/// Checks that the receiver's ledger of minute keys has room for more devices.
struct LedgerCheck {
    let directory: SpoolDirectory

    func results() -> [CheckResult] {
        guard let mark = directory.ledgerMark(), mark.isLarge else { return [] }
        return [
            .warn(
                "ledger",
                "the receiver's ledger of minute keys has \(mark.bytes.inBytes) of its \(mark.limitBytes.inBytes) "
                    + "(\(mark.markedAt)); from seven eighths on, batches with new devices are refused",
                do:
                    "look for a sender of random device names in the receiver's log; raise INGEST_LEDGER_BYTES, or keep "
                    + "loaded segments for a shorter time (LOADER_RETENTION_SECONDS)")
        ]
    }
}
