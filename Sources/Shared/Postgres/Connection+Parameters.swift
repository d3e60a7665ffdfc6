internal import CLibpq

extension Connection {
    /// Rejects parameters that C strings or the protocol would truncate: a NUL in a text, or more than 65,535
    /// parameters.
    static func check(_ parameters: [Parameter]) throws(PostgresError) {
        guard parameters.count <= Int(UInt16.max) else { throw .invalid("a statement takes at most 65535 parameters") }
        for case .text(let text?) in parameters where text.utf8.contains(0) {
            throw .invalid("text for the database cannot contain NUL")
        }
    }

    /// Sends a statement, following `PQsendQueryParams`: scalars as text whose type the server infers, arrays in binary
    /// with their OID.
    func send(_ sql: String, _ parameters: [Parameter]) -> Int32 {
        var types: [Oid] = []
        var formats: [Int32] = []
        for parameter in parameters {
            if case .array(let array) = parameter {
                types.append(array.element.arrayOID)
                formats.append(1)
            } else {
                types.append(0)
                formats.append(0)
            }
        }
        var values: [UnsafePointer<CChar>?] = []
        var lengths: [Int32] = []
        // The recursion keeps each parameter's bytes in place while the following ones are added.
        func add(_ rest: ArraySlice<Parameter>) -> Int32 {
            guard let first = rest.first else {
                return PQsendQueryParams(handle, sql, Int32(values.count), types, values, lengths, formats, 0)
            }
            func next(_ value: UnsafePointer<CChar>?, _ length: Int) -> Int32 {
                values.append(value)
                lengths.append(Int32(length))
                return add(rest.dropFirst())
            }
            let text: String?
            switch first {
            case .array(let array):
                return array.encoded.withUnsafeBytes {
                    next($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
                }
            case .text(let value): text = value
            case .integer(let value): text = value.map { String($0) }
            case .double(let value): text = value.map { "\($0)" }
            case .bool(let value): text = value.map { $0 ? "t" : "f" }
            }
            guard let text else { return next(nil, 0) }
            return text.withCString { next($0, 0) }
        }
        return add(parameters[...])
    }
}
