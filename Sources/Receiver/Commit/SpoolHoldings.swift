import Synchronization

/// The contents of the spool as its writer knows them, shared with code that only reads them.
final class SpoolHoldings: Sendable {
    struct State {
        /// Records of each segment by its number.
        var records: [Int: Int]
        var ledgerBytes = 0
        var devices = 0
        /// Why the last attempt to write failed; nil when it succeeded.
        var failure: String?
    }

    private let state: Mutex<State>

    init(records: [Int: Int], ledgerBytes: Int = 0, devices: Int = 0) {
        state = Mutex(State(records: records, ledgerBytes: ledgerBytes, devices: devices))
    }

    var current: State { state.withLock { $0 } }

    /// Why the last attempt to write failed; nil when it succeeded.
    var failure: String? { state.withLock { $0.failure } }

    func update(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
    }
}
