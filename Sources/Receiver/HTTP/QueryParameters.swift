import HTTPTypes
import Hummingbird
import Readings
import Time

/// A request's query, decoded like a form: `+` is a space, and the last of several values counts.
struct QueryParameters {
    private var values: [String: String] = [:]

    /// Throws 422 when the query is not percent-encoded UTF-8.
    init(_ query: String?) throws(Rejection) {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = String(percentEncoded: parts[0], isForm: true),
                let value = String(percentEncoded: parts.dropFirst().first ?? "", isForm: true)
            else {
                throw Rejection([
                    InvalidInput("value_error", at: [.member("query")], "Query is not percent-encoded UTF-8")
                ])
            }
            values[name] = value
        }
    }

    /// A value; nil when there is none. An empty value counts as none, because a form sends one for an empty field.
    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// A whole number within bounds; throws 422.
    func integer(_ name: String, in bounds: ClosedRange<Int>) throws(Rejection) -> Int? {
        guard let text = self[name] else { return nil }
        guard let number = Int(text) else {
            throw Self.rejection("int_parsing", name, "Input should be a whole number")
        }
        guard bounds.contains(number) else {
            throw Self.rejection(
                "value_error", name, "Input should be from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return number
    }

    /// `true` or `false`; throws 422.
    func bool(_ name: String) throws(Rejection) -> Bool? {
        guard let text = self[name] else { return nil }
        guard let value = Bool(text) else {
            throw Self.rejection("bool_parsing", name, "Input should be true or false")
        }
        return value
    }

    /// A text of at most `maximumBytes` bytes of UTF-8; throws 422.
    func text(_ name: String, maximumBytes: Int) throws(Rejection) -> String? {
        guard let text = self[name] else { return nil }
        guard text.utf8.count <= maximumBytes else {
            throw Self.rejection("string_too_long", name, "Input should have at most \(maximumBytes) bytes of UTF-8")
        }
        return text
    }

    /// A date from 1970 on; throws 422.
    func day(_ name: String) throws(Rejection) -> CalendarDay? {
        guard let text = self[name] else { return nil }
        guard let day = CalendarDay(text) else {
            throw Self.rejection(
                "date_from_datetime_parsing", name, "Input should be a date as 2026-11-24, from 1970-01-01 on")
        }
        return day
    }

    private static func rejection(_ type: String, _ name: String, _ message: String) -> Rejection {
        Rejection([InvalidInput(type, at: [.member("query"), .member(name)], message)])
    }
}
