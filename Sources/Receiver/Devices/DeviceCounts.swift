import Ledger

/// How many devices are silent, how many are heard and give no reading, and how many of these have no meter, or a constant
/// load of which they report energy alone.
struct DeviceCounts: Sendable, Equatable {
    private(set) var silent = 0
    private(set) var withoutReadings = 0
    private(set) var withoutMeter = 0
    private(set) var energyAlone = 0

    init(_ devices: some Sequence<(MinuteLedger.LastSeen, DeviceState)>) {
        for (seen, state) in devices {
            if state == .silent { silent += 1 }
            if state.isWithoutReadings { withoutReadings += 1 }
            if state == .withoutMeter { withoutMeter += 1 }
            if state == .withoutReadings, seen.last.missing?.reason == .energyAlone { energyAlone += 1 }
        }
    }
}
