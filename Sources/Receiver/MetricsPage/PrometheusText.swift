/// Metric families in Prometheus' text format, version 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var text = ""

    /// A label's name and its value.
    typealias Label = (name: String, value: String)

    /// A family of one count.
    mutating func counter(_ name: String, _ help: String, _ value: some BinaryInteger) {
        begin(name, "counter", help)
        sample(name, [], "\(value)")
    }

    /// A family of counts, one for each value of a label.
    mutating func counter(_ name: String, _ help: String, by label: String, _ values: [(String, Int)]) {
        begin(name, "counter", help)
        for (value, count) in values { sample(name, [(label, value)], "\(count)") }
    }

    /// A family of one count that may be fractional.
    mutating func counter(_ name: String, _ help: String, _ value: Double) {
        begin(name, "counter", help)
        sample(name, [], Self.number(value))
    }

    /// A family of one value that goes up and down.
    mutating func gauge(_ name: String, _ help: String, _ value: Double, _ labels: [Label] = []) {
        begin(name, "gauge", help)
        sample(name, labels, Self.number(value))
    }

    mutating func gauge(_ name: String, _ help: String, _ value: some BinaryInteger) {
        begin(name, "gauge", help)
        sample(name, [], "\(value)")
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Bool) { gauge(name, help, value ? 1 : 0) }

    /// A family of gauges, one for each value of a label.
    mutating func gauge(_ name: String, _ help: String, by label: String, _ values: [(String, Int)]) {
        begin(name, "gauge", help)
        for (value, count) in values { sample(name, [(label, value)], "\(count)") }
    }

    /// A family of one histogram, whose buckets count all values up to their bound.
    mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        begin(name, "histogram", help)
        var count = 0
        for (bound, own) in zip(histogram.bounds + [.infinity], histogram.counts) {
            count += own
            sample(name + "_bucket", [("le", Self.number(bound))], "\(count)")
        }
        sample(name + "_sum", [], Self.number(histogram.sum))
        sample(name + "_count", [], "\(count)")
    }

    private mutating func begin(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) "
        append(help, escaping: ["\\", "\n"])
        text += "\n# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: [Label], _ value: String) {
        text += name
        for (index, label) in labels.enumerated() {
            text += "\(index == 0 ? "{" : ",")\(label.name)=\""
            append(label.value, escaping: ["\\", "\n", "\""])
            text += "\""
        }
        text += "\(labels.isEmpty ? "" : "}") \(value)\n"
    }

    private mutating func append(_ content: String, escaping special: [Unicode.Scalar]) {
        for scalar in content.unicodeScalars {
            if special.contains(scalar) { text += "\\" }
            text.unicodeScalars.append(scalar == "\n" ? "n" : scalar)
        }
    }

    /// A number in the form that Go's `ParseFloat` reads.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }
}
