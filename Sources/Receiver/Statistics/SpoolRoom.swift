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
    private var measured: (at: ContinuousClock.Instant, hasRoom: Bool)?

    init(directory: SpoolDirectory, limits: SpoolWriter.Limits) {
        self.directory = directory
        self.limits = limits
    }

    func hasRoom() -> Bool {
        if let measured, measured.at.duration(to: .now) < Self.freshFor { return measured.hasRoom }
        // A spool that cannot be inspected cannot be written either.
        let hasRoom = (try? measure()) ?? false
        measured = (.now, hasRoom)
        return hasRoom
    }

    private func measure() throws(SpoolError) -> Bool {
        // The spool's bytes only matter when there is a limit on them.
        let held = limits.spoolBytes == nil ? 0 : try directory.inventory().bytes
        return limits.leaveMargin(availableBytes: try directory.availableBytes(), heldBytes: held)
    }
}
