public import Settings
public import Spool

extension SpoolWriter.Limits {
    /// Creates the limits from the settings.
    public init(_ settings: Settings) {
        self.init()
        segmentBytes = settings.integer(.segmentBytes)
        segmentAge = settings.duration(.segmentSeconds)
        reserveBytes = settings.integer(.reserveBytes)
        spoolBytes = settings.integer(.spoolBytes) == 0 ? nil : settings.integer(.spoolBytes)
    }
}
