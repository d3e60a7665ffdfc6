import Synchronization

/// The contents of the spool as its writer knows them, shared with code that only reads them.
package final class SpoolState: Sendable {
    package struct Content {
        /// Records of each segment by its number.
        package var records: [Int: Int]
        package var ledgerBytes = 0
        package var devices = 0
        /// Why the last attempt to write failed; nil when it succeeded.
        package var failure: String?
    }

    private let state: Mutex<Content>

    package init(records: [Int: Int], ledgerBytes: Int = 0, devices: Int = 0) {
        state = Mutex(Content(records: records, ledgerBytes: ledgerBytes, devices: devices))
    }

    package var current: Content { state.withLock { $0 } }

    /// Why the last attempt to write failed; nil when it succeeded.
    package var failure: String? { state.withLock { $0.failure } }

    func update(_ body: (inout Content) -> Void) {
        state.withLock { body(&$0) }
    }
}
