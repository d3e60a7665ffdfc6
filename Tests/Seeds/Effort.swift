import Foundation

/// How often the tests that prove by repetition repeat: a few times in `make test`, many times in `make test-long`.
public enum Effort {
    /// Whether this is `make test-long`.
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
