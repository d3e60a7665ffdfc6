import Commit
import Hummingbird
import Ledger
import Spool
import Text

/// `GET /readyz`: whether a batch would be accepted now, and the next ones too. It fails before the spool is full.
struct Readiness: Sendable {
    let authentication: Authentication
    let room: SpoolRoom
    let spoolState: SpoolState
    let groupCommit: GroupCommit
    let ledgerLimitBytes: Int
    /// Why acknowledged readings can be lost where the spool lies, nil if they cannot.
    let risk: String?

    func respond() async throws -> Response {
        try await check()
        return .json(
            JSONText { answer in
                answer.add("status", "ready")
                if let risk { answer.add("warning", risk) }
            }.text)
    }

    /// Throws the reason why batches of known devices would be refused; writes to the spool to find out.
    func prove() async throws(Rejection) {
        try await checkSpool()
        try await probe()
    }

    /// Throws the reason why the receiver is not ready.
    func check() async throws(Rejection) {
        try await checkSpool()
        // A probe lets the ledger evict the keys of segments that are gone, because without traffic nothing else does.
        if isLedgerNearlyFull { try await probe() }
        if isLedgerNearlyFull {
            throw Rejection(
                .serviceUnavailable, "Ledger of minute keys (INGEST_LEDGER_BYTES) nearly full: new devices are refused",
                retryAfterSeconds: 30)
        }
    }

    private var isLedgerNearlyFull: Bool {
        MinuteLedger.refusesNewDevices(at: spoolState.current.ledgerBytes, of: ledgerLimitBytes)
    }

    private func checkSpool() async throws(Rejection) {
        guard authentication.isConfigured else {
            throw Rejection(.serviceUnavailable, "INGEST_API_KEY is not configured")
        }
        guard await room.hasRoom() else {
            throw Rejection(.serviceUnavailable, "Spool full or unavailable", retryAfterSeconds: 30)
        }
        guard !groupCommit.isStalled else { throw Rejection(.diskTimeout) }
        // After a failure a probe has to retry the spool, because without traffic nothing else does.
        if spoolState.failure != nil { try await probe() }
    }

    private func probe() async throws(Rejection) {
        do throws(CommitFailure) {
            try await groupCommit.probe()
        } catch {
            throw Rejection(error)
        }
    }
}
