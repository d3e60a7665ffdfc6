extension Connection {
    /// Like `transaction`, but retries after a serialization failure or a deadlock, up to `attempts` attempts in total.
    public func retryingTransaction<T>(_ attempts: Int, _ body: () throws -> T) throws -> T {
        for _ in 1..<attempts {
            do {
                return try transaction(body)
            } catch let error as PostgresError where error.isRetryable {}
        }
        return try transaction(body)
    }
}
