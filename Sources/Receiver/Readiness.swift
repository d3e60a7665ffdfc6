import Hummingbird
import Spool

/// `GET /readyz`: whether a batch would be taken now.
struct Readiness: Sendable {
    let authentication: Authentication
    let directory: SpoolDirectory
    let reserveBytes: Int
    let holdings: SpoolHoldings
    let groupCommit: GroupCommit

    func respond() async throws -> Response {
        guard authentication.isConfigured else {
            throw Rejection(.serviceUnavailable, "INGEST_API_KEY is not configured")
        }
        // One statvfs; it does not wait for the disk.
        if let available = try? directory.availableBytes(), available < reserveBytes {
            throw Rejection(.serviceUnavailable, "Spool full", retryAfterSeconds: 30)
        }
        // After a failure somebody has to try again, and without traffic that is nobody else.
        if holdings.failure != nil {
            do throws(GroupCommit.Failure) {
                try await groupCommit.probe()
            } catch {
                throw Rejection(error)
            }
        }
        return .json("{\"status\":\"ready\"}")
    }
}
