extension Connection {
    /// As `transaction`, and once more when it only lost against another one.
    public func retryingTransaction<T>(_ attempts: Int, _ body: () throws -> T) throws -> T {
        for _ in 1..<attempts {
            do {
                return try transaction(body)
            } catch let error as PostgresError where error.isRetryable {}
        }
        return try transaction(body)
    }
}
