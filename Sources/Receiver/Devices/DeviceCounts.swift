/// How many devices are silent, how many are heard and give no reading, and how many of these have no meter, or a constant
/// load of which they report energy alone.
struct DeviceCounts: Sendable {
    let silent: Int
    let withoutReadings: Int
    let withoutMeter: Int
    let energyAlone: Int
}
