import Spool

/// Whether the spool has room for the next batches; checks at most ten times a second.
///
/// An actor on its own queue, since it accesses the disk.
actor SpoolRoom {
    private static let freshFor = Duration.milliseconds(100)

    private let executor = BlockingExecutor(label: "readiness.spool")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let directory: SpoolDirectory
    private let limits: SpoolWriter.Limits
    private var answered: (at: ContinuousClock.Instant, isLeft: Bool)?

    init(directory: SpoolDirectory, limits: SpoolWriter.Limits) {
        self.directory = directory
        self.limits = limits
    }

    func isLeft() -> Bool {
        if let answered, answered.at.duration(to: .now) < Self.freshFor { return answered.isLeft }
        // A spool that cannot be inspected cannot be written either.
        let isLeft = (try? look()) ?? false
        answered = (.now, isLeft)
        return isLeft
    }

    private func look() throws(SpoolError) -> Bool {
        // The spool's bytes only matter when there is a limit on them.
        let held = limits.spoolBytes == nil ? 0 : try directory.inventory().bytes
        return limits.leaveMargin(availableBytes: try directory.availableBytes(), heldBytes: held)
    }
}
