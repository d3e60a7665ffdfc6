import Postgres

extension ReadingTable {
    /// The fix of a fault of the table, with the names of its objects; nil if it is not known.
    ///
    /// PostgreSQL names the column of an id only for some errors, so the table's sequences are looked at.
    func remedy(for error: PostgresError, on connection: Connection) throws(PostgresError) -> String? {
        guard case .refused(let state, _, let detail, let origin) = error, !origin.isInFunction || state == "2200H"
        else {
            return nil
        }
        switch state {
        case "2200H", "22003":
            let exhausted = try IDSequence.all(of: name, on: connection).filter(\.isExhausted)
            return exhausted.isEmpty ? nil : exhausted.map(\.enlargement).joined(separator: "; ")
        case "23502":
            guard let column = origin.column else { return nil }
            let quoted = "\"\(column.replacing("\"", with: "\"\""))\""
            return "ALTER TABLE \(name.quoted) ALTER COLUMN \(quoted) DROP NOT NULL, or SET DEFAULT"
        case "23505":
            // Key (id)=(1) already exists.
            let behind = try IDSequence.all(of: name, on: connection).filter { sequence in
                detail?.contains("(\(sequence.column))=(") == true || detail?.contains("(\(sequence.column), ") == true
            }
            return behind.isEmpty
                ? nil
                : "the table's sequence is behind its rows: " + behind.map(\.restart).joined(separator: "; ")
        default: return nil
        }
    }
}
