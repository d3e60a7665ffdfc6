import Commit

extension Rejection {
    /// 503 for a batch that could not be made durable.
    init(_ failure: CommitFailure) {
        switch failure {
        case .spool(.full), .spool(.overLimit):
            self.init(.serviceUnavailable, "Spool full; try again", retryAfterSeconds: 30, for: .spoolFull)
        case .spool:
            self.init(
                .serviceUnavailable, "Spool cannot be written; try again", retryAfterSeconds: 5, for: .spoolFailing)
        case .ledgerFull:
            self.init(.serviceUnavailable, "Ledger full; try again", retryAfterSeconds: 30, for: .ledgerFull)
        case .diskTimeout:
            self.init(
                .serviceUnavailable,
                "Spool's disk did not answer in time; send the batch again, stored readings count as duplicates then",
                retryAfterSeconds: 5, for: .diskStalled)
        case .stopping:
            self.init(.serviceUnavailable, "Stopping; try again", retryAfterSeconds: 2, for: .stopping)
        }
    }
}
