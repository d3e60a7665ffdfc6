import Foundation

/// The number of repetitions of tests with random or exhaustive cases: few in `make test`, many in `make test-long`.
public enum Effort {
    /// Whether this is a run of `make test-long`.
    public static let isLong = ProcessInfo.processInfo.environment["SHELLY_TEST_LONG"] != nil

    /// A setting of the environment, or nil.
    public static func setting<Value: LosslessStringConvertible>(_ name: String) -> Value? {
        ProcessInfo.processInfo.environment[name].flatMap(Value.init)
    }

    /// A setting of the environment, or else the default of this run.
    public static func setting<Value: LosslessStringConvertible>(_ name: String, short: Value, long: Value) -> Value {
        setting(name) ?? (isLong ? long : short)
    }
}
