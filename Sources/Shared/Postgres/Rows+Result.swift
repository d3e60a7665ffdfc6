internal import CLibpq

extension Rows {
    /// Copies a result. The caller clears it.
    init(_ result: OpaquePointer) {
        let width = PQnfields(result)
        var values: [String?] = []
        values.reserveCapacity(Int(width) * Int(PQntuples(result)))
        for row in 0..<PQntuples(result) {
            for column in 0..<width {
                let isNull = PQgetisnull(result, row, column) == 1
                values.append(isNull ? nil : PQgetvalue(result, row, column).map { String(cString: $0) })
            }
        }
        self.init(
            columns: (0..<width).map { PQfname(result, $0).map { String(cString: $0) } ?? "" },
            affected: PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0,
            tag: PQcmdStatus(result).map { String(cString: $0) } ?? "",
            values: values)
    }
}
