import Postgres

/// Where a database error comes from, and so who can fix it (invariant 13).
enum FaultKind: Equatable {
    /// Perhaps one row's own values, so that other rows may succeed. The loader sets such a row aside only if the table
    /// takes another row.
    case row
    /// The table, its index, sequence, trigger or privileges. Any other row would fail too.
    case table
    /// The server: away, full, read-only, too slow. It passes by itself, or is fixed there.
    case server
    /// The role, its password, the database's name or an option of the connection.
    case setting

    /// The columns that the loader fills.
    private static let columns: Set = [
        "device_id", "channel", "power", "voltage", "current", "timestamp", "idempotency_key",
    ]

    /// - Parameter detail: the server's, which names the columns of a unique violation in every language:
    ///   `Key (device_id, "timestamp")=(…) already exists.`
    init(sqlState: String, origin: PostgresError.Origin = .init(), detail: String? = nil) {
        if origin.isStart {
            self = .setting
            return
        }
        let error = PostgresError.refused(sqlState: sqlState, message: "", detail: nil, origin: origin)
        if error.isTemporary || error.isRetryable {
            self = .server
            return
        }
        switch (String(sqlState.prefix(2)), sqlState) {
        // A trigger may raise any error, and may do so for some rows only.
        case _ where origin.isRaised: self = .row
        // A sequence at its end fails for every caller.
        case (_, "2200H"): self = .table
        case _ where origin.isInFunction: self = .row
        case ("28", _), ("3D", _): self = .setting
        case (_, "23502"): self = origin.column.map(Self.columns.contains) == true ? .row : .table
        // A value that is there already: ours, or one that the table itself provides, such as an id.
        case (_, "23505"): self = Self.keyIsOurs(detail) ? .row : .table
        // Without a constraint's name it is a partition that is missing.
        case (_, "23514"): self = origin.constraint == nil && origin.table != nil ? .table : .row
        case ("22", _), ("23", _), ("44", _), ("P0", _): self = .row
        // An index entry that is too large.
        case (_, "54000"): self = .row
        // Row-level security has the SQLSTATE of a missing privilege.
        case (_, "42501"): self = origin.routine == "ExecWithCheckOptions" ? .row : .table
        default: self = .table
        }
    }

    private static func keyIsOurs(_ detail: String?) -> Bool {
        guard let detail, let start = detail.firstIndex(of: "("), let end = detail.firstRange(of: ")=(") else {
            return false
        }
        return detail[detail.index(after: start)..<end.lowerBound].split(separator: ",").allSatisfy { part in
            let name = part.filter { $0 != " " && $0 != "\"" }
            // An expression is on some column of ours, since PostgreSQL has none for an id by itself.
            return columns.contains(name) || name.contains("(")
        }
    }
}

extension PostgresError {
    /// Where the error comes from, or nil for an invalid call.
    var faultKind: FaultKind? {
        switch self {
        case .unavailable, .outcomeUnknown: .server
        case .invalid: nil
        case .refused(let state, _, let detail, let origin):
            FaultKind(sqlState: state, origin: origin, detail: detail)
        }
    }
}
