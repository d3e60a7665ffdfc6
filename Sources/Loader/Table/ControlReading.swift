import Readings

/// A reading that the table may take in place of a refused one.
struct ControlReading {
    let device: DeviceID
    let reading: Reading
}
