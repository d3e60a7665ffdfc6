internal import CLibpq

extension PostgresError {
    /// The error in a result. It is `unavailable` if there is no SQLSTATE, because then libpq created it, not the
    /// server.
    init(_ result: OpaquePointer) {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { oneLine(String(cString: $0)) }
        }
        // PG_DIAG_SQLSTATE and its like are macros that Swift cannot import.
        if let state = field("C") {
            var origin = Origin()
            origin.constraint = field("n")
            origin.table = field("t")
            origin.column = field("c")
            origin.routine = field("R")
            // The context names a function as `refuse() line 1 at RAISE`, in every language; a parameter has one as well.
            origin.isInFunction = field("W")?.contains("(") == true
            origin.isRaised = origin.routine == "exec_stmt_raise"
            self = .refused(
                sqlState: state, message: field("M") ?? "no message", detail: field("D"), origin: origin)
        } else {
            self = .unavailable(PQresultErrorMessage(result).map { oneLine(String(cString: $0)) } ?? "no answer")
        }
    }
}
